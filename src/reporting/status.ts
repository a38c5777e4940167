import { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import type { Db } from '../store/db.ts'
import { numberOf, orNull } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import { REPORT_STATES, type ReportState } from './report.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'meter-backlog',
  'meter-status',
  'list-reports',
  'list-stops',
])

const maybeText = z.string().nullable()

/** A report as operators see it. */
export const reportRow = z.object({
  id: z.string(),
  seq: z.number(),
  identifier: z.string(),
  account_id: z.string(),
  customer_id: z.string(),
  event_name: z.string(),
  dimensions: z.string(),
  kind: z.enum(['usage', 'cancel']),
  value: z.number(),
  overage_micros: z.number(),
  at: z.number(),
  sealed_at: z.number(),
  state: z.enum(REPORT_STATES),
  note: maybeText,
  tries: z.number(),
  sent_at: z.number().nullable(),
  billed_by: maybeText,
})
export type ReportView = z.infer<typeof reportRow>

export const meterRow = z.object({
  event_name: z.string(),
  state: z.enum(REPORT_STATES),
  reports: z.number(),
  value: z.string(),
  oldest: z.number(),
})
export type MeterRow = z.infer<typeof meterRow>

export const stopRow = z.object({
  kind: z.enum(['meter', 'customer']),
  name: z.string(),
  reason: z.string(),
  since: z.number(),
})

export interface ReportQuery {
  readonly state: ReportState | null
  readonly accountId: string | null
  readonly eventName: string | null
  /** seq of the last one seen; null = from the newest. */
  readonly cursor: number | null
  readonly limit: number
}

/** Stripe takes nothing older; a few days more, to see what became of it. */
const STATUS_MS = 40 * 24 * 3_600_000

/** What operators ask of usage on its way. Reads only. */
export function makeMeterViews({ db, clock }: { readonly db: Db; readonly clock: Clock }) {
  return {
    async backlog() {
      const [row] = await db.query(sql['meter-backlog'])
      if (row === undefined) throw new Error('unreachable: a count has a row')
      const oldest = orNull(row, 'oldest', numberOf)
      return {
        open: numberOf(row, 'open'),
        ready: numberOf(row, 'ready'),
        refused: numberOf(row, 'refused'),
        late: numberOf(row, 'late'),
        unclear: numberOf(row, 'unclear'),
        oldestMs: oldest === null ? 0 : Math.max(0, clock.now() - oldest),
      }
    },
    async meters(): Promise<MeterRow[]> {
      const rows = await db.query(sql['meter-status'], [new Date(clock.now() - STATUS_MS)])
      return rows.map((row) => meterRow.parse(row))
    },
    async stops() {
      return (await db.query(sql['list-stops'])).map((row) => stopRow.parse(row))
    },
    async reports(query: ReportQuery): Promise<ReportView[]> {
      const { state, accountId, eventName, cursor, limit } = query
      const rows = await db.query(sql['list-reports'], [state, accountId, eventName, cursor, limit])
      return rows.map((row) => reportRow.parse(row))
    },
  }
}

export type MeterViews = ReturnType<typeof makeMeterViews>
