import { SHARDS } from '../../kernel/limits/holds.ts'
import { REDIS_NODES_MAX } from '../../kernel/limits/stores.ts'
import { digestOf, loadLua, numbered, type LuaSource } from '../../store/lua.ts'
import { isElsewhere, type RedisNode, type RedisNodes } from '../../store/redis-nodes.ts'
import { NoScriptError } from '../../store/redis.ts'
import { UnknownOutcomeError } from '../../kernel/errors.ts'
import { NOSCRIPT, type CommandName, type Input, type Transport } from '../transport.ts'
import type { Codec } from './codec.ts'
import * as groups from './codec-groups.ts'
import * as holds from './codec-holds.ts'
import * as loads from './codec-loads.ts'
import { makeGroups, type LateCall, type Runner } from './groups.ts'
import { keysOf, type ShardKeys } from './keys.ts'
import { readReply } from './reply.ts'

/** The scripts of all commands, by file name. */
export type Scripts = ReadonlyMap<string, LuaSource>

/** Reads the Lua files once, at start. */
export function readScripts(): Scripts {
  const codecs = [...Object.values(groups), ...Object.values(holds), ...Object.values(loads)]
  const names = new Set(codecs.map((codec) => codec.script))
  return loadLua(new URL('./lua/', import.meta.url), [...names])
}

/** What names the scripts of this version on a node. */
export const scriptFacts = (scripts: Scripts) => ({
  digest: digestOf(scripts.values()),
  shas: (inc: number): readonly string[] =>
    Array.from(scripts.values(), (source) => numbered(source, inc).sha),
})

/**
 * Commands as Lua scripts in Redis ≥ 7 or Valkey, or the masters of a cluster. Only EVALSHA is
 * sent. The incarnation row is named after the node and the scripts' digest: during a rolling
 * release each release loads its own scripts under numbers of its own. Source: design §4.
 */
export function makeRedisTransport(parts: {
  readonly nodes: RedisNodes
  readonly scripts: Scripts
}): Transport {
  const { nodes, scripts: sources } = parts
  const digest = digestOf(sources.values())
  const keys = Array.from({ length: SHARDS }, (_, shard) => keysOf(shard))
  const shardKeys = (shard: number): ShardKeys => keys[shard] ?? keysOf(shard)
  const rows = new Map<string, string>()
  const rowOf = ({ name }: RedisNode): string => {
    const known = rows.get(name)
    if (known !== undefined) return known
    if (rows.size >= REDIS_NODES_MAX) rows.clear()
    rows.set(name, `${name}:${digest}`)
    return `${name}:${digest}`
  }

  const run = makeRunners(nodes, makeShas(sources))

  return {
    kind: 'redis',
    shards: SHARDS,
    nodeOf: (shard) => rowOf(nodes.of(shardKeys(shard).slot)),
    run<N extends CommandName>(name: N, shard: number, input: Input<N>, inc: number) {
      const runner: Runner<N> = run[name]
      const reply = runner(input, shardKeys(shard), inc)
      return nodes.isCluster ? orElsewhere(nodes, reply) : reply
    },
    async loadScripts(row, inc) {
      // A node that left the cluster meanwhile has nothing to learn.
      const node = nodes.all().find((one) => rowOf(one) === row)
      if (node === undefined) return
      const texts = [...sources.values()].map((source) => numbered(source, inc).text)
      await Promise.all(texts.map((text) => node.store.send('SCRIPT', 'LOAD', text)))
    },
    onReconnect: (listener) => {
      nodes.onReconnect(listener)
    },
    async timeMs() {
      const { store } = nodes.of(shardKeys(0).slot)
      const reply = readReply(await store.send('TIME'))
      return reply.int(0) * 1_000 + Math.floor(reply.int(1) / 1_000)
    },
    close: () => nodes.close(),
  }
}

/** A node that has not the shard any more has lost its state, as far as we are concerned. */
async function orElsewhere<T>(nodes: RedisNodes, reply: Promise<T>): Promise<T | typeof NOSCRIPT> {
  try {
    return await reply
  } catch (error) {
    // A silent node may have been replaced: who repeats the command should find that out.
    if (error instanceof UnknownOutcomeError) void nodes.look()
    if (!isElsewhere(error)) throw error
    await nodes.look()
    return NOSCRIPT
  }
}

type Runners = { readonly [N in CommandName]: Runner<N> }

function makeRunners(nodes: RedisNodes, shas: Shas): Runners {
  const { isCluster } = nodes
  // Async: that nobody has the slot now comes like any other error, also amid another's handling.
  const lateCall: LateCall = async (shard, script, inc, build) =>
    nodes.of(shard.slot).store.sendLate(() => {
      const { keys, args } = build()
      return ['EVALSHA', shas.of(script, inc), keys.length, ...keys, ...args]
    })
  const single =
    <N extends CommandName>(codec: Codec<N>): Runner<N> =>
    async (input, shard, inc) => {
      const sha = shas.of(codec.script, inc)
      const keys = codec.keys(input, shard)
      try {
        const { store } = nodes.of(shard.slot)
        const raw = await store.send('EVALSHA', sha, keys.length, ...keys, ...codec.args(input))
        return codec.decode(raw, input)
      } catch (error) {
        if (error instanceof NoScriptError) return NOSCRIPT
        throw error
      }
    }
  return {
    reserve: makeGroups({ codec: groups.reserve, call: lateCall, isCluster }),
    settle: makeGroups({ codec: groups.settle, call: lateCall, isCluster }),
    renew: single(holds.renew),
    release: single(holds.release),
    recover: single(holds.recover),
    clear: single(holds.clear),
    'begin-account': single(loads.beginAccount),
    'load-account': single(loads.loadAccount),
    'begin-key': single(loads.beginKey),
    'load-key': single(loads.loadKey),
    lapsed: single(loads.lapsed),
    'lapsed-accounts': single(loads.lapsedAccounts),
    'lapsed-holds': single(loads.lapsedHolds),
    'account-seq': single(loads.accountSeq),
    'key-seq': single(loads.keySeq),
    'view-account': single(loads.viewAccount),
    'view-key': single(loads.viewKey),
  }
}

interface Shas {
  of(script: string, inc: number): string
}

/** SHAs by script for the numbers in force: one a node. */
function makeShas(sources: Scripts): Shas {
  const byNumber = new Map<number, ReadonlyMap<string, string>>()
  const shasOf = (inc: number): ReadonlyMap<string, string> => {
    if (byNumber.size >= REDIS_NODES_MAX) byNumber.clear()
    const shas = new Map([...sources].map(([name, source]) => [name, numbered(source, inc).sha]))
    byNumber.set(inc, shas)
    return shas
  }
  return {
    of(script: string, inc: number): string {
      const sha = (byNumber.get(inc) ?? shasOf(inc)).get(script)
      if (sha === undefined) throw new Error(`unknown script ${script}`)
      return sha
    },
  }
}
