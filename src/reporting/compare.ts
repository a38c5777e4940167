import { HOUR_MS } from '../kernel/clock.ts'
import { METER_KEPT_MS, METER_SUMMARY_LAG_MS } from '../kernel/limits/meters.ts'
import type { Db } from '../store/db.ts'
import { numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { MeterDirectory } from './directory.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['reported-pairs', 'reported-hours'])

/** What of a customer's usage is compared: hours [fromMs, toMs), rounded to whole ones. */
export interface CompareWindow {
  /** null = from the first report on. */
  readonly fromMs: number | null
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
  /** What of it is overage. */
  readonly overageMicros: number
  /** Something of it was sent or tried of late: summaries may lag behind it. */
  readonly isMoving: boolean
}

/** A customer and meter. */
export interface ComparedPair {
  readonly accountId: string
  readonly customerId: string
  readonly eventName: string
}

const PAIRS_MAX = 500

const hourOf = (ms: number): number => Math.floor(ms / HOUR_MS) * HOUR_MS

/** The hours of a window that summaries have caught up with and whose reports are all there. */
function closedHours({ fromMs, toMs }: CompareWindow, nowMs: number) {
  const closedMs = Math.floor((nowMs - METER_SUMMARY_LAG_MS) / HOUR_MS) * HOUR_MS
  const keptMs = hourOf(nowMs - METER_KEPT_MS) + HOUR_MS
  const startMs = Math.max(hourOf(fromMs ?? 0), keptMs)
  return { startMs, endMs: Math.min(Math.ceil(toMs / HOUR_MS) * HOUR_MS, closedMs) }
}

interface Found extends ComparedPair {
  readonly firstMs: number
}

type After = Pick<ComparedPair, 'customerId' | 'eventName'>

async function* pairsOf(
  db: Db,
  window: CompareWindow,
  hours: { startMs: number; endMs: number },
  after: After | null,
): AsyncGenerator<Found> {
  let [customer, event] = [after?.customerId ?? '', after?.eventName ?? '']
  for (;;) {
    const rows = await db.query(sql['reported-pairs'], [
      ...[new Date(hours.startMs), new Date(hours.endMs), window.accountId, window.eventName],
      ...[customer, event, PAIRS_MAX],
    ])
    for (const row of rows) {
      customer = textOf(row, 'customer_id')
      event = textOf(row, 'event_name')
      const firstMs = numberOf(row, 'first_at')
      yield {
        accountId: textOf(row, 'account_id'),
        customerId: customer,
        eventName: event,
        firstMs,
      }
    }
    if (rows.length < PAIRS_MAX) return
  }
}

export interface CompareDeps {
  readonly db: Db
  readonly directory: MeterDirectory
  readonly nowMs: number
}

const NO_REPORTS = { owed: 0, accepted: 0, overageMicros: 0, isMoving: false }

async function oursOf(
  { db, nowMs }: CompareDeps,
  { customerId, eventName }: ComparedPair,
  { startMs, endMs }: { startMs: number; endMs: number },
): Promise<Map<number, typeof NO_REPORTS>> {
  const params = [customerId, eventName, new Date(startMs), new Date(endMs)]
  const restMs = nowMs - METER_SUMMARY_LAG_MS
  return new Map(
    (await db.query(sql['reported-hours'], params)).map((row) => [
      numberOf(row, 'hour_at'),
      {
        owed: numberOf(row, 'owed'),
        accepted: numberOf(row, 'accepted'),
        overageMicros: numberOf(row, 'overage_micros'),
        isMoving: row.is_tried === true || (orNull(row, 'touched_at', numberOf) ?? 0) > restMs,
      },
    ]),
  )
}

async function hoursOf(
  deps: CompareDeps,
  pair: ComparedPair,
  hours: { startMs: number; endMs: number },
): Promise<ComparedHour[]> {
  const { directory } = deps
  const meter = await directory.byEvent(pair.eventName)
  const asked = [pair.customerId, hours.startMs / 1000, hours.endMs / 1000] as const
  const sums = meter === null ? null : await directory.summaries(meter.id, ...asked)
  const ours = await oursOf(deps, pair, hours)
  const theirs = [...(sums ?? [])].filter(([, sum]) => sum !== 0).map(([atS]) => atS * 1000)
  return [...new Set([...ours.keys(), ...theirs])]
    .toSorted((a, b) => a - b)
    .map((startMs) => ({
      ...pair,
      startMs,
      ...(ours.get(startMs) ?? NO_REPORTS),
      stripe: sums === null ? null : (sums.get(startMs / 1000) ?? 0),
    }))
}

/**
 * Compares what Stripe took with its own summaries, one customer and meter after the other, for
 * hours that ended METER_SUMMARY_LAG_MS ago or earlier; yields also those that agree. A call of
 * Stripe for each 100 hours of a customer and meter, bounded memory; reads only. `after`: the last
 * pair that was seen. Source: design §6 (I6).
 */
export async function* comparePairs(
  deps: CompareDeps,
  window: CompareWindow,
  after: After | null,
): AsyncGenerator<{ readonly pair: ComparedPair; readonly hours: readonly ComparedHour[] }> {
  const closed = closedHours(window, deps.nowMs)
  if (closed.startMs >= closed.endMs) return
  for await (const { firstMs, ...pair } of pairsOf(deps.db, window, closed, after)) {
    const startMs = window.fromMs === null ? hourOf(firstMs) : closed.startMs
    yield { pair, hours: await hoursOf(deps, pair, { startMs, endMs: closed.endMs }) }
  }
}

/** The hours of all of them. */
export async function* compareMeters(
  deps: CompareDeps,
  window: CompareWindow,
): AsyncGenerator<ComparedHour> {
  for await (const { hours } of comparePairs(deps, window, null)) yield* hours
}
