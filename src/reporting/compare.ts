import { METER_SUMMARY_LAG_MS } from '../kernel/limits-outside.ts'
import type { Db } from '../store/db.ts'
import { numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { MeterDirectory } from './directory.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['reported-pairs', 'reported-hours'])

/** What of a customer's usage is compared: hours [fromMs, toMs), rounded to whole ones. */
export interface CompareWindow {
  readonly fromMs: number
  readonly toMs: number
  /** null = all. */
  readonly accountId: string | null
  readonly eventName: string | null
}

/** An hour of a customer and meter, by our books and by Stripe's. Whole units of the meter. */
export interface ComparedHour {
  readonly accountId: string
  readonly customerId: string
  readonly eventName: string
  readonly startMs: number
  /** Sealed, whatever became of it. */
  readonly owed: number
  /** Of that: what Stripe has taken. */
  readonly accepted: number
  /** By Stripe's event summaries. null = Stripe has no meter of that name to ask. */
  readonly stripe: number | null
}

const HOUR_MS = 3_600_000
const PAIRS_MAX = 500

/** The hours of a window that summaries have caught up with. */
export function closedHours({ fromMs, toMs }: CompareWindow, nowMs: number) {
  const closedMs = Math.floor((nowMs - METER_SUMMARY_LAG_MS) / HOUR_MS) * HOUR_MS
  const startMs = Math.floor(fromMs / HOUR_MS) * HOUR_MS
  return { startMs, endMs: Math.min(Math.ceil(toMs / HOUR_MS) * HOUR_MS, closedMs) }
}

interface Pair {
  readonly accountId: string
  readonly customerId: string
  readonly eventName: string
}

async function* pairsOf(
  db: Db,
  window: CompareWindow,
  hours: { startMs: number; endMs: number },
): AsyncGenerator<Pair> {
  let [customer, event] = ['', '']
  for (;;) {
    const rows = await db.query(sql['reported-pairs'], [
      ...[new Date(hours.startMs), new Date(hours.endMs), window.accountId, window.eventName],
      ...[customer, event, PAIRS_MAX],
    ])
    for (const row of rows) {
      customer = textOf(row, 'customer_id')
      event = textOf(row, 'event_name')
      const accountId = textOf(row, 'account_id')
      yield { accountId, customerId: customer, eventName: event }
    }
    if (rows.length < PAIRS_MAX) return
  }
}

/**
 * Compares what Stripe took with its own summaries, by customer, meter and hour, for hours that
 * ended METER_SUMMARY_LAG_MS ago or earlier; yields also those that agree. One call of Stripe a
 * customer and meter, bounded memory; reads only. Source: design §6 (I6).
 */
export async function* compareMeters(
  deps: { readonly db: Db; readonly directory: MeterDirectory; readonly nowMs: number },
  window: CompareWindow,
): AsyncGenerator<ComparedHour> {
  const { db, directory, nowMs } = deps
  const { startMs, endMs } = closedHours(window, nowMs)
  if (startMs >= endMs) return
  for await (const pair of pairsOf(db, window, { startMs, endMs })) {
    const meter = await directory.byEvent(pair.eventName)
    const asked = [pair.customerId, startMs / 1000, endMs / 1000] as const
    const sums = meter === null ? null : await directory.summaries(meter.id, ...asked)
    const params = [pair.customerId, pair.eventName, new Date(startMs), new Date(endMs)]
    const ours = new Map(
      (await db.query(sql['reported-hours'], params)).map((row) => [
        numberOf(row, 'hour_at'),
        { owed: numberOf(row, 'owed'), accepted: numberOf(row, 'accepted') },
      ]),
    )
    const theirs = [...(sums ?? [])].filter(([, sum]) => sum !== 0).map(([atS]) => atS * 1000)
    for (const hourMs of [...new Set([...ours.keys(), ...theirs])].toSorted((a, b) => a - b)) {
      const { owed, accepted } = ours.get(hourMs) ?? { owed: 0, accepted: 0 }
      const stripe = sums === null ? null : (sums.get(hourMs / 1000) ?? 0)
      yield { ...pair, startMs: hourMs, owed, accepted, stripe }
    }
  }
}
