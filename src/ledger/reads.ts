import { z } from 'zod'
import { micros } from '../kernel/money.ts'
import type { Usage } from '../kernel/usage.ts'
import type { Db, Row } from '../store/db.ts'
import { flagOf, microsOf, numberOf, orNull, textOf, choiceOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { BalanceView, Books, EntryView, LotView, ReceiptView, UsageQuery } from './books.ts'
import { byBurnOrder, type LotState } from './sheet.ts'
import { readLot } from './sheets.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'read-balance',
  'find-lot',
  'list-entries',
  'read-receipt',
  'list-usage',
])

type Reads = Pick<Books, 'balance' | 'lot' | 'entries' | 'receipt' | 'usage'>

export function makeReads(db: Db): Reads {
  return {
    async balance(accountId) {
      return readBalance(accountId, await db.query(sql['read-balance'], [accountId]))
    },
    async lot(accountId, referenceType, referenceId) {
      const [row] = await db.query(sql['find-lot'], [accountId, referenceType, referenceId])
      return row === undefined ? null : viewLot(accountId, readLot(row))
    },
    async entries(accountId, cursor, limit) {
      return (await db.query(sql['list-entries'], [accountId, cursor, limit])).map(readEntry)
    },
    async receipt(holdId, accountId) {
      if (!UUID.test(holdId)) return null
      const [row] = await db.query(sql['read-receipt'], [holdId, accountId])
      return row === undefined ? null : readReceipt(row)
    },
    async usage(query) {
      return (await db.query(sql['list-usage'], usageParams(query))).map(readReceipt)
    },
  }
}

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

const HIGHEST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
const LOWEST_ID = '00000000-0000-0000-0000-000000000000'
/** A hold's id is made when its request starts; more than a day apart, a clock was wrong. */
const ID_SLACK_MS = 86_400_000
/** Years that every Postgres and every Date can name. */
const EARLIEST_MS = 0
const LATEST_MS = Date.UTC(9999, 0)

function usageParams({ accountId, fromMs, toMs, cursor, limit }: UsageQuery) {
  const from = Math.max(fromMs ?? EARLIEST_MS, EARLIEST_MS)
  const to = Math.min(toMs ?? LATEST_MS, LATEST_MS)
  const lowest = fromMs === null ? LOWEST_ID : idAt(from - ID_SLACK_MS, '0')
  const highest = toMs === null ? HIGHEST_ID : idAt(to + ID_SLACK_MS, 'f')
  const below = cursor !== null && UUID.test(cursor) ? cursor : HIGHEST_ID
  return [accountId, new Date(from), new Date(to), below, lowest, highest, limit]
}

/** The least id that may be made at `ms` (Unix ms) or later, as text. */
export const leastIdAt = (ms: number): string => idAt(Math.floor(ms), '0')

/** A UUID of that millisecond (v7 starts with it), the rest filled with one digit. */
function idAt(ms: number, fill: string): string {
  const time = Math.max(ms, 0).toString(16).padStart(12, '0')
  const hex = time + fill.repeat(20)
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

export const viewLot = (accountId: string, lot: LotState): LotView => ({
  id: lot.id,
  accountId,
  kind: lot.kind,
  priority: lot.priority,
  state: lot.state,
  grantedMicros: lot.grantedMicros,
  remainingMicros: lot.remainingMicros,
  effectiveAtMs: lot.effectiveAtMs,
  expiresAtMs: lot.expiresAtMs,
  reason: lot.reason,
  referenceId: lot.referenceId,
  createdAtMs: lot.createdAtMs,
})

function readBalance(accountId: string, rows: readonly Row[]): BalanceView | null {
  const [first] = rows
  if (first === undefined) return null
  const lots = rows.filter((row) => row.id !== null).map(readLot)
  return {
    accountId,
    postedMicros: microsOf(first, 'posted_micros'),
    debtMicros: microsOf(first, 'debt_micros'),
    overageMicros: microsOf(first, 'overage_micros'),
    lots: lots.sort(byBurnOrder).map((lot) => viewLot(accountId, lot)),
  }
}

const readEntry = (row: Row): EntryView => ({
  seq: numberOf(row, 'seq'),
  lotId: orNull(row, 'lot_id', textOf),
  line: choiceOf(row, 'line', ['lot', 'debt', 'overage']),
  movementType: textOf(row, 'movement_type'),
  micros: microsOf(row, 'micros'),
  reason: orNull(row, 'reason', textOf),
  referenceType: textOf(row, 'reference_type'),
  referenceId: textOf(row, 'reference_id'),
  opId: textOf(row, 'op_id'),
  createdAtMs: numberOf(row, 'created_at'),
})

const buckets = z.record(z.string(), z.number())
const storedUsage: z.ZodType<Usage> = z.looseObject({
  iterations: z
    .array(z.object({ type: z.string(), model: z.string().nullable(), usage: buckets }))
    .exactOptional(),
})
const storedEntries = z.array(
  z.object({
    lot_id: z.string().nullable(),
    line: z.string(),
    micros: z.number().transform(micros),
  }),
)

const readReceipt = (row: Row): ReceiptView => ({
  holdId: textOf(row, 'hold_id'),
  rev: numberOf(row, 'rev') === 1 ? 1 : 2,
  accountId: textOf(row, 'account_id'),
  keyId: textOf(row, 'key_id'),
  micros: microsOf(row, 'micros'),
  late: flagOf(row, 'late'),
  estimated: flagOf(row, 'estimated'),
  protocol: textOf(row, 'protocol'),
  endpoint: textOf(row, 'endpoint'),
  upstream: textOf(row, 'upstream'),
  model: textOf(row, 'model'),
  stream: flagOf(row, 'stream'),
  usage: storedUsage.parse(row.usage),
  providerCostPicoUsd: textOf(row, 'provider_cost_pico_usd'),
  priceVersion: textOf(row, 'price_version'),
  httpStatus: orNull(row, 'http_status', numberOf),
  startedAtMs: numberOf(row, 'started_at'),
  firstByteMs: orNull(row, 'first_byte_ms', numberOf),
  durationMs: orNull(row, 'duration_ms', numberOf),
  postedAtMs: numberOf(row, 'posted_at'),
  reversedMicros: microsOf(row, 'reversed_micros'),
  entries: storedEntries
    .parse(row.entries)
    .map((entry) => ({ lotId: entry.lot_id, line: entry.line, micros: entry.micros })),
})
