import { IDEMPOTENCY_LEASE_MS, IDEMPOTENT_ANSWER_MS } from '../../kernel/limits/idempotency.ts'
import type { Micros } from '../../kernel/money.ts'
import type { Db, Row } from '../../store/db.ts'
import { bytesOf, microsOf, numberOf, orNull, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import type { IdempotentRequest } from './idempotency.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'claim-key',
  'read-key',
  'take-key',
  'renew-key',
  'free-key',
  'drop-expired-keys',
])

/** A row of `idempotent_requests`, narrowed. Times in Unix ms. */
export interface KeyRow {
  readonly holdId: string
  readonly bodyHash: Uint8Array
  readonly leaseUntilMs: number
  readonly charged: boolean
  /** What its hold was charged, perhaps by recovery; null = nothing was. */
  readonly chargedMicros: Micros | null
  readonly status: number | null
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | null
}

/** The statements behind idempotent requests, one function each. */
export interface KeyRows {
  claim(request: IdempotentRequest, nowMs: number): Promise<boolean>
  read(accountId: string, key: string): Promise<KeyRow | null>
  take(request: IdempotentRequest, from: KeyRow, nowMs: number): Promise<boolean>
  renew(request: IdempotentRequest, nowMs: number): Promise<void>
  free(request: IdempotentRequest): Promise<void>
  /** Drops at most `limit` expired rows. */
  dropExpired(nowMs: number, limit: number): Promise<void>
}

function headersOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(
    Object.entries(value).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    ),
  )
}

function narrow(row: Row): KeyRow {
  return {
    holdId: textOf(row, 'hold_id'),
    bodyHash: bytesOf(row, 'body_hash'),
    leaseUntilMs: numberOf(row, 'lease_until'),
    charged: textOf(row, 'state') === 'charged',
    chargedMicros: orNull(row, 'charged_micros', microsOf),
    status: orNull(row, 'status', numberOf),
    headers: headersOf(row.headers),
    body: orNull(row, 'body', bytesOf),
  }
}

export function makeKeyRows(db: Db): KeyRows {
  const leaseUntil = (nowMs: number): Date => new Date(nowMs + IDEMPOTENCY_LEASE_MS)
  const expires = (nowMs: number): Date => new Date(nowMs + IDEMPOTENT_ANSWER_MS)
  return {
    async claim({ accountId, key, holdId, bodyHash }, nowMs) {
      const params = [accountId, key, holdId, bodyHash, leaseUntil(nowMs), expires(nowMs)]
      return (await db.query(sql['claim-key'], params)).length === 1
    },
    async read(accountId, key) {
      const [row] = await db.query(sql['read-key'], [accountId, key])
      return row === undefined ? null : narrow(row)
    },
    async take({ accountId, key, holdId, bodyHash }, from, nowMs) {
      const lease = leaseUntil(nowMs)
      const now = new Date(nowMs)
      const params = [accountId, key, from.holdId, holdId, bodyHash, lease, expires(nowMs), now]
      return (await db.query(sql['take-key'], params)).length === 1
    },
    async renew({ accountId, key, holdId }, nowMs) {
      await db.query(sql['renew-key'], [accountId, key, holdId, leaseUntil(nowMs)])
    },
    async free({ accountId, key, holdId }) {
      await db.query(sql['free-key'], [accountId, key, holdId])
    },
    async dropExpired(nowMs, limit) {
      await db.query(sql['drop-expired-keys'], [new Date(nowMs), limit])
    },
  }
}
