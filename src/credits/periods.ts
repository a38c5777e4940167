import type { BudgetPeriod } from '../ledger/ledger.ts'

export const DAY_MS = 86_400_000

/** UTC day number (Unix days) of a time in Unix ms. */
export const dayOf = (timeMs: number): number => Math.floor(timeMs / DAY_MS)

/**
 * First UTC day of the period that `day` falls into. Weeks start on Monday (day 0 was a Thursday);
 * total = 0.
 */
export function periodStart(period: BudgetPeriod, day: number): number {
  switch (period) {
    case 'day':
      return day
    case 'week':
      return day - ((day + 3) % 7)
    case 'month':
      return day - new Date(day * DAY_MS).getUTCDate() + 1
    case 'total':
      return 0
  }
}
