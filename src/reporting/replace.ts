import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Db, Row, Tx } from '../store/db.ts'
import { microsOf, numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import { identifierOf, type NewReport, type ReportState, type Series } from './report.ts'
import { finalInvoice, keepReports, slotState } from './seal.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'read-report',
  'replace-report',
  'wait-seal',
])

export interface ReplaceDeps {
  readonly db: Db
  readonly clock: Clock
  readonly ids: Ids
}

const HOUR_MS = 3_600_000

/** The same usage as another event: under a name of its own, and at a time that is still open. */
async function successorOf(tx: Tx, row: Row, nowMs: number, isNow: boolean): Promise<NewReport> {
  const series: Series = {
    accountId: textOf(row, 'account_id'),
    customerId: textOf(row, 'customer_id'),
    meter: textOf(row, 'meter'),
    eventName: textOf(row, 'event_name'),
    dimensions: textOf(row, 'dimensions'),
  }
  const wasMs = numberOf(row, 'at')
  const isMoved = isNow || (await finalInvoice(tx, series, wasMs)) !== null
  const slotMs = isMoved ? Math.floor(nowMs / HOUR_MS) * HOUR_MS : numberOf(row, 'slot_at')
  const { rev } = await slotState(tx, series, slotMs, nowMs)
  const place = { rev: rev + 1, part: 0 }
  return {
    ...{ ...series, ...place, identifier: identifierOf(series, slotMs, place), slotMs },
    atMs: isMoved ? Math.floor(nowMs / 1000) * 1000 : wasMs,
    ...{ kind: 'usage', cancels: null, value: numberOf(row, 'value') },
    overageMicros: microsOf(row, 'open_micros'),
  }
}

export interface Replacement {
  /** Only where it is in one of these states. */
  readonly states: readonly ReportState[]
  readonly note: string
  /** Dated now, whatever the invoice of its time says. */
  readonly isNow: boolean
}

/**
 * Puts another report in the place of one that Stripe does not have. null = there is no such
 * report; false = it is in another state.
 */
export async function replaceReport(
  { db, clock, ids }: ReplaceDeps,
  id: string,
  { states, note, isNow }: Replacement,
): Promise<NewReport | false | null> {
  return db.tx(async (tx) => {
    const [found] = await tx.query(sql['read-report'], [id])
    if (found === undefined) return null
    await tx.query(sql['wait-seal'], [textOf(found, 'account_id')])
    const replaced = await tx.query(sql['replace-report'], [id, states, note])
    if (replaced.length === 0) return false
    const nowMs = clock.now()
    const report = await successorOf(tx, found, nowMs, isNow)
    const newId = (): string => ids.uuid()
    await keepReports(tx, [report], { sealingId: ids.uuid(), newId, nowMs, fate: null })
    return report
  })
}
