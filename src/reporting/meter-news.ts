import type Stripe from 'stripe'
import { z } from 'zod'
import type { Ids } from '../kernel/ids.ts'
import { METER_NAMED_MAX, METER_SUMMARY_LAG_MS } from '../kernel/limits/meters.ts'
import type { Tx } from '../store/db.ts'
import { numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { MeterDirectory } from './directory.ts'
import type { NoteFinding } from './findings.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'refuse-named',
  'plan-check',
  'stop',
  'unstop-meter',
])

/** What arrived of a meter. */
export interface MeterNews {
  readonly id: string
  readonly type: string
  readonly objectId: string | null
}

/** Writes what the news mean; answers a line that says it. */
export type WriteNews = (tx: Tx, nowMs: number) => Promise<string>

export interface NewsDeps {
  readonly stripe: Pick<Stripe, 'v2'>
  readonly directory: MeterDirectory
  readonly note: NoteFinding
  readonly ids: Ids
}

/** Source: stripe.md §3 (thin: only who fetches the event sees its data). */
const report = z.object({
  related_object: z.looseObject({ id: z.string().optional() }).nullish(),
  data: z.object({
    validation_start: z.string(),
    validation_end: z.string(),
    reason: z.looseObject({
      error_types: z.array(
        z.looseObject({
          code: z.string(),
          error_count: z.number(),
          sample_errors: z
            .array(
              z.looseObject({
                request: z.looseObject({ identifier: z.string().optional() }).optional(),
              }),
            )
            .default([]),
        }),
      ),
    }),
  }),
})
type Report = z.output<typeof report>

function namedIn({ data }: Report): { identifier: string; code: string }[] {
  return data.reason.error_types.flatMap(({ code, sample_errors: samples }) =>
    samples.flatMap(({ request }) => {
      const identifier = request?.identifier
      return identifier === undefined ? [] : [{ identifier, code }]
    }),
  )
}

async function writeReport(
  tx: Tx,
  deps: NewsDeps,
  of: { readonly news: MeterNews; readonly report: Report; readonly eventName: string | null },
  nowMs: number,
): Promise<string> {
  const { data } = of.report
  const named = namedIn(of.report)
  const params = [named.map(({ identifier }) => identifier), named.map(({ code }) => code)]
  const rows = await tx.query(sql['refuse-named'], params)
  const errors = data.reason.error_types.reduce((sum, one) => sum + one.error_count, 0)
  const evidence = {
    event_name: of.eventName,
    ...{ errors, marked: rows.length },
    codes: data.reason.error_types.map(({ code }) => code),
    reports: rows.slice(0, METER_NAMED_MAX).map((row) => row.identifier),
    value: rows.reduce((sum, row) => sum + numberOf(row, 'value'), 0),
    overage_micros: rows.reduce((sum, row) => sum + numberOf(row, 'overage_micros'), 0),
    billed_by: [...new Set(rows.flatMap((row) => orNull(row, 'billed_by', textOf) ?? []))],
  }
  const finding = { kind: 'meter_error_report', severity: 'urgent' } as const
  const atStakeMicros = Math.abs(evidence.overage_micros)
  await deps.note({ ...finding, subject: of.news.id, evidence, atStakeMicros }, tx)
  const events = of.eventName === null ? rows.map((row) => textOf(row, 'event_name')) : []
  for (const eventName of new Set(events)) await stop(tx, deps, eventName, 'no meter', nowMs)
  if (errors > named.length && of.eventName !== null) {
    const times = [data.validation_start, data.validation_end].map((at) => new Date(at))
    const due = new Date(nowMs + METER_SUMMARY_LAG_MS)
    await tx.query(sql['plan-check'], [deps.ids.uuid(), of.eventName, ...times, due])
  }
  return `${errors} events refused, ${rows.length} marked`
}

async function stop(tx: Tx, deps: NewsDeps, eventName: string, why: string, nowMs: number) {
  await tx.query(sql.stop, ['meter', eventName, why, new Date(nowMs)])
  const evidence = { event_name: eventName, reason: why }
  const finding = { kind: 'meter_stopped', severity: 'urgent' } as const
  await deps.note({ ...finding, subject: eventName, evidence }, tx)
}

/** A meter went off or on: told no more, or told what waited. By what it is now. */
async function lookAtMeter(deps: NewsDeps, id: string): Promise<WriteNews | null> {
  await deps.directory.refresh()
  const named = await deps.directory.byId(id)
  const meter = named === null ? null : await deps.directory.byEvent(named.eventName)
  if (meter === null) return null
  const { eventName, isActive } = meter
  return async (tx, nowMs) => {
    if (isActive) await tx.query(sql['unstop-meter'], [eventName, new Date(nowMs)])
    else await stop(tx, deps, eventName, 'the meter is not active', nowMs)
    return `${eventName} is ${isActive ? 'active' : 'not active'}`
  }
}

/** null = none of ours. Reads what the event names; what it says itself is not trusted. */
export function makeMeterNews(deps: NewsDeps) {
  return async (news: MeterNews): Promise<WriteNews | null> => {
    const type = news.type.replace(/^v1\./, '')
    if (!type.startsWith('billing.meter.')) return null
    if (
      type === 'billing.meter.error_report_triggered' ||
      type === 'billing.meter.no_meter_found'
    ) {
      const read = report.parse(await deps.stripe.v2.core.events.retrieve(news.id))
      const meterId = read.related_object?.id ?? null
      const meter = meterId === null ? null : await deps.directory.byId(meterId)
      const of = { news, report: read, eventName: meter?.eventName ?? null }
      return (tx, nowMs) => writeReport(tx, deps, of, nowMs)
    }
    return news.objectId === null ? null : lookAtMeter(deps, news.objectId)
  }
}

export type ReadNews = ReturnType<typeof makeMeterNews>
