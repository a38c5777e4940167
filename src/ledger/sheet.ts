import { invariant } from '../kernel/invariant.ts'
import { addMicros, subMicros, ZERO, type Micros } from '../kernel/money.ts'
import type { LotKind } from './books.ts'

/** A lot as it is read under its account's lock, and changed in memory until it is written. */
export interface LotState {
  readonly id: string
  readonly kind: LotKind
  readonly priority: number
  readonly grantedMicros: Micros
  readonly effectiveAtMs: number
  readonly expiresAtMs: number | null
  readonly createdAtMs: number
  readonly reason: string
  readonly referenceType: string
  readonly referenceId: string
  state: 'pending' | 'active' | 'expired'
  remainingMicros: Micros
  /** What its expiry took away and nothing has brought back. */
  expiredMicros: Micros
  /** When its expiry was posted. */
  expiredAtMs: number | null
}

export interface AccountState {
  readonly id: string
  readonly overageLimitMicros: Micros
  /** The plan that decides what of its usage Stripe bills; null = nothing. */
  readonly meterPlan: string | null
  postedMicros: Micros
  debtMicros: Micros
  overageMicros: Micros
  version: number
  changeSeq: number
  entrySeq: number
  nextChangeAtMs: number | null
}

export type MovementType =
  | 'grant'
  | 'usage'
  | 'expiry'
  | 'refund'
  | 'dispute'
  | 'reinstatement'
  | 'adjustment'
  | 'reversal'
  | 'billed'

/** Why something moves. `id` is unique for good: with the lot or line it names one entry. */
export interface Op {
  readonly id: string
  readonly referenceType: string
  readonly referenceId: string
  readonly reason: string | null
}

/** One movement, negative = out of the account. Its account is the sheet's. */
export interface Entry {
  readonly seq: number
  readonly lotId: string | null
  readonly line: 'lot' | 'debt' | 'overage'
  readonly type: MovementType
  readonly micros: Micros
  readonly op: Op
}

/**
 * What one transaction does to one account: its state, changed as movements are noted, and the
 * movements. I1 holds after every call below: Σ entries = Σ lots − debt − overage = posted.
 */
export interface Sheet {
  readonly account: AccountState
  /** The account as it must still be when this is written. */
  readonly was: Pick<AccountState, 'version' | 'changeSeq' | 'postedMicros'>
  /** In burn order. All that matter to this transaction, also expired and pending ones. */
  readonly lots: LotState[]
  readonly entries: Entry[]
  readonly newLots: LotState[]
  readonly changedLots: Set<LotState>
  readonly nowMs: number
  readonly newId: () => string
  /** Something happened that the credit engine did not settle itself. */
  isChangedOutside: boolean
}

export function makeSheet(
  account: AccountState,
  lots: LotState[],
  nowMs: number,
  newId: () => string,
): Sheet {
  const { version, changeSeq, postedMicros } = account
  return {
    account,
    was: { version, changeSeq, postedMicros },
    lots: lots.sort(byBurnOrder),
    entries: [],
    newLots: [],
    changedLots: new Set(),
    nowMs,
    newId,
    isChangedOutside: false,
  }
}

const KIND_ORDER: Readonly<Record<LotKind, number>> = { promo: 0, included: 1, paid: 2 }

type Ordered = Pick<LotState, 'id' | 'kind' | 'priority'> & {
  readonly expiresAtMs: number | null
  readonly createdAtMs: number
}

/** Total, so that every process burns the same way. Source: design §5. */
export function byBurnOrder(a: Ordered, b: Ordered): number {
  return (
    a.priority - b.priority ||
    compareExpiry(a.expiresAtMs, b.expiresAtMs) ||
    KIND_ORDER[a.kind] - KIND_ORDER[b.kind] ||
    a.createdAtMs - b.createdAtMs ||
    (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
  )
}

function compareExpiry(a: number | null, b: number | null): number {
  if (a === b) return 0
  if (a === null) return 1
  return b === null ? -1 : a - b
}

/** Moves `amount` (signed, not zero) on a lot. Throws where it would go below zero. */
export function moveLot(
  sheet: Sheet,
  lot: LotState,
  type: MovementType,
  amount: Micros,
  op: Op,
): void {
  lot.remainingMicros = addMicros(lot.remainingMicros, amount)
  invariant(lot.remainingMicros >= 0, `lot ${lot.id} would be overdrawn`)
  sheet.changedLots.add(lot)
  note(sheet, { lotId: lot.id, line: 'lot', type, micros: amount, op })
}

/** Moves `amount` (signed, not zero) on a line below zero: −5 on debt owes 5 more. */
export function moveLine(
  sheet: Sheet,
  line: 'debt' | 'overage',
  type: MovementType,
  amount: Micros,
  op: Op,
): void {
  const key = line === 'debt' ? 'debtMicros' : 'overageMicros'
  sheet.account[key] = subMicros(sheet.account[key], amount)
  invariant(sheet.account[key] >= 0, `${line} of ${sheet.account.id} would be overpaid`)
  note(sheet, { lotId: null, line, type, micros: amount, op })
}

function note(sheet: Sheet, entry: Omit<Entry, 'seq'>): void {
  invariant(entry.micros !== 0, 'a movement of nothing')
  const { account } = sheet
  account.postedMicros = addMicros(account.postedMicros, entry.micros)
  account.entrySeq += 1
  sheet.entries.push({ seq: account.entrySeq, ...entry })
}

/** The same movement's second half has a name of its own: one entry per op and lot. */
const within = (op: Op, part: string): Op => ({ ...op, id: `${op.id}:${part}` })

/** Takes `amount` away from a lot for good. */
export function expireSome(sheet: Sheet, lot: LotState, amount: Micros, op: Op): void {
  moveLot(sheet, lot, 'expiry', subMicros(ZERO, amount), op)
  lot.expiredMicros = addMicros(lot.expiredMicros, amount)
}

/** Brings back `amount` of what a lot's expiry took. */
export function reinstate(sheet: Sheet, lot: LotState, amount: Micros, op: Op): void {
  lot.expiredMicros = subMicros(lot.expiredMicros, amount)
  invariant(lot.expiredMicros >= 0, `lot ${lot.id} never lost that much`)
  moveLot(sheet, lot, 'reinstatement', amount, within(op, 'reinstate'))
}

/** Puts `amount` back on a lot; where its time is over it expires again at once. */
export function refillLot(
  sheet: Sheet,
  lot: LotState,
  type: MovementType,
  amount: Micros,
  op: Op,
): void {
  moveLot(sheet, lot, type, amount, op)
  if (lot.state === 'expired') expireSome(sheet, lot, amount, within(op, 'expire'))
}

/** Sees to it that `turn` looks at the account at `atMs` (Unix ms) or before. */
export function wakeAt(account: AccountState, atMs: number | null): void {
  if (atMs === null) return
  account.nextChangeAtMs = Math.min(account.nextChangeAtMs ?? atMs, atMs)
}
