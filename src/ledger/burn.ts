import { addMicros, maxMicros, minMicros, subMicros, ZERO } from '../kernel/money.ts'
import type { Micros } from '../kernel/money.ts'
import {
  byBurnOrder,
  moveLine,
  moveLot,
  refillLot,
  reinstate,
  wakeAt,
  type LotState,
  type MovementType,
  type Op,
  type Sheet,
} from './sheet.ts'

/** `asOfMs` for burning what counts now and nothing that has expired. */
const NOW_ONLY = Number.POSITIVE_INFINITY

/**
 * Takes `amount` from the lots in burn order and answers what they could not pay. A lot whose
 * expiry was posted after `asOfMs` (Unix ms) pays too: reinstated and burned. Source: design §5.
 */
function burnLots(
  sheet: Sheet,
  type: MovementType,
  amount: Micros,
  asOfMs: number,
  op: Op,
): Micros {
  let left = amount
  for (const lot of sheet.lots) {
    if (left === 0) break
    const wasAlive = lot.state === 'expired' && (lot.expiredAtMs ?? 0) > asOfMs
    const take = minMicros(wasAlive ? lot.expiredMicros : lot.remainingMicros, left)
    if (take === 0) continue
    if (wasAlive) reinstate(sheet, lot, take, op)
    moveLot(sheet, lot, type, subMicros(ZERO, take), op)
    left = subMicros(left, take)
  }
  return left
}

/** Charges a request: lots, then overage as far as the plan lets, then debt. Source: design §1. */
export function chargeUsage(sheet: Sheet, amount: Micros, asOfMs: number, op: Op): void {
  const beyond = burnLots(sheet, 'usage', amount, asOfMs, op)
  const { overageLimitMicros, overageMicros } = sheet.account
  const room = maxMicros(ZERO, subMicros(overageLimitMicros, overageMicros))
  const overage = minMicros(beyond, room)
  if (overage > 0) moveLine(sheet, 'overage', 'usage', subMicros(ZERO, overage), op)
  const debt = subMicros(beyond, overage)
  if (debt > 0) moveLine(sheet, 'debt', 'usage', subMicros(ZERO, debt), op)
}

/** Posts a lot's credits: debt is repaid first, overage never. Source: design §1. */
export function creditLot(sheet: Sheet, lot: LotState, type: MovementType, op: Op): void {
  const repaid = minMicros(sheet.account.debtMicros, lot.grantedMicros)
  if (repaid > 0) moveLine(sheet, 'debt', type, repaid, op)
  const rest = subMicros(lot.grantedMicros, repaid)
  if (rest > 0) moveLot(sheet, lot, type, rest, op)
  lot.state = 'active'
  sheet.changedLots.add(lot)
  wakeAt(sheet.account, lot.expiresAtMs)
}

export type NewLot = Pick<
  LotState,
  | 'kind'
  | 'priority'
  | 'grantedMicros'
  | 'effectiveAtMs'
  | 'expiresAtMs'
  | 'reason'
  | 'referenceType'
  | 'referenceId'
>

/** Adds a lot with nothing on it yet; creditLot posts it, now or when it becomes effective. */
export function addLot(sheet: Sheet, lot: NewLot): LotState {
  const added: LotState = {
    ...lot,
    id: sheet.newId(),
    createdAtMs: sheet.nowMs,
    state: 'pending',
    remainingMicros: ZERO,
    expiredMicros: ZERO,
    expiredAtMs: null,
  }
  sheet.newLots.push(added)
  sheet.lots.push(added)
  sheet.lots.sort(byBurnOrder)
  return added
}

/** Credits without a sale behind them burn first and do not expire. */
export const OWN_LOT = { kind: 'promo', priority: 0, expiresAtMs: null } as const

/** What was taken from one lot or line, positive. */
export interface Taken {
  readonly lotId: string | null
  readonly line: 'lot' | 'debt' | 'overage'
  readonly micros: Micros
}

/** The last `amount` of what was taken, latest first: the rest is what a smaller charge took. */
export function lastTaken(taken: readonly Taken[], amount: Micros): Taken[] {
  const parts: Taken[] = []
  let left = amount
  for (const part of taken.toReversed()) {
    const some = minMicros(part.micros, left)
    if (some > 0) parts.push({ ...part, micros: some })
    left = subMicros(left, some)
  }
  return parts
}

/**
 * Gives back what was taken, to where it came from. What went on a line that has been repaid or
 * billed meanwhile repays debt and then becomes a lot, because those credits were paid for.
 * Source: design §5 (a reversal gives back exactly that).
 */
export function giveBack(sheet: Sheet, parts: readonly Taken[], op: Op): void {
  for (const part of parts) {
    const lot = sheet.lots.find(({ id }) => id === part.lotId)
    if (lot !== undefined) refillLot(sheet, lot, 'reversal', part.micros, op)
    else if (part.line === 'lot') throw new Error(`lot ${part.lotId ?? '?'} was not read`)
  }
  const { account } = sheet
  const fromOverage = sumOf(parts, 'overage')
  const overage = minMicros(fromOverage, account.overageMicros)
  if (overage > 0) moveLine(sheet, 'overage', 'reversal', overage, op)
  const owed = addMicros(sumOf(parts, 'debt'), subMicros(fromOverage, overage))
  const debt = minMicros(owed, account.debtMicros)
  if (debt > 0) moveLine(sheet, 'debt', 'reversal', debt, op)
  const rest = subMicros(owed, debt)
  if (rest > 0) addReturnLot(sheet, OWN_LOT, 'reversal', rest, op)
}

/** A lot of what is given back where what it was taken from is no more. */
export function addReturnLot(
  sheet: Sheet,
  terms: Pick<NewLot, 'kind' | 'priority' | 'expiresAtMs'>,
  type: 'reversal' | 'reinstatement',
  amount: Micros,
  op: Op,
): void {
  const lot = addLot(sheet, {
    ...terms,
    grantedMicros: amount,
    effectiveAtMs: sheet.nowMs,
    reason: op.reason ?? 'given back',
    referenceType: 'reversal',
    referenceId: op.id,
  })
  moveLot(sheet, lot, type, amount, op)
  lot.state = 'active'
}

function sumOf(parts: readonly Taken[], line: Taken['line']): Micros {
  return parts.reduce((sum, part) => (part.line === line ? addMicros(sum, part.micros) : sum), ZERO)
}

/**
 * Takes a sale's credits back: its own lot's remainder, then what that lot lost to expiry, then
 * other lots, then debt. `amount` is taken in full. Source: design §5 (a clawback).
 */
export function takeBack(
  sheet: Sheet,
  lot: LotState,
  type: 'refund' | 'dispute' | 'adjustment',
  amount: Micros,
  op: Op,
): void {
  const expired = minMicros(lot.expiredMicros, maxMicros(ZERO, overRemainder(lot, amount)))
  if (expired > 0) reinstate(sheet, lot, expired, op)
  const own = minMicros(lot.remainingMicros, amount)
  if (own > 0) moveLot(sheet, lot, type, subMicros(ZERO, own), op)
  takeAny(sheet, type, subMicros(amount, own), op)
}

const overRemainder = (lot: LotState, amount: Micros): Micros =>
  subMicros(amount, lot.remainingMicros)

/** Takes `amount` from the lots in burn order, then as debt. */
export function takeAny(
  sheet: Sheet,
  type: 'refund' | 'dispute' | 'adjustment',
  amount: Micros,
  op: Op,
): void {
  const debt = burnLots(sheet, type, amount, NOW_ONLY, op)
  if (debt > 0) moveLine(sheet, 'debt', type, subMicros(ZERO, debt), op)
}
