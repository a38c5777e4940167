import { DAY_MS } from '../../kernel/clock.ts'
import type { PriceFacts } from './read-invoice.ts'

/** UTC; `month` may be beyond the year. */
const lastDay = (year: number, month: number): number =>
  new Date(Date.UTC(year, month + 1, 0)).getUTCDate()

/** The day that a subscription renews on, where `atMs` is one of its turns; else that of `atMs`. */
function dayOf(at: Date, anchorMs: number | null): number {
  const day = at.getUTCDate()
  if (anchorMs === null) return day
  const anchor = new Date(anchorMs).getUTCDate()
  return Math.min(anchor, lastDay(at.getUTCFullYear(), at.getUTCMonth())) === day ? anchor : day
}

/**
 * The turn of a subscription so many periods after one of its turns (before, where `count` is
 * negative), by the calendar (UTC): anchored on the 31st it turns on the last of a shorter month,
 * and on the 31st again. Unix ms.
 */
export function turnAfter(
  turn: { readonly atMs: number; readonly anchorMs: number | null },
  period: NonNullable<PriceFacts['period']>,
  count: number,
): number {
  if ('days' in period) return turn.atMs + count * period.days * DAY_MS
  const at = new Date(turn.atMs)
  const day = dayOf(at, turn.anchorMs)
  at.setUTCDate(1)
  at.setUTCMonth(at.getUTCMonth() + count * period.months)
  at.setUTCDate(Math.min(day, lastDay(at.getUTCFullYear(), at.getUTCMonth())))
  return at.getTime()
}
