import { REDIS_GROUP_MAX } from '../../kernel/limits.ts'
import { NoScriptError, RedisReplyError } from '../../store/redis.ts'
import { NOSCRIPT, type CommandName, type Input, type Reply } from '../transport.ts'
import type { GroupCodec } from './codec-groups.ts'
import { readReplies } from './reply.ts'
import type { ShardKeys } from './keys.ts'

/** Calls a script; the call is built when it is written, so that it may grow until then. */
export type LateCall = (
  shard: ShardKeys,
  script: string,
  inc: number,
  build: () => { keys: readonly string[]; args: readonly (string | number)[] },
) => Promise<unknown>

/** Carries out one command under an incarnation. */
export type Runner<N extends CommandName> = (
  input: Input<N>,
  shard: ShardKeys,
  inc: number,
) => Promise<Reply<N> | typeof NOSCRIPT>

interface Waiting<N extends CommandName> {
  readonly input: Input<N>
  resolve(reply: Reply<N> | typeof NOSCRIPT): void
  reject(error: unknown): void
}

interface Group<N extends CommandName> {
  readonly waiting: Waiting<N>[]
  readonly args: (string | number)[]
}

/**
 * Gathers the commands of one key until they are written, so that a busy key costs Redis one script
 * call a turn instead of one a request. They are carried out in the order they came.
 */
export function makeGroups<N extends CommandName>(codec: GroupCodec<N>, call: LateCall): Runner<N> {
  const open = new Map<string, Group<N>>()

  function start(first: Input<N>, shard: ShardKeys, inc: number, name: string | null): Group<N> {
    const group: Group<N> = { waiting: [], args: [...codec.shared(first)] }
    const close = (): void => {
      if (name !== null && open.get(name) === group) open.delete(name)
    }
    if (name !== null) open.set(name, group)
    const build = () => {
      close()
      return { keys: codec.keys(first, shard), args: group.args }
    }
    call(shard, codec.script, inc, build).then(
      (raw) => {
        deal(codec, group, raw)
      },
      (error: unknown) => {
        close()
        fail(group, shard, inc, error)
      },
    )
    return group
  }

  /** An error of the script may be about one of the commands: then each is tried alone. */
  function fail(group: Group<N>, shard: ShardKeys, inc: number, error: unknown): void {
    const isShared = error instanceof RedisReplyError && group.waiting.length > 1
    for (const one of group.waiting) {
      if (error instanceof NoScriptError) one.resolve(NOSCRIPT)
      else if (isShared) add(start(one.input, shard, inc, null), one)
      else one.reject(error)
    }
  }

  function add(group: Group<N>, one: Waiting<N>): void {
    codec.push(group.args, one.input)
    group.waiting.push(one)
  }

  return (input, shard, inc) =>
    new Promise((resolve, reject) => {
      const name = `${inc} ${codec.group(input)}`
      const found = open.get(name)
      const hasRoom = found !== undefined && found.waiting.length < REDIS_GROUP_MAX
      add(hasRoom ? found : start(input, shard, inc, name), { input, resolve, reject })
    })
}

function deal<N extends CommandName>(codec: GroupCodec<N>, { waiting }: Group<N>, raw: unknown) {
  const replies = readReplies(raw)
  waiting.forEach((one, at) => {
    try {
      one.resolve(codec.decode(replies, at))
    } catch (error) {
      one.reject(error)
    }
  })
}
