import { REDIS_GROUP_MAX, REDIS_SHARED_MAX } from '../../kernel/limits/stores.ts'
import { NoScriptError, RedisReplyError } from '../../store/redis.ts'
import { NOSCRIPT, type CommandName, type Input, type Reply } from '../transport.ts'
import type { GroupCodec, Grouped } from './codec-groups.ts'
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

interface Waiting<N extends Grouped> {
  readonly input: Input<N>
  resolve(reply: Reply<N> | typeof NOSCRIPT): void
  reject(error: unknown): void
}

/** The commands of one key that travel in one call. */
interface Part<N extends Grouped> {
  readonly name: string
  readonly call: Call<N>
  readonly shard: ShardKeys
  readonly waiting: Waiting<N>[]
}

/** One script call, while it may still grow. */
interface Call<N extends Grouped> {
  readonly inc: number
  readonly first: Input<N>
  readonly parts: Part<N>[]
  size: number
  /** Found by commands to come. */
  isOpen: boolean
}

interface GroupsOptions<N extends Grouped> {
  readonly codec: GroupCodec<N>
  readonly call: LateCall
  /** In a cluster a script may touch one slot only. */
  readonly isCluster: boolean
}

/** Where all slots share their calls. */
const EVERYWHERE = -1

/** The calls that may still grow. */
function makeOpenCalls<N extends Grouped>(codec: GroupCodec<N>) {
  /** The youngest part of each key. */
  let byName = new Map<string, Part<N>>()
  /** The call that takes another part: always the youngest, so that no command overtakes others. */
  let bySlot = new Map<number, Call<N>>()
  let count = 0

  const grows = (call: Call<N>, inc: number, most: number, input: Input<N>): boolean =>
    call.inc === inc && call.size < most && codec.mayShare(call.first, input)

  return {
    /** The part that takes one more command. */
    part(input: Input<N>, name: string, inc: number): Part<N> | null {
      const part = byName.get(name)
      return part !== undefined && grows(part.call, inc, REDIS_GROUP_MAX, input) ? part : null
    },
    /** The call that takes one more part. */
    call(input: Input<N>, inc: number, slot: number): Call<N> | null {
      const call = bySlot.get(slot)
      return call !== undefined && grows(call, inc, REDIS_SHARED_MAX, input) ? call : null
    },
    begin(call: Call<N>, slot: number): void {
      count += 1
      call.isOpen = true
      bySlot.set(slot, call)
    },
    join(part: Part<N>): void {
      byName.set(part.name, part)
    },
    close(call: Call<N>, slot: number): void {
      if (!call.isOpen) return
      call.isOpen = false
      count -= 1
      if (count === 0) {
        // New maps: old tables of a map in long use keep things alive, see kernel/line.
        byName = new Map()
        bySlot = new Map()
        return
      }
      if (bySlot.get(slot) === call) bySlot.delete(slot)
      for (const part of call.parts) if (byName.get(part.name) === part) byName.delete(part.name)
    },
  }
}

/**
 * Gathers commands until they are written, so that a turn costs Redis few script calls instead of
 * one a request. Those of one key are carried out in the order they came.
 */
export function makeGroups<N extends Grouped>(options: GroupsOptions<N>): Runner<N> {
  const { codec, call: send } = options
  const open = makeOpenCalls(codec)
  let isCluster = options.isCluster

  function start(first: Input<N>, shard: ShardKeys, inc: number, slot: number): Call<N> {
    const call: Call<N> = { inc, first, parts: [], size: 0, isOpen: false }
    const build = () => {
      open.close(call, slot)
      return argumentsOf(codec, call)
    }
    send(shard, codec.script, inc, build).then(
      (raw) => {
        deal(codec, call, raw)
      },
      (error: unknown) => {
        open.close(call, slot)
        fail(call, error)
      },
    )
    return call
  }

  /**
   * An error of the script may be about one of the commands: then each is tried alone. What was
   * done before the error is answered as done before.
   */
  function fail({ parts, size, inc }: Call<N>, error: unknown): void {
    // Some proxies in front of a cluster look like a single Redis.
    if (error instanceof RedisReplyError && error.message.startsWith('CROSSSLOT')) isCluster = true
    const isShared = error instanceof RedisReplyError && size > 1
    for (const { name, shard, waiting } of parts) {
      for (const one of waiting) {
        if (error instanceof NoScriptError) one.resolve(NOSCRIPT)
        else if (isShared) add(addPart(start(one.input, shard, inc, EVERYWHERE), name, shard), one)
        else one.reject(error)
      }
    }
  }

  function partFor(input: Input<N>, shard: ShardKeys, inc: number): Part<N> {
    const name = codec.part(input)
    const joined = open.part(input, name, inc)
    if (joined !== null) return joined
    const slot = isCluster ? shard.slot : EVERYWHERE
    let call = open.call(input, inc, slot)
    if (call === null) {
      call = start(input, shard, inc, slot)
      open.begin(call, slot)
    }
    const part = addPart(call, name, shard)
    open.join(part)
    return part
  }

  return (input, shard, inc) =>
    new Promise((resolve, reject) => {
      add(partFor(input, shard, inc), { input, resolve, reject })
    })
}

function addPart<N extends Grouped>(call: Call<N>, name: string, shard: ShardKeys): Part<N> {
  const part = { name, call, shard, waiting: [] }
  call.parts.push(part)
  return part
}

function add<N extends Grouped>({ call, waiting }: Part<N>, one: Waiting<N>): void {
  waiting.push(one)
  call.size += 1
}

function argumentsOf<N extends Grouped>(codec: GroupCodec<N>, { first, parts }: Call<N>) {
  const keys: string[] = []
  const args = [...codec.shared(first)]
  for (const { shard, waiting } of parts) {
    const [{ input } = { input: first }] = waiting
    keys.push(...codec.keys(input, shard))
    codec.pushPart(args, input, waiting)
    for (const one of waiting) args.push(one.input.holdId)
    for (const one of waiting) codec.push(args, one.input)
  }
  return { keys, args }
}

function deal<N extends Grouped>(codec: GroupCodec<N>, { parts }: Call<N>, raw: unknown): void {
  const replies = readReplies(raw)
  let at = 0
  for (const { waiting } of parts) {
    for (const one of waiting) {
      try {
        one.resolve(codec.decode(replies, at))
      } catch (error) {
        one.reject(error)
      }
      at += 1
    }
  }
}
