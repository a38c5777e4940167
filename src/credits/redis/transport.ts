import { SHARDS } from '../../kernel/limits.ts'
import { digestOf, loadLua, numbered, type LuaSource } from '../../store/lua.ts'
import { NoScriptError, type RedisStore } from '../../store/redis.ts'
import { NOSCRIPT, type CommandName, type Input, type Transport } from '../transport.ts'
import type { Codec } from './codec.ts'
import * as groups from './codec-groups.ts'
import * as holds from './codec-holds.ts'
import * as loads from './codec-loads.ts'
import { makeGroups, type LateCall, type Runner } from './groups.ts'
import { keysOf } from './keys.ts'
import { readReply } from './reply.ts'

/** The scripts of all commands, by file name. */
export type Scripts = ReadonlyMap<string, LuaSource>

/** Reads the Lua files once, at start. */
export function readScripts(): Scripts {
  const codecs = [...Object.values(groups), ...Object.values(holds), ...Object.values(loads)]
  const names = new Set(codecs.map((codec) => codec.script))
  return loadLua(new URL('./lua/', import.meta.url), [...names])
}

/**
 * Commands as Lua scripts in one Redis ≥ 7 or Valkey. Only EVALSHA is sent. The incarnation row is
 * named after the node and the scripts' digest: during a rolling release each release loads its
 * own scripts under numbers of its own. Source: design §4.
 */
export function makeRedisTransport(parts: {
  readonly redis: RedisStore
  readonly scripts: Scripts
  /** Name of the node in the table of incarnations; default `redis`. */
  readonly node?: string
}): Transport {
  const { redis, scripts: sources } = parts
  const node = `${parts.node ?? 'redis'}:${digestOf(sources.values())}`
  const shas = makeShas(sources)
  const keys = Array.from({ length: SHARDS }, (_, shard) => keysOf(shard))

  const run = makeRunners(redis, shas)

  return {
    kind: 'redis',
    shards: SHARDS,
    nodeOf: () => node,
    run<N extends CommandName>(name: N, shard: number, input: Input<N>, inc: number) {
      const runner: Runner<N> = run[name]
      return runner(input, keys[shard] ?? keysOf(shard), inc)
    },
    async loadScripts(_node, inc) {
      const texts = [...sources.values()].map((source) => numbered(source, inc).text)
      await Promise.all(texts.map((text) => redis.send('SCRIPT', 'LOAD', text)))
    },
    onReconnect: (listener) => {
      redis.onReconnect(listener)
    },
    async timeMs() {
      const reply = readReply(await redis.send('TIME'))
      return reply.int(0) * 1_000 + Math.floor(reply.int(1) / 1_000)
    },
    close: () => redis.close(),
  }
}

type Runners = { readonly [N in CommandName]: Runner<N> }

function makeRunners(redis: RedisStore, shas: Shas): Runners {
  const lateCall: LateCall = (script, inc, build) =>
    redis.sendLate(() => {
      const { keys, args } = build()
      return ['EVALSHA', shas.of(script, inc), keys.length, ...keys, ...args]
    })
  const single =
    <N extends CommandName>(codec: Codec<N>): Runner<N> =>
    async (input, shard, inc) => {
      const sha = shas.of(codec.script, inc)
      const keys = codec.keys(input, shard)
      try {
        const raw = await redis.send('EVALSHA', sha, keys.length, ...keys, ...codec.args(input))
        return codec.decode(raw, input)
      } catch (error) {
        if (error instanceof NoScriptError) return NOSCRIPT
        throw error
      }
    }
  return {
    reserve: makeGroups(groups.reserve, lateCall),
    settle: makeGroups(groups.settle, lateCall),
    renew: single(holds.renew),
    release: single(holds.release),
    recover: single(holds.recover),
    clear: single(holds.clear),
    'begin-account': single(loads.beginAccount),
    'load-account': single(loads.loadAccount),
    'begin-key': single(loads.beginKey),
    'load-key': single(loads.loadKey),
    lapsed: single(loads.lapsed),
    'account-seq': single(loads.accountSeq),
    'key-seq': single(loads.keySeq),
    'view-account': single(loads.viewAccount),
    'view-key': single(loads.viewKey),
  }
}

interface Shas {
  of(script: string, inc: number): string
}

/** SHAs by script for the number used last: there is one in force at a time. */
function makeShas(sources: Scripts): Shas {
  let number = -1
  let shas = new Map<string, string>()
  return {
    of(script: string, inc: number): string {
      if (inc !== number) {
        shas = new Map([...sources].map(([name, source]) => [name, numbered(source, inc).sha]))
        number = inc
      }
      const sha = shas.get(script)
      if (sha === undefined) throw new Error(`unknown script ${script}`)
      return sha
    },
  }
}
