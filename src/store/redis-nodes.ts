import { setTimeout as delay } from 'node:timers/promises'
import { UnknownOutcomeError } from '../kernel/errors.ts'
import { CLUSTER_LOOK_MS, CLUSTER_LOOK_MS_MIN } from '../kernel/limits/stores.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { mergeViews, readView, type ClusterNode } from './redis-cluster-view.ts'
import { openRedis, RedisReplyError, type RedisStore } from './redis.ts'

/** A Redis that takes writes. */
export interface RedisNode {
  /** Another name is another history of its data. */
  readonly name: string
  readonly store: RedisStore
}

/** One Redis, or the masters of a cluster. */
export interface RedisNodes {
  readonly isCluster: boolean
  /** Who has the slot now. Throws RedisReplyError where nobody has. */
  of(slot: number): RedisNode
  all(): readonly RedisNode[]
  /** Calls back each time a connection was made again. */
  onReconnect(listener: () => void): void
  /** Looks where the slots are now. Never rejects. */
  look(): Promise<void>
  close(): Promise<void>
}

interface Options {
  /** One URL, or several of a cluster, separated by commas. */
  readonly url: string
  readonly log: Log
}

/**
 * Opens what REDIS_URL names. One URL may lead to a node of a cluster: it is asked. A Redis that is
 * away is taken for a single one, unless several are named. Source: design §4.
 */
export async function openRedisNodes({ url, log }: Options): Promise<RedisNodes> {
  const seeds = url.split(',').map((one) => one.trim())
  const [first = url] = seeds
  const store = openRedis({ url: first, log })
  if (seeds.length === 1 && !(await isInCluster(store))) return oneNode(store)
  await store.close()
  return openCluster(seeds, log)
}

async function isInCluster(store: RedisStore): Promise<boolean> {
  const info = await store.send('INFO', 'cluster').catch(() => null)
  return typeof info === 'string' && info.includes('cluster_enabled:1')
}

/** A single Redis in the shape of a cluster. */
export function oneNode(store: RedisStore): RedisNodes {
  const node = { name: 'redis', store }
  return {
    isCluster: false,
    of: () => node,
    all: () => [node],
    onReconnect: (listener) => {
      store.onReconnect(listener)
    },
    look: () => Promise.resolve(),
    close: () => store.close(),
  }
}

/** Connections by URL; each is opened when it is first asked for. */
function makeStores(log: Log) {
  const stores = new Map<string, RedisStore>()
  const listeners: (() => void)[] = []
  return {
    listeners,
    urls: () => [...stores.keys()],
    at(url: string): RedisStore {
      const known = stores.get(url)
      if (known !== undefined) return known
      const store = openRedis({ url, log })
      store.onReconnect(() => {
        for (const listener of listeners) listener()
      })
      stores.set(url, store)
      return store
    },
    async keepOnly(urls: ReadonlySet<string>): Promise<void> {
      const gone = [...stores].filter(([url]) => !urls.has(url))
      for (const [url] of gone) stores.delete(url)
      await Promise.all(gone.map(([, store]) => store.close()))
    },
  }
}

type Master = RedisNode & Pick<ClusterNode, 'slots'>

/**
 * Only the places are followed here; each node has a connection like a single Redis. The cluster
 * client of ioredis sends again what a lost connection left open, which must not happen here.
 */
async function openCluster(seeds: readonly string[], log: Log): Promise<RedisNodes> {
  const stores = makeStores(log)
  let masters: readonly Master[] = []
  let bySlot = new Map<number, RedisNode>()
  let looking: Promise<void> | null = null
  let lookedAt = -Infinity

  async function lookNow(): Promise<void> {
    const urls = new Set([...seeds, ...stores.urls()])
    const views = await Promise.all([...urls].map((url) => viewOf(url, stores.at(url))))
    const nodes = mergeViews(views.filter((view) => view !== null))
    if (nodes.length === 0) {
      log.warn({}, 'no node of the Redis cluster answers')
      return
    }
    masters = nodes.map(({ name, url, slots }) => ({ name, store: stores.at(url), slots }))
    bySlot = new Map()
    await stores.keepOnly(new Set([...seeds, ...nodes.map(({ url }) => url)]))
  }

  function look(): Promise<void> {
    const waitMs = Math.max(0, lookedAt + CLUSTER_LOOK_MS_MIN - performance.now())
    looking ??= delay(waitMs)
      .then(lookNow)
      .catch((error: unknown) => {
        log.warn({ error: describeError(error) }, 'looking at the Redis cluster failed')
      })
      .finally(() => {
        looking = null
        lookedAt = performance.now()
      })
    return looking
  }

  await look()
  const timer = setInterval(() => void look(), CLUSTER_LOOK_MS)
  timer.unref()
  return {
    isCluster: true,
    of(slot) {
      const node = bySlot.get(slot) ?? holderOf(masters, slot)
      bySlot.set(slot, node)
      return node
    },
    all: () => masters,
    onReconnect(listener) {
      stores.listeners.push(listener)
    },
    look,
    close() {
      clearInterval(timer)
      return stores.keepOnly(new Set())
    },
  }
}

function holderOf(masters: readonly Master[], slot: number): RedisNode {
  const found = masters.find(({ slots }) => slots.some(([from, to]) => slot >= from && slot <= to))
  if (found === undefined) throw new RedisReplyError('CLUSTERDOWN nobody has the slot')
  return found
}

/** What one node knows; null where it does not answer. */
async function viewOf(url: string, store: RedisStore): Promise<ClusterNode[] | null> {
  try {
    const text = await store.send('CLUSTER', 'NODES')
    return typeof text === 'string' ? readView(text, url) : null
  } catch (error) {
    if (error instanceof UnknownOutcomeError || error instanceof RedisReplyError) return null
    throw error
  }
}

/** The node does not have the slot any more. Nothing was done. */
export const isElsewhere = (error: unknown): boolean =>
  error instanceof RedisReplyError && error.message.startsWith('MOVED ')
