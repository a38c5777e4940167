import { invariant } from '../kernel/invariant.ts'
import { isoTime } from '../kernel/iso-time.ts'
import type { Param, Row, Tx } from '../store/db.ts'
import { choiceOf, microsOf, numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Posting } from './plan.ts'
import { recordArray, type Field } from './records.ts'
import { makeSheet, type AccountState, type LotState, type Sheet } from './sheet.ts'
import { receiptFields, spendRows } from './usage-rows.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'lock-accounts',
  'read-open-lots',
  'read-lots',
  'insert-lots',
  'write-sheets',
])

/** What a sheet needs besides the rows. */
export interface SheetContext {
  readonly nowMs: number
  readonly newId: () => string
}

/** Locks accounts in id order until the transaction ends; those that do not exist are missing. */
export async function lockAccounts(tx: Tx, ids: readonly string[]): Promise<AccountState[]> {
  const rows = await tx.query(sql['lock-accounts'], [ids])
  return rows.map((row) => ({
    id: textOf(row, 'id'),
    overageLimitMicros: microsOf(row, 'overage_limit_micros'),
    postedMicros: microsOf(row, 'posted_micros'),
    debtMicros: microsOf(row, 'debt_micros'),
    overageMicros: microsOf(row, 'overage_micros'),
    version: numberOf(row, 'version'),
    changeSeq: numberOf(row, 'change_seq'),
    entrySeq: numberOf(row, 'entry_seq'),
    nextChangeAtMs: orNull(row, 'next_change_at', numberOf),
    meterPlan: orNull(row, 'meter_plan', textOf),
  }))
}

export function readLot(row: Row): LotState {
  return {
    id: textOf(row, 'id'),
    kind: choiceOf(row, 'kind', ['promo', 'included', 'paid']),
    priority: numberOf(row, 'priority'),
    grantedMicros: microsOf(row, 'granted_micros'),
    effectiveAtMs: numberOf(row, 'effective_at'),
    expiresAtMs: orNull(row, 'expires_at', numberOf),
    createdAtMs: numberOf(row, 'created_at'),
    reason: textOf(row, 'reason'),
    referenceType: textOf(row, 'reference_type'),
    referenceId: textOf(row, 'reference_id'),
    state: choiceOf(row, 'state', ['pending', 'active', 'expired']),
    remainingMicros: microsOf(row, 'remaining_micros'),
    expiredMicros: microsOf(row, 'expired_micros'),
    expiredAtMs: orNull(row, 'expired_at', numberOf),
  }
}

export async function readLots(tx: Tx, ids: readonly string[]): Promise<LotState[]> {
  if (ids.length === 0) return []
  return (await tx.query(sql['read-lots'], [ids])).map(readLot)
}

/**
 * Locks one account and opens its sheet with its open lots and those named in `lotIds`.
 * null = no such account.
 */
export async function openSheet(
  tx: Tx,
  accountId: string,
  lotIds: readonly string[],
  context: SheetContext,
): Promise<Sheet | null> {
  const [[account], openRows] = await Promise.all([
    lockAccounts(tx, [accountId]),
    tx.query(sql['read-open-lots'], [accountId]),
  ])
  if (account === undefined) return null
  const lots = openRows.map(readLot)
  const known = new Set(lots.map(({ id }) => id))
  const named = await readLots(
    tx,
    lotIds.filter((id) => !known.has(id)),
  )
  return makeSheet(account, [...lots, ...named], context.nowMs, context.newId)
}

/**
 * Writes what happened to an account outside of requests: version and change_seq rise, so every
 * copy in a credit engine is loaded again. Source: design §4.
 */
export async function writeChange(tx: Tx, sheet: Sheet): Promise<void> {
  sheet.account.version += 1
  sheet.account.changeSeq += 1
  mustBeWritten(await sendSheets(tx, [sheet], { postings: [], unposted: [] }, sheet.nowMs))
}

/** Throws where accounts were not written although they are locked. */
export function mustBeWritten(written: readonly Row[]): void {
  invariant(written.length > 0, 'an account changed under its lock')
}

/** One statement with its parameters. */
export interface Statement {
  readonly sql: string
  readonly params: readonly Param[]
}

export interface Receipts {
  readonly postings: readonly Posting[]
  /** Holds of which nothing may have been posted. */
  readonly unposted: readonly string[]
}

/**
 * Writes sheets as they are, and receipts. Versions are the caller's to raise. Answers no rows
 * where nothing was written, because an account or a hold was no longer as it was.
 */
export function sendSheets(
  tx: Tx,
  sheets: readonly Sheet[],
  { postings, unposted }: Receipts,
  nowMs: number,
): Promise<readonly Row[]> {
  const now = new Date(nowMs)
  const newLots = sheets.flatMap((sheet) => sheet.newLots.map((lot) => newLotJson(sheet, lot)))
  if (newLots.length > 0) void tx.query(sql['insert-lots'], [JSON.stringify(newLots), now])
  return tx.query(sql['write-sheets'], [
    recordArray(sheets.map(accountFields)),
    recordArray(sheets.flatMap(changedLots)),
    recordArray(spendRows(postings)),
    now,
    recordArray(sheets.flatMap(entryRows)),
    recordArray(postings.map(receiptFields)),
    `{${unposted.join(',')}}`,
  ])
}

const iso = (ms: number | null): string | null => (ms === null ? null : isoTime(ms))

const accountFields = ({ account, was }: Sheet): Field[] => [
  account.id,
  was.version,
  was.changeSeq,
  was.postedMicros,
  account.postedMicros,
  account.debtMicros,
  account.overageMicros,
  account.version,
  account.entrySeq,
  iso(account.nextChangeAtMs),
  account.changeSeq,
]

const changedLots = ({ changedLots, newLots }: Sheet): Field[][] =>
  [...changedLots].filter((lot) => !newLots.includes(lot)).map(lotFields)

const lotFields = (lot: LotState): Field[] => [
  lot.id,
  lot.state,
  lot.remainingMicros,
  lot.expiredMicros,
  iso(lot.expiredAtMs),
]

const newLotJson = (sheet: Sheet, lot: LotState) => ({
  id: lot.id,
  account_id: sheet.account.id,
  kind: lot.kind,
  priority: lot.priority,
  state: lot.state,
  granted_micros: lot.grantedMicros,
  remaining_micros: lot.remainingMicros,
  effective_at: iso(lot.effectiveAtMs),
  expires_at: iso(lot.expiresAtMs),
  reason: lot.reason,
  reference_type: lot.referenceType,
  reference_id: lot.referenceId,
})

const entryRows = ({ account, entries }: Sheet): Field[][] =>
  entries.map(({ seq, lotId, line, type, micros, op }) => [
    account.id,
    seq,
    lotId,
    line,
    type,
    micros,
    op.reason,
    op.referenceType,
    op.referenceId,
    op.id,
  ])
