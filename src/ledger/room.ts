import { micros, type Micros } from '../kernel/money.ts'
import type { Sheet } from './sheet.ts'

const MOST = BigInt(Number.MAX_SAFE_INTEGER)

/** Micros, or the most of them that can be counted. Never below zero. */
const clamp = (room: bigint): Micros => micros(Number(room < 0n ? 0n : room > MOST ? MOST : room))

const openLots = ({ lots }: Sheet): bigint =>
  lots.reduce(
    (sum, lot) => sum + BigInt(lot.state === 'pending' ? lot.grantedMicros : lot.remainingMicros),
    0n,
  )

/**
 * How much may still be added to an account whose open lots are all on the sheet, so that its lots
 * and its posted balance stay Micros, also when lots that wait become effective and when its
 * overage is billed. Debt makes room, because it is repaid first. Source: design §1 (2^53−1).
 */
export const roomAbove = (sheet: Sheet): Micros =>
  clamp(MOST - openLots(sheet) + BigInt(sheet.account.debtMicros))

/** How much may be taken, from lots and then as debt, so that debt and balance stay Micros. */
export function roomBelow(sheet: Sheet): Micros {
  const { debtMicros, overageMicros } = sheet.account
  const active = sheet.lots.reduce((sum, lot) => sum + BigInt(lot.remainingMicros), 0n)
  return clamp(MOST - BigInt(debtMicros) - BigInt(overageMicros) + active)
}
