import type * as c from '../commands.ts'
import type { Codec } from './codec.ts'
import type { ShardKeys } from './keys.ts'
import { dueMember } from './record.ts'
import { oneOf, readReply, stale } from './reply.ts'

const holdKeys = ({ accountId, keyId }: c.HoldRef, shard: ShardKeys): readonly string[] => [
  shard.account(accountId),
  shard.key(accountId, keyId),
  shard.holds(accountId),
  shard.receipts(accountId),
  shard.due,
]

export const renew: Codec<'renew'> = {
  script: 'renew',
  keys: (ref, shard) => [...holdKeys(ref, shard), shard.leases],
  args: (r) => [
    r.holdId,
    r.micros,
    r.progressMicros,
    r.day,
    r.reservedAtMs,
    r.tokens,
    r.leaseMs,
    r.owner,
    r.draft,
    r.keyId,
    dueMember(r),
    r.accountId,
  ],
  decode: (raw) => {
    const reply = readReply(raw)
    const kind = oneOf(['ok', 'gone', 'stale'], reply.text(0))
    if (kind === 'stale') return stale(reply)
    return kind === 'gone' ? { kind } : { kind, putBack: reply.int(1) === 1 }
  },
}

export const release: Codec<'release'> = {
  script: 'release',
  keys: holdKeys,
  args: (r) => [r.holdId, dueMember(r), r.isUncounted === true ? 1 : 0],
  decode: (raw) => {
    const reply = readReply(raw)
    const kind = oneOf(['ok', 'stale'], reply.text(0))
    return kind === 'stale' ? stale(reply) : { kind }
  },
}

export const recover: Codec<'recover'> = {
  script: 'recover',
  keys: holdKeys,
  args: (r) => [r.holdId, dueMember(r), r.deadlineMs],
  decode: (raw) => {
    const reply = readReply(raw)
    const kind = oneOf(['post', 'released', 'gone', 'alive', 'stale'], reply.text(0))
    if (kind === 'stale') return stale(reply)
    if (kind !== 'post') return { kind }
    return {
      kind,
      micros: reply.micros(1),
      rev: reply.int(2) === 1 ? 1 : 2,
      receipt: reply.text(3),
      day: reply.int(4),
      reservedAtMs: reply.int(5),
    }
  },
}

export const clear: Codec<'clear'> = {
  script: 'clear',
  keys: ({ accountId, items }, shard) => [
    shard.account(accountId),
    shard.holds(accountId),
    shard.receipts(accountId),
    shard.due,
    ...distinctKeys(items).map((keyId) => shard.key(accountId, keyId)),
  ],
  args: ({ accountId, items }) => {
    const keys = distinctKeys(items)
    const ids = items.map(({ holdId }) => holdId)
    const parts = items.flatMap((i) => [keys.indexOf(i.keyId) + 5, i.keyId, i.rev, i.version])
    return [accountId, ids.length, ...ids, ...parts]
  },
  decode: (raw, { items }) => {
    const reply = readReply(raw)
    const kind = oneOf(['done', 'stale'], reply.text(0))
    if (kind === 'stale') return stale(reply)
    const toLoad = new Set<number>()
    for (let at = 1; at < reply.length; at++) toLoad.add(reply.int(at))
    return { kind, items: items.map((_, at) => (toLoad.has(at + 1) ? 'load' : 'ok')) }
  },
}

const distinctKeys = (items: readonly c.ClearItem[]): readonly string[] => [
  ...new Set(items.map((item) => item.keyId)),
]
