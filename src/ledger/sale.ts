import { invariant, PastCountError } from '../kernel/invariant.ts'
import { addMicros, maxMicros, minMicros, subMicros, ZERO, type Micros } from '../kernel/money.ts'
import type { Row, Tx } from '../store/db.ts'
import { microsOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { GrantInput } from './books.ts'
import { addLot, addReturnLot, creditLot, takeBack } from './burn.ts'
import { roomAbove } from './room.ts'
import { moveLine, refillLot, type LotState, type Op, type Sheet } from './sheet.ts'
import { openSheet, readLot, writeChange, type SheetContext } from './sheets.ts'
import { expireLot, grantOpOf } from './turn.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['find-sale-lots', 'read-sale-moves'])

/** What the ledger should say about one sale; whatever it says now is brought to that. */
export interface Sale {
  /** Names the sale, its lot and its entries for good, as in "checkout:cs_…". Without '#'. */
  readonly key: string
  readonly lot: Pick<GrantInput, 'micros' | 'kind' | 'priority' | 'expiresAtMs' | 'reason'>
  /** To be taken back in all for refunds, and for disputes; together at most the lot's micros. */
  readonly refundMicros: Micros
  readonly disputeMicros: Micros
}

export interface SettledSale {
  readonly key: string
  readonly lotId: string
  readonly granted: boolean
  /** Taken back by this call; below zero: given back. */
  readonly takenMicros: Micros
}

/** What earlier calls have taken, by lot ('' = below zero), in order of taking. */
interface Moved {
  readonly byLot: ReadonlyMap<string, Micros>
  readonly totalMicros: Micros
  readonly disputeMicros: Micros
  /** Number of the next operation. */
  readonly next: number
}

const PART = /^sale:[^#]*#(\d+)$/

function readMoved(rows: readonly Row[]): Moved {
  const byLot = new Map<string, Micros>()
  let [total, dispute, next] = [ZERO, ZERO, 1]
  for (const row of rows) {
    // Entries of the second halves (":reinstate", ":expire") move nothing between seller and buyer.
    const number = PART.exec(textOf(row, 'op_id'))?.[1]
    if (number === undefined) continue
    const lotId = orNull(row, 'lot_id', textOf) ?? ''
    const taken = subMicros(ZERO, microsOf(row, 'micros'))
    byLot.set(lotId, addMicros(byLot.get(lotId) ?? ZERO, taken))
    total = addMicros(total, taken)
    if (row.movement_type === 'dispute') dispute = addMicros(dispute, taken)
    next = Math.max(next, Number(number) + 1)
  }
  return { byLot, totalMicros: total, disputeMicros: dispute, next }
}

const opOf = (sale: Sale, number: number, reason: string): Op => ({
  id: `sale:${sale.key}#${number}`,
  referenceType: 'sale',
  referenceId: sale.key,
  reason,
})

/** As what repaid a debt was bought: it does not expire. */
const PAID_LOT = { kind: 'paid', priority: 0, expiresAtMs: null } as const

/** What was taken as debt and not given back since, on whatever line or lot it came back. */
const takenAsDebt = ({ byLot }: Moved): Micros =>
  [...byLot].reduce(
    (sum, [lotId, taken]) => (lotId === '' || taken < 0 ? addMicros(sum, taken) : sum),
    ZERO,
  )

/**
 * Gives back `amount` of what was taken: debt first, what was debt and has been repaid meanwhile
 * then, and the rest to the lots it came from. A lot whose time is over loses it again at once; not
 * so what repaid the debt, because those credits were other ones, paid for by themselves.
 */
function restore(sheet: Sheet, lot: LotState, amount: Micros, moved: Moved, op: Op): void {
  const repaid = minMicros(amount, sheet.account.debtMicros)
  if (repaid > 0) moveLine(sheet, 'debt', 'reinstatement', repaid, op)
  let left = subMicros(amount, repaid)
  const owed = maxMicros(ZERO, subMicros(takenAsDebt(moved), repaid))
  const paid = lot.expiresAtMs === null ? ZERO : minMicros(left, owed)
  if (paid > 0) {
    addReturnLot(sheet, PAID_LOT, 'reinstatement', paid, op)
    left = subMicros(left, paid)
  }
  for (const [lotId, taken] of [...moved.byLot].toReversed()) {
    const other = sheet.lots.find(({ id }) => id === lotId)
    if (other === undefined || other === lot) continue
    const back = maxMicros(ZERO, minMicros(left, taken))
    if (back > 0) refillLot(sheet, other, 'reinstatement', back, op)
    left = subMicros(left, back)
  }
  if (left > 0) refillLot(sheet, lot, 'reinstatement', left, op)
}

/** Takes what is still to be taken, as refund and as dispute, or gives back what is too much. */
function level(sheet: Sheet, sale: Sale, lot: LotState, moved: Moved): Micros {
  const target = addMicros(sale.refundMicros, sale.disputeMicros)
  invariant(target >= 0 && target <= sale.lot.micros, `${sale.key}: more back than was sold`)
  const delta = subMicros(target, moved.totalMicros)
  if (delta < 0) {
    const op = opOf(sale, moved.next, 'refund failed or dispute won')
    restore(sheet, lot, subMicros(ZERO, delta), moved, op)
    return delta
  }
  const open = maxMicros(ZERO, subMicros(sale.disputeMicros, moved.disputeMicros))
  const dispute = minMicros(delta, open)
  const refund = subMicros(delta, dispute)
  if (refund > 0) takeBack(sheet, lot, 'refund', refund, opOf(sale, moved.next, 'refunded'))
  const number = refund > 0 ? moved.next + 1 : moved.next
  if (dispute > 0) takeBack(sheet, lot, 'dispute', dispute, opOf(sale, number, 'disputed'))
  return delta
}

/** Throws PastCountError where the account has no room: who bought it must be told by a person. */
function grantLot(sheet: Sheet, { key, lot }: Sale): LotState {
  if (lot.micros > roomAbove(sheet)) {
    throw new PastCountError(`${key}: the account has no room for what was sold`)
  }
  const added = addLot(sheet, {
    kind: lot.kind,
    priority: lot.priority,
    grantedMicros: lot.micros,
    effectiveAtMs: sheet.nowMs,
    expiresAtMs: lot.expiresAtMs,
    reason: lot.reason,
    referenceType: 'sale',
    referenceId: key,
  })
  creditLot(sheet, added, 'grant', grantOpOf(added))
  return added
}

/**
 * Brings the ledger of one account to what `sales` say, in one transaction under its lock: grants
 * what was not granted, takes back or gives back the difference. The same call again does nothing.
 * null = no such account. Source: design §5 (a clawback), §6 (I5), §7 (level-triggered).
 */
export async function settleSales(
  tx: Tx,
  accountId: string,
  sales: readonly Sale[],
  context: SheetContext,
): Promise<SettledSale[] | null> {
  // Locked once without its lots: what the sales have moved is only certain under the lock.
  if ((await openSheet(tx, accountId, [], context)) === null) return null
  const keys = sales.map(({ key }) => key)
  const [lotRows, moveRows] = await Promise.all([
    tx.query(sql['find-sale-lots'], [accountId, keys]),
    tx.query(sql['read-sale-moves'], [keys]),
  ])
  const moves = Map.groupBy(moveRows, (row) => textOf(row, 'key'))
  const touched = moveRows.flatMap((row) => orNull(row, 'lot_id', textOf) ?? [])
  const lotIds = new Set([...lotRows.map((row) => readLot(row).id), ...touched])
  const sheet = await openSheet(tx, accountId, [...lotIds], context)
  invariant(sheet !== null, `account ${accountId} is gone`)
  const settled = sales.map((sale): SettledSale => {
    const known = sheet.lots.find(
      (lot) => lot.referenceType === 'sale' && lot.referenceId === sale.key,
    )
    const lot = known ?? grantLot(sheet, sale)
    const takenMicros = level(sheet, sale, lot, readMoved(moves.get(sale.key) ?? []))
    return { key: sale.key, lotId: lot.id, granted: known === undefined, takenMicros }
  })
  if (sheet.entries.length > 0) await writeChange(tx, sheet)
  return settled
}

/**
 * Ends what is left of some sales' lots, as their expiry would; those that ended stay as they are.
 * Locks the account. Answers whether anything happened.
 */
export async function endSales(
  tx: Tx,
  accountId: string,
  keys: readonly string[],
  context: SheetContext,
): Promise<boolean> {
  if ((await openSheet(tx, accountId, [], context)) === null) return false
  const rows = await tx.query(sql['find-sale-lots'], [accountId, keys])
  const ids = rows.map((row) => readLot(row).id)
  const sheet = await openSheet(tx, accountId, ids, context)
  invariant(sheet !== null, `account ${accountId} is gone`)
  const open = sheet.lots.filter(({ id, state }) => state === 'active' && ids.includes(id))
  for (const lot of open) expireLot(sheet, lot)
  if (open.length > 0) await writeChange(tx, sheet)
  return open.length > 0
}
