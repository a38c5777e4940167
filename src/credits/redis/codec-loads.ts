import { LOAD_TOKEN_MS } from '../../kernel/limits/holds.ts'
import { micros } from '../../kernel/money.ts'
import type { AccountView, KeyView, LapsedHold, LoadReply, LoadToken } from '../commands.ts'
import type { AccountRef, KeyRef } from '../transport.ts'
import type { Codec } from './codec.ts'
import type { ShardKeys } from './keys.ts'
import { readDueMember, readRecord } from './record.ts'
import { accountStatus, oneOf, readReply, type ReplyReader } from './reply.ts'

const accountKeys = ({ accountId }: AccountRef, shard: ShardKeys) => [shard.account(accountId)]
const keyKeys = ({ accountId, keyId }: KeyRef, shard: ShardKeys) => [shard.key(accountId, keyId)]
const withHolds = (keys: readonly string[], { accountId }: AccountRef, shard: ShardKeys) => [
  ...keys,
  shard.holds(accountId),
]

const decodeToken = (raw: unknown): LoadToken => {
  const reply = readReply(raw)
  return { token: reply.text(0), wasLoaded: reply.int(1) === 1, nowMs: reply.int(2) }
}
const decodeLoad = (raw: unknown): LoadReply => ({
  kind: oneOf(['ok', 'refused'], readReply(raw).text(0)),
})
const decodeSeq = (raw: unknown): number | null => {
  const reply = readReply(raw)
  return reply.length === 0 ? null : reply.int(0)
}

export const beginAccount: Codec<'begin-account'> = {
  script: 'begin',
  keys: accountKeys,
  args: ({ token }) => [token, LOAD_TOKEN_MS],
  decode: decodeToken,
}

export const beginKey: Codec<'begin-key'> = {
  script: 'begin',
  keys: keyKeys,
  args: ({ token }) => [token, LOAD_TOKEN_MS],
  decode: decodeToken,
}

export const loadAccount: Codec<'load-account'> = {
  script: 'load-account',
  keys: (input, shard) => withHolds(accountKeys(input, shard), input, shard),
  args: ({ token, snapshot: s }) => [
    token,
    s.postedMicros,
    s.creditLimitMicros,
    s.status,
    s.version,
    s.changeSeq,
    s.requestsPerMinute ?? '',
    s.tokensPerMinute ?? '',
    s.maxConcurrency ?? '',
  ],
  decode: decodeLoad,
}

export const loadKey: Codec<'load-key'> = {
  script: 'load-key',
  keys: (input, shard) => withHolds(keyKeys(input, shard), input, shard),
  args: ({ token, keyId, snapshot: s }) => [
    token,
    keyId,
    s.status,
    s.expiresAtMs ?? '',
    s.budgetPeriod === null ? '' : (s.budgetMicros ?? ''),
    s.budgetPeriod ?? '',
    s.periodStartDay,
    s.spendMicros,
    s.requestsPerMinute ?? '',
    s.tokensPerMinute ?? '',
    s.maxConcurrency ?? '',
    s.version,
    s.changeSeq,
    s.lastDay,
  ],
  decode: decodeLoad,
}

export const lapsed: Codec<'lapsed'> = {
  script: 'lapsed',
  keys: (_input, shard) => [shard.due],
  args: ({ fromMs, skip, limit }) => [fromMs, skip, limit],
  decode(raw) {
    const reply = readReply(raw)
    const holds: LapsedHold[] = []
    for (let at = 0; at < reply.length; at += 2) {
      holds.push({ ...readDueMember(reply.text(at)), deadlineMs: reply.int(at + 1) })
    }
    return holds
  },
}

export const lapsedAccounts: Codec<'lapsed-accounts'> = {
  script: 'lapsed',
  keys: (_input, shard) => [shard.leases],
  args: ({ fromMs, skip, limit }) => [fromMs, skip, limit],
  decode(raw) {
    const reply = readReply(raw)
    const accounts = []
    for (let at = 0; at < reply.length; at += 2) {
      accounts.push({ accountId: reply.text(at), deadlineMs: reply.int(at + 1) })
    }
    return accounts
  },
}

export const lapsedHolds: Codec<'lapsed-holds'> = {
  script: 'lapsed-holds',
  keys: (input, shard) => [...withHolds(accountKeys(input, shard), input, shard), shard.leases],
  args: ({ accountId, cursor, limit }) => [accountId, cursor, limit],
  decode(raw, { accountId }) {
    const reply = readReply(raw)
    const holds: LapsedHold[] = []
    for (let at = 1; at < reply.length; at += 3) {
      const [holdId, keyId] = [reply.text(at), reply.text(at + 1)]
      holds.push({ accountId, keyId, holdId, deadlineMs: reply.int(at + 2) })
    }
    return { cursor: reply.text(0), holds }
  },
}

export const accountSeq: Codec<'account-seq'> = {
  script: 'change-seq',
  keys: accountKeys,
  args: () => [],
  decode: decodeSeq,
}

export const keySeq: Codec<'key-seq'> = {
  script: 'change-seq',
  keys: keyKeys,
  args: () => [],
  decode: decodeSeq,
}

const optionalOf =
  (reply: ReplyReader) =>
  (at: number): number | null =>
    reply.text(at) === '' ? null : reply.int(at)

export const viewAccount: Codec<'view-account'> = {
  script: 'view-account',
  keys: (input, shard) => withHolds(accountKeys(input, shard), input, shard),
  args: () => [],
  decode: (raw, { accountId }) => decodeAccount(raw, accountId),
}

function decodeAccount(raw: unknown, accountId: string): AccountView | null {
  const reply = readReply(raw)
  if (reply.length === 0) return null
  const holds = []
  const optional = optionalOf(reply)
  for (let at = 9; at < reply.length; at += 2) {
    holds.push(readRecord(accountId, reply.text(at), reply.text(at + 1)))
  }
  return {
    accountId,
    availableMicros: reply.micros(0),
    creditLimitMicros: reply.micros(1),
    status: accountStatus(reply.text(2)),
    changeSeq: reply.int(3),
    loadVersion: reply.int(4),
    requestsPerMinute: optional(5),
    tokensPerMinute: optional(6),
    maxConcurrency: optional(7),
    openHolds: reply.int(8),
    holds,
  }
}

export const viewKey: Codec<'view-key'> = {
  script: 'view-key',
  keys: (input, shard) => withHolds(keyKeys(input, shard), input, shard),
  args: ({ keyId }) => [keyId],
  decode: decodeKey,
}

function decodeKey(raw: unknown, { accountId, keyId }: KeyRef): KeyView | null {
  const reply = readReply(raw)
  if (reply.length === 0) return null
  const holds = []
  for (let at = 10; at < reply.length; at += 2) {
    holds.push(readRecord(accountId, reply.text(at), reply.text(at + 1)))
  }
  const optional = optionalOf(reply)
  const budget = optional(1)
  return {
    keyId,
    status: oneOf(['active', 'revoked'], reply.text(0)),
    budgetMicros: budget === null ? null : micros(budget),
    spendMicros: reply.micros(2),
    periodStartDay: reply.int(3),
    requestsPerMinute: optional(4),
    tokensPerMinute: optional(5),
    maxConcurrency: optional(6),
    openHolds: reply.int(7),
    changeSeq: reply.int(8),
    loadVersion: reply.int(9),
    holds,
  }
}
