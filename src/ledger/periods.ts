import { DAY_MS } from '../kernel/clock.ts'
import type { BudgetPeriod } from './ledger.ts'

/** UTC day number (Unix days) of a Unix time in ms. */
export const dayOf = (ms: number): number => Math.floor(ms / DAY_MS)

/**
 * First UTC day of the budget period that `day` falls into: the day itself, its week's Monday, the
 * first of its month; 0 for a budget without a period.
 */
export function periodStart(period: BudgetPeriod, day: number): number {
  switch (period) {
    case 'day':
      return day
    case 'week':
      return day - ((day + 3) % 7) // day 0 was a Thursday
    case 'month': {
      const date = new Date(day * DAY_MS)
      return dayOf(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1))
    }
    case 'total':
      return 0
  }
}
