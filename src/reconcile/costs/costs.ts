import { DAY_MS, type Clock } from '../../kernel/clock.ts'
import { RECONCILE_QUARANTINE_MS } from '../../kernel/limits/books.ts'
import type { Db } from '../../store/db.ts'
import { numberOf, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import type { Drift, Drifts } from '../drift.ts'
import { firstIdOf } from '../hold-id.ts'
import { compareCosts, dayText, type DayCost } from './compare.ts'
import type { CostBook } from './config.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), ['receipt-costs', 'costs-gone'])

/** Some days of an export, whole. */
export interface CostDays {
  readonly provider: string
  /** Unix days, both compared. */
  readonly fromDay: number
  readonly toDay: number
  /** Days between them that are not compared. */
  readonly skipped: readonly number[]
  readonly lines: readonly DayCost[]
}

export interface CostsCompared {
  /** Days that were compared. */
  readonly days: readonly number[]
  /** Days and models of either side. */
  readonly seen: number
  readonly drifts: readonly Drift[]
}

/** Compares exports of providers with receipts and keeps what differs as findings. */
export interface Costs {
  readonly book: () => CostBook
  /** null = there is no such provider, or it bills no upstream of ours. */
  compare(given: CostDays): Promise<CostsCompared | null>
}

const KINDS = [
  ...['provider_cost_differs', 'provider_cost_unrecorded', 'provider_cost_unbilled'],
] as const
/** A hold may begin on one side of midnight and its day on the other, by two clocks. */
const SLACK_MS = 3_600_000

export function makeCosts(deps: {
  readonly db: Db
  readonly clock: Clock
  readonly drifts: Drifts
  readonly book: () => CostBook
}): Costs {
  const { db, clock, drifts, book } = deps

  async function receipts(
    { fromDay, toDay }: CostDays,
    upstreams: readonly string[],
  ): Promise<DayCost[]> {
    const since = firstIdOf(fromDay * DAY_MS - SLACK_MS)
    const until = firstIdOf((toDay + 1) * DAY_MS + SLACK_MS)
    const rows = await db.query(sql['receipt-costs'], [since, until, upstreams, fromDay, toDay])
    return rows.map((row) => ({
      day: numberOf(row, 'day'),
      model: textOf(row, 'model'),
      pico: BigInt(textOf(row, 'pico')),
    }))
  }

  return {
    book,
    async compare(given) {
      const { provider, fromDay, toDay, lines } = given
      const { providers, perUsd } = book()
      const upstreams = Object.hasOwn(providers, provider) ? providers[provider]?.upstreams : []
      if (upstreams === undefined || upstreams.length === 0) return null
      const startedMs = clock.now()
      const skipped = new Set(given.skipped)
      // A day that is not over, or was not a moment ago, is not judged.
      const isOver = (day: number) => (day + 1) * DAY_MS <= startedMs - RECONCILE_QUARANTINE_MS
      const days = Array.from({ length: toDay - fromDay + 1 }, (_, n) => fromDay + n).filter(
        (day) => !skipped.has(day) && isOver(day),
      )
      const ours = await receipts(given, upstreams)
      const found = compareCosts({ provider, exported: lines, receipts: ours, perUsd }, days)
      for (const drift of found) await drifts.note(drift)
      const texts = days.map(dayText)
      await db.query(sql['costs-gone'], [KINDS, new Date(startedMs), provider, texts])
      return { days, seen: lines.length + ours.length, drifts: found }
    },
  }
}
