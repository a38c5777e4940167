import { correct, within } from './bucket.ts'
import { loadedKey, type Account, type Hold, type Limits } from './state.ts'

/** What a hold's change moves in its key. */
export interface KeyMove {
  readonly spend: number
  readonly held: number
  readonly open: number
  /** Tokens of the hold given back to tokens per minute; below zero: taken. */
  readonly back: number
  readonly used: number
}

function moveLimits({ concurrency, tokens }: Limits, move: KeyMove): void {
  if (concurrency !== null) concurrency.open += move.open
  if (tokens === null) return
  const by = within(tokens, move.back) - move.used
  if (by !== 0) correct(tokens, by)
}

/** A key that is not loaded is left alone: its load counts the live holds itself. */
export function moveKey(
  account: Account,
  hold: Pick<Hold, 'keyId' | 'day'>,
  inc: number,
  move: KeyMove,
): void {
  if (account.facts !== null && (move.open !== 0 || move.back !== 0)) {
    moveLimits(account.facts, move)
  }
  const facts = loadedKey(account, hold.keyId, inc)
  if (facts === null) return
  if (facts.budget !== null && hold.day >= facts.budget.startDay) {
    facts.budget.spend += move.spend
    facts.budget.held += move.held
  }
  moveLimits(facts, move)
}

/**
 * Live holds of one key: what counts from `startDay`, what of it is held, how many are held, and
 * the last day that one counts in.
 */
export function sumKey(
  account: Account,
  keyId: string,
  startDay: number,
): { spend: number; held: number; open: number; lastDay: number } {
  const sum = { spend: 0, held: 0, open: 0, lastDay: 0 }
  for (const hold of account.holds.values()) {
    if (hold.keyId !== keyId) continue
    if (hold.state === 'held') sum.open += 1
    if (hold.day < startDay) continue
    sum.spend += hold.micros
    sum.lastDay = Math.max(sum.lastDay, hold.day)
    if (hold.state === 'held') sum.held += hold.micros
  }
  return sum
}
