import type { ManagedPriceBook } from '../pricing/book.ts'
import type { Override } from '../pricing/config.ts'
import type { OverrideTarget, PricesTable } from '../pricing/prices-table.ts'
import type { ListedPrice, PriceExplanation } from '../pricing/explain.ts'
import type { Clock } from '../kernel/clock.ts'

/** Prices as operators see and override them. Source: design §10 (admin over config over seed). */
export interface PriceAdmin {
  list(): readonly ListedPrice[]
  /** null = no price: such requests are refused. */
  explain(upstream: string, model: string): PriceExplanation | null
  /** Rules from the answer on, in this process; in others from their next look. */
  put(override: Override): Promise<{ readonly version: string }>
  /** false = none was in force. */
  remove(target: OverrideTarget): Promise<boolean>
}

export function makePriceAdmin(deps: {
  book: Pick<ManagedPriceBook, 'list' | 'explain'>
  table: Pick<PricesTable, 'put' | 'remove'>
  /** Brings the book in line with the table. */
  refresh: () => Promise<void>
  clock: Clock
}): PriceAdmin {
  const { book, table, clock, refresh } = deps
  return {
    list: () => book.list(),
    explain: (upstream, model) => book.explain({ upstream, model }, clock.now()),
    async put(override) {
      const { version } = await table.put(override, clock.now())
      await refresh()
      return { version }
    },
    async remove(target) {
      const removed = await table.remove(target, clock.now())
      await refresh()
      return removed
    },
  }
}
