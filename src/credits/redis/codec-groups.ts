import type * as c from '../commands.ts'
import type { CommandName, Input, Reply } from '../transport.ts'
import type { ShardKeys } from './keys.ts'
import { oneOf, readReply, stale, type ReplyReader } from './reply.ts'

/** Commands that travel together. */
export type Grouped = Extract<CommandName, 'reserve' | 'settle'>

type Args = readonly (string | number)[]

/** A command that waits for its call. */
export interface Waits<N extends Grouped> {
  readonly input: Input<N>
}

/**
 * How commands that come in one turn of the event loop travel together: one script call, in which
 * those of one key make a part, and one reply each. A call's KEYS are those of its parts; its ARGV
 * the shared ones, then for each part what `pushPart` adds, the ids of its holds and what `push`
 * adds for each. Arguments cost Redis more than their bytes: what a script seldom reads shares one.
 */
export interface GroupCodec<N extends Grouped> {
  /** Name of the Lua file. */
  readonly script: string
  /** Whether both may travel in one call. */
  mayShare(one: Input<N>, other: Input<N>): boolean
  /** Commands with the same name make a part. */
  part(input: Input<N>): string
  /** KEYS of a part. */
  keys(input: Input<N>, shard: ShardKeys): readonly string[]
  /** ARGV of the whole call. */
  shared(input: Input<N>): Args
  /** Adds the arguments of a part: of its first command, and of all, which it is one of. */
  pushPart(args: (string | number)[], first: Input<N>, all: readonly Waits<N>[]): void
  /** Adds the arguments of one command. */
  push(args: (string | number)[], input: Input<N>): void
  /** Reads the reply to the command that was the `at`-th of its call, from 0. */
  decode(replies: readonly unknown[], at: number): Reply<N>
}

export const reserve: GroupCodec<'reserve'> = {
  script: 'reserve',
  mayShare: (a, b) => a.fitShares === b.fitShares && a.leaseMs === b.leaseMs && a.owner === b.owner,
  part: (r) => `${r.keyId} ${r.accountId} ${r.keySeq}`,
  keys: ({ accountId, keyId }, shard) => [
    shard.account(accountId),
    shard.key(accountId, keyId),
    shard.holds(accountId),
    shard.leases,
  ],
  shared: (r) => [r.fitShares, r.leaseMs, r.owner],
  pushPart(args, first, waiting) {
    let earliestMs = Infinity
    let numbers = ''
    for (const { input } of waiting) {
      earliestMs = Math.min(earliestMs, input.notAfterMs)
      numbers += `${input.tokens} ${input.notAfterMs} `
    }
    args.push(first.keyId, first.accountId, first.keySeq, earliestMs, numbers, waiting.length)
  },
  push(args, { wantMicros, leastMicros }) {
    args.push(wantMicros === leastMicros ? wantMicros : `${wantMicros} ${leastMicros}`)
  },
  decode(replies, at) {
    const all = readReply(replies)
    const nowMs = all.int(1)
    if (Array.isArray(replies[2 * at + 2]))
      return decodeReserve(readReply(replies[2 * at + 2]), nowMs)
    return {
      kind: 'ok',
      micros: all.micros(2 * at + 2),
      day: all.int(0),
      reservedAtMs: nowMs,
      nowMs,
      availableMicros: all.micros(2 * at + 3),
    }
  },
}

/** Whatever is not newly held. */
function decodeReserve(reply: ReplyReader, nowMs: number): c.ReserveReply {
  const kind = reply.text(0)
  switch (kind) {
    case 'again':
      return {
        kind: 'ok',
        micros: reply.micros(1),
        day: reply.int(2),
        reservedAtMs: reply.int(3),
        nowMs,
        availableMicros: reply.micros(4),
      }
    case 'insufficient':
      return { kind, availableMicros: reply.micros(1) }
    case 'held':
      return { kind, availableMicros: reply.micros(1), heldMicros: reply.micros(2) }
    case 'budget':
      return { kind, leftMicros: reply.micros(1), heldMicros: reply.micros(2) }
    case 'rate': {
      const limit = oneOf(['requests', 'tokens', 'concurrency'], reply.text(1))
      const of = oneOf(['key', 'account'], reply.text(3))
      return { kind, of, limit, retryAfterMs: reply.int(2) }
    }
    case 'blocked':
      return { kind: 'account_blocked', status: oneOf(['frozen', 'suspended'], reply.text(1)) }
    case 'too_late':
      return { kind, nowMs }
    case 'stale':
      return stale(reply)
    default:
      return { kind: oneOf(['key_invalid'], kind) }
  }
}

export const settle: GroupCodec<'settle'> = {
  script: 'settle',
  mayShare: () => true,
  part: (s) => `${s.keyId} ${s.accountId}`,
  keys: ({ accountId, keyId }, shard) => [
    shard.account(accountId),
    shard.key(accountId, keyId),
    shard.holds(accountId),
    shard.receipts(accountId),
  ],
  shared: () => [],
  pushPart(args, _first, waiting) {
    let tokens = ''
    for (const { input } of waiting) tokens += `${input.tokens} `
    args.push(waiting.length, tokens)
  },
  push(args, s) {
    args.push(s.rev === 2 ? s.micros : `${s.micros} ${s.rev}`, s.receipt)
  },
  decode(replies, at) {
    if (!Array.isArray(replies[at])) {
      return { kind: 'ok', availableMicros: readReply(replies).micros(at) }
    }
    const reply = readReply(replies[at])
    const kind = oneOf(['gone', 'late', 'stale'], reply.text(0))
    return kind === 'stale' ? stale(reply) : { kind }
  },
}
