import { creditLot } from './burn.ts'
import { expireSome, wakeAt, type LotState, type Op, type Sheet } from './sheet.ts'

/** Names the entries that post a lot's grant, now or when its time has come. */
export const grantOpOf = (lot: LotState): Op => ({
  id: `grant:${lot.id}`,
  referenceType: lot.referenceType,
  referenceId: lot.referenceId,
  reason: lot.reason,
})

const expiryOpOf = (lot: LotState): Op => ({
  id: `expiry:${lot.id}`,
  referenceType: lot.referenceType,
  referenceId: lot.referenceId,
  reason: 'expired',
})

/**
 * Posts the lots whose time has come, then expires those whose time is over, and notes when to
 * look again. Answers whether anything happened. Source: design §5 (next_change_at).
 */
export function turnLots(sheet: Sheet): boolean {
  const { nowMs } = sheet
  const effective = sheet.lots.filter(
    (lot) => lot.state === 'pending' && lot.effectiveAtMs <= nowMs,
  )
  for (const lot of effective) creditLot(sheet, lot, 'grant', grantOpOf(lot))
  const over = sheet.lots.filter(
    ({ state, expiresAtMs }) => state === 'active' && expiresAtMs !== null && expiresAtMs <= nowMs,
  )
  for (const lot of over) expireLot(sheet, lot)
  sheet.account.nextChangeAtMs = null
  for (const lot of sheet.lots) wakeFor(sheet, lot)
  return effective.length > 0 || over.length > 0
}

/** Ends a lot now, whatever its own end was. */
export function expireLot(sheet: Sheet, lot: LotState): void {
  if (lot.remainingMicros > 0) expireSome(sheet, lot, lot.remainingMicros, expiryOpOf(lot))
  lot.state = 'expired'
  lot.expiredAtMs = sheet.nowMs
  sheet.changedLots.add(lot)
}

function wakeFor(sheet: Sheet, lot: LotState): void {
  if (lot.state === 'pending') wakeAt(sheet.account, lot.effectiveAtMs)
  else if (lot.state === 'active') wakeAt(sheet.account, lot.expiresAtMs)
}
