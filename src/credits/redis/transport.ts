import { SHARDS } from '../../kernel/limits.ts'
import { digestOf, loadLua, numbered, type LuaSource } from '../../store/lua.ts'
import { NoScriptError, type RedisStore } from '../../store/redis.ts'
import { NOSCRIPT, type CommandName, type Input, type Transport } from '../transport.ts'
import type { Codec } from './codec.ts'
import * as holds from './codec-holds.ts'
import * as loads from './codec-loads.ts'
import { keysOf } from './keys.ts'
import { readReply } from './reply.ts'

const CODECS: { readonly [N in CommandName]: Codec<N> } = {
  reserve: holds.reserve,
  renew: holds.renew,
  settle: holds.settle,
  release: holds.release,
  recover: holds.recover,
  clear: holds.clear,
  'begin-account': loads.beginAccount,
  'load-account': loads.loadAccount,
  'begin-key': loads.beginKey,
  'load-key': loads.loadKey,
  lapsed: loads.lapsed,
  'account-seq': loads.accountSeq,
  'key-seq': loads.keySeq,
  'view-account': loads.viewAccount,
  'view-key': loads.viewKey,
}

/** The scripts of all commands, by file name. */
export type Scripts = ReadonlyMap<string, LuaSource>

/** Reads the Lua files once, at start. */
export function readScripts(): Scripts {
  const names = [...new Set(Object.values(CODECS).map((codec) => codec.script))]
  return loadLua(new URL('./lua/', import.meta.url), names)
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

  return {
    kind: 'redis',
    shards: SHARDS,
    nodeOf: () => node,
    async run<N extends CommandName>(name: N, shard: number, input: Input<N>, inc: number) {
      const codec: Codec<N> = CODECS[name]
      const sha = shas.of(codec.script, inc)
      const scriptKeys = codec.keys(input, keys[shard] ?? keysOf(shard))
      const args = codec.args(input)
      try {
        const raw = await redis.send('EVALSHA', sha, scriptKeys.length, ...scriptKeys, ...args)
        return codec.decode(raw, input)
      } catch (error) {
        if (error instanceof NoScriptError) return NOSCRIPT
        throw error
      }
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

/** SHAs by script for the number used last: there is one in force at a time. */
function makeShas(sources: Scripts) {
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
