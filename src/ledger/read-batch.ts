import { KEPT_BACK_MS } from '../kernel/limits/posting.ts'
import { minMicros, subMicros, ZERO } from '../kernel/money.ts'
import type { Row, Tx } from '../store/db.ts'
import { choiceOf, microsOf, numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Taken } from './burn.ts'
import type { OpenSheets } from './kept.ts'
import type { PostedRev, PostingInput, Trace } from './plan.ts'
import type { PostItem } from './receipt.ts'
import { makeSheet, type AccountState, type LotState, type Sheet } from './sheet.ts'
import { lockAccounts, readLot, readLots, type SheetContext } from './sheets.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'read-spendable',
  'read-posted-revs',
  'read-traces',
])

/**
 * Locks the accounts of a batch and reads what its plan needs. The statements travel together;
 * each sees what was committed when it started, so the later ones see all that the locks waited
 * for. Receipts that correct an earlier rev cost one more round trip.
 */
export async function readBatch(
  tx: Tx,
  items: readonly PostItem[],
  context: SheetContext,
): Promise<PostingInput & OpenSheets> {
  const back = context.nowMs - KEPT_BACK_MS
  const since = new Map([...earliestReserves(items)].map(([id, ms]) => [id, Math.min(ms, back)]))
  const holdIds = [...new Set(items.map(({ receipt }) => receipt.holdId))]
  const [accounts, lotRows, revRows] = await Promise.all([
    lockAccounts(tx, [...since.keys()]),
    tx.query(sql['read-spendable'], [
      [...since.keys()],
      [...since.values()].map((ms) => new Date(ms).toISOString()),
    ]),
    tx.query(sql['read-posted-revs'], [holdIds]),
  ])
  const posted = new Map(revRows.map((row) => [textOf(row, 'hold_id'), readPosted(row)]))
  const corrected = new Set(
    items
      .filter(({ receipt }) => receipt.rev > (posted.get(receipt.holdId)?.rev ?? receipt.rev))
      .map(({ receipt }) => receipt.holdId),
  )
  const lots = groupLots(lotRows)
  const traces = await readTraces(tx, [...corrected], lots)
  return { items, sheets: openSheets(accounts, lots, context), since, posted, traces }
}

/** By account: before it nothing of this batch was reserved. */
export function earliestReserves(items: readonly PostItem[]): Map<string, number> {
  const since = new Map<string, number>()
  for (const { receipt } of items) {
    const known = since.get(receipt.accountId) ?? Number.POSITIVE_INFINITY
    since.set(receipt.accountId, Math.min(known, receipt.reservedAtMs))
  }
  return since
}

const readPosted = (row: Row): PostedRev => ({
  accountId: textOf(row, 'account_id'),
  rev: numberOf(row, 'rev') === 1 ? 1 : 2,
  micros: microsOf(row, 'micros'),
  version: numberOf(row, 'version'),
})

type LotsById = Map<string, { accountId: string; lot: LotState }>

function groupLots(rows: readonly Row[]): LotsById {
  return new Map(
    rows.map((row) => [
      textOf(row, 'id'),
      { accountId: textOf(row, 'account_id'), lot: readLot(row) },
    ]),
  )
}

function openSheets(
  accounts: readonly AccountState[],
  lots: LotsById,
  context: SheetContext,
): Map<string, Sheet> {
  const byAccount = Map.groupBy(lots.values(), ({ accountId }) => accountId)
  return new Map(
    accounts.map((account) => {
      const own = (byAccount.get(account.id) ?? []).map(({ lot }) => lot)
      return [account.id, makeSheet(account, own, context.nowMs, context.newId)]
    }),
  )
}

/** What some holds took so far. Adds the lots they took it from, in any state, to `lots`. */
async function readTraces(
  tx: Tx,
  holdIds: readonly string[],
  lots: LotsById,
): Promise<Map<string, Trace>> {
  if (holdIds.length === 0) return new Map()
  const rows = await tx.query(sql['read-traces'], [holdIds])
  const accountOf = new Map<string, string>()
  for (const row of rows) {
    const lotId = orNull(row, 'lot_id', textOf)
    if (lotId !== null && !lots.has(lotId)) accountOf.set(lotId, textOf(row, 'account_id'))
  }
  for (const lot of await readLots(tx, [...accountOf.keys()])) {
    lots.set(lot.id, { accountId: accountOf.get(lot.id) ?? '', lot })
  }
  const byHold = Map.groupBy(rows, (row) => textOf(row, 'hold_id'))
  return new Map(holdIds.map((holdId) => [holdId, readTrace(holdId, byHold.get(holdId) ?? [])]))
}

/** From the entries of one hold, in order. */
function readTrace(holdId: string, rows: readonly Row[]): Trace {
  const isReversed = rows.some((row) => textOf(row, 'op_id') === `${holdId}:reverse`)
  return { taken: netTaken(holdId, rows), isReversed }
}

/** What the revs of a hold have taken, less what a smaller one gave back, in order of taking. */
export function netTaken(holdId: string, rows: readonly Row[]): Taken[] {
  const taken = new Map<string, Taken>()
  for (const row of rows) {
    const opId = textOf(row, 'op_id')
    if (opId !== `${holdId}:1` && opId !== `${holdId}:2`) continue
    const lotId = orNull(row, 'lot_id', textOf)
    const line = choiceOf(row, 'line', ['lot', 'debt', 'overage'])
    const before = taken.get(lotId ?? line)?.micros ?? ZERO
    taken.set(lotId ?? line, { lotId, line, micros: subMicros(before, microsOf(row, 'micros')) })
  }
  return withoutReturned([...taken.values()])
}

/**
 * What went back to a lot made for it (its line was repaid meanwhile) is a lot below zero here,
 * and less taken from the lines.
 */
function withoutReturned(parts: readonly Taken[]): Taken[] {
  let returned = parts.reduce(
    (sum, { micros }) => (micros < 0 ? subMicros(sum, micros) : sum),
    ZERO,
  )
  const left: Taken[] = []
  for (const part of parts) {
    const less = part.line === 'lot' ? ZERO : minMicros(part.micros, returned)
    returned = subMicros(returned, less)
    left.push({ ...part, micros: subMicros(part.micros, less) })
  }
  return left.filter(({ micros }) => micros > 0)
}
