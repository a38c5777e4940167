import { Redis } from 'ioredis'
import pg from 'pg'
import { startGateway, type Gateway } from '../../support/gateway.ts'
import type { PostgresServer, RedisServer } from '../../support/servers.ts'
import { freshDatabase, startRedis, type RedisOptions } from '../../support/stores.ts'
import { CREDITS, PRICES } from '../../e2e/support/money.ts'
import { startUpstream, type FakeUpstream } from '../../e2e/support/upstream.ts'
import { serveJobs } from './jobs.ts'

/** Short, so that recovery is quick: a hold of a lost gateway ends after about 5 s. */
export const LEASE_MS = 3_000

export interface FaultWorld {
  readonly upstream: FakeUpstream
  readonly redisServer: RedisServer
  /** Commands of the test itself. */
  readonly redis: Redis
  readonly databaseUrl: string
  /** The n-th gateway that lives; it is started where there is none. */
  gateway(index: number): Promise<Gateway>
  /** kill -9 */
  kill(gateway: Gateway): Promise<void>
  /** Rows of one statement, on a connection of its own. */
  sql(text: string): Promise<readonly Record<string, unknown>[]>
  end(): Promise<void>
}

export interface FaultWorldOptions {
  /** Another Redis for the gateways than the world's own. */
  readonly redisUrl?: string
  readonly redis?: RedisOptions
  /** A private cluster, where Postgres itself goes away. Default: a database of the shared one. */
  readonly postgres?: PostgresServer
  /** A database made elsewhere, or a way to it. */
  readonly databaseUrl?: string
  readonly config?: Readonly<Record<string, unknown>>
  /** Checkouts of other versions, by the gateway's index. */
  readonly roots?: Readonly<Record<number, string>>
  /** Of the gateways, beside what every one has. */
  readonly env?: Readonly<Record<string, string>>
}

/** A provider, a Redis of its own, a database, and gateways in front of them as processes. */
export async function startFaultWorld(options: FaultWorldOptions = {}): Promise<FaultWorld> {
  const upstream = await startUpstream()
  serveJobs(upstream)
  const redisServer = await startRedis(options.redis)
  const given = options.postgres?.url ?? options.databaseUrl
  const database = given === undefined ? await freshDatabase() : null
  const databaseUrl = given ?? database?.url ?? ''
  const redis = new Redis(redisServer.url, { retryStrategy: () => 20, maxRetriesPerRequest: null })
  redis.on('error', () => undefined)
  const config = {
    credits: CREDITS,
    shutdown_ms: 1_000,
    holds: { lease_ms: LEASE_MS, fit_to_balance: false },
    upstreams: { fake: { protocol: 'openai', base_url: `${upstream.url}/v1`, api_key: 'sk' } },
    prices: [{ upstream: 'fake', model: '*', ...PRICES }],
    ...options.config,
  }
  const gateways: Promise<Gateway>[] = []
  return {
    upstream,
    redisServer,
    redis,
    databaseUrl,
    gateway(index) {
      const stores = { databaseUrl, redisUrl: options.redisUrl ?? redisServer.url }
      const { env = {}, roots = {} } = options
      const root = roots[index]
      const version = root === undefined ? {} : { root }
      return (gateways[index] ??= startGateway({ ...stores, config, env, ...version }))
    },
    async kill(gateway) {
      const all = await Promise.all(gateways)
      const [removed] = gateways.splice(all.indexOf(gateway), 1)
      await (await removed)?.end('SIGKILL')
    },
    async sql(text) {
      const client = new pg.Client({ connectionString: databaseUrl })
      await client.connect()
      try {
        return (await client.query<Record<string, unknown>>(text)).rows
      } finally {
        await client.end()
      }
    },
    async end() {
      for (const started of await Promise.allSettled(Object.values(gateways))) {
        if (started.status === 'fulfilled') await started.value.end('SIGKILL')
      }
      redis.disconnect()
      await upstream.close()
      await redisServer.stop()
      await database?.drop()
    },
  }
}

/** Keeps every posting waiting until it is let go; reads and other writes go on. */
export async function blockPosting(world: FaultWorld): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: world.databaseUrl })
  await client.connect()
  await client.query('BEGIN; LOCK TABLE usage IN SHARE MODE')
  return () => client.end()
}
