import { z } from 'zod'
import { isoOrNull } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'
import { refuse } from '../../kernel/errors.ts'
import { uuidOf } from '../../kernel/request-ids.ts'
import { REPORT_STATES } from '../../reporting/report.ts'
import type { ComparedHour } from '../../reporting/compare.ts'
import { meterRow, reportRow, stopRow, type ReportView } from '../../reporting/status.ts'
import { audit, type AdminDeps, type Operator } from '../context.ts'

const OFF = refuse('unsupported', 'Stripe is not set up here: set STRIPE_SECRET_KEY.')

const time = z.string().nullable()
const report = reportRow.omit({ seq: true }).extend({ at: time, sealed_at: time, sent_at: time })

const viewOf = (one: ReportView): z.infer<typeof report> =>
  report.parse({
    ...one,
    at: isoOrNull(one.at),
    sealed_at: isoOrNull(one.sealed_at),
    sent_at: isoOrNull(one.sent_at),
  })

const status = z.object({
  receipts_to_seal: z.int(),
  oldest_ms: z.number(),
  meters: z.array(meterRow.extend({ oldest: time })),
  stopped: z.array(stopRow.extend({ since: time })),
})

const readStatus = (deps: AdminDeps): Route<Operator> =>
  route({
    method: 'GET',
    path: '/meters',
    summary: 'Usage on its way to Stripe: by meter and state, of the last 40 days.',
    params: nothing,
    query: nothing,
    body: nothing,
    answer: status,
    async run() {
      const { views } = deps.usage
      const [backlog, meters, stops] = [views.backlog(), views.meters(), views.stops()]
      const { open, oldestMs } = await backlog
      const body = {
        receipts_to_seal: open,
        oldest_ms: oldestMs,
        meters: (await meters).map((one) => ({ ...one, oldest: isoOrNull(one.oldest) })),
        stopped: (await stops).map((one) => ({ ...one, since: isoOrNull(one.since) })),
      }
      return { status: 200, body }
    },
  })

const reportsQuery = z.strictObject({
  state: z.enum(REPORT_STATES).optional(),
  account_id: z.string().max(255).optional(),
  event_name: z.string().max(100).optional(),
  cursor: z.coerce.number().int().positive().optional(),
  limit: fields.pageLimit,
})

const listReports = (deps: AdminDeps): Route<Operator> =>
  route({
    method: 'GET',
    path: '/meters/reports',
    summary: 'Sealed usage as Stripe is told of it, newest first.',
    params: nothing,
    query: reportsQuery,
    body: nothing,
    answer: fields.pageOf(report),
    async run({ query: { state = null, account_id, event_name, cursor = null, limit } }) {
      const of = { accountId: account_id ?? null, eventName: event_name ?? null }
      const rows = await deps.usage.views.reports({ state, ...of, cursor, limit: limit + 1 })
      return { status: 200, body: fields.page(rows, limit, viewOf, ({ seq }) => String(seq)) }
    },
  })

/** By its id, or by the identifier that findings name. */
const reportName = z.union([z.uuid(), z.string().regex(/^farebox_[0-9a-f]{48}$/)])

const NOT_AGAIN =
  'Only what was refused, is late or unclear is sent again; with `now` also what Stripe took ' +
  'when the invoice of its time was final.'

const resend = (deps: AdminDeps): Route<Operator> =>
  route({
    method: 'POST',
    path: '/meters/reports/:id/resend',
    summary: 'Tell Stripe again what it does not have, or what no invoice bills.',
    params: z.object({ id: reportName }),
    query: nothing,
    body: z.strictObject({
      now: z
        .boolean()
        .default(false)
        .describe(
          'As usage of now: the next invoice bills it. So goes also what Stripe took too late.',
        ),
    }),
    answer: z.object({ identifier: z.string(), at: time, value: z.number() }),
    async run({ params: { id }, body: { now }, idempotencyKey: key, who }) {
      const { reporting } = deps.usage
      if (reporting === null) return OFF
      const newId = key === null ? undefined : uuidOf(['meter.resend', id], key, { now })
      await audit(deps, { actor: who.actor, action: 'meter.resend', subject: id, detail: { now } })
      const made = await reporting.resend(id, now, newId)
      if (made === null) return refuse('not_found', `There is no report ${id}.`)
      if (made === false) {
        return refuse('invalid_request', NOT_AGAIN)
      }
      const { identifier, atMs, value } = made
      return { status: 200, body: { identifier, at: isoOrNull(atMs), value } }
    },
  })

const hour = z.object({
  account_id: z.string(),
  customer_id: z.string(),
  event_name: z.string(),
  hour: z.string(),
  owed: z.number(),
  accepted: z.number(),
  stripe: z.number().nullable(),
})

const viewHour = (one: ComparedHour): z.infer<typeof hour> => ({
  account_id: one.accountId,
  customer_id: one.customerId,
  event_name: one.eventName,
  hour: new Date(one.startMs).toISOString(),
  owed: one.owed,
  accepted: one.accepted,
  stripe: one.stripe,
})

/** Differences that one answer holds; more need a smaller window. */
const DIFFERENCES_MAX = 1_000

const diff = (deps: AdminDeps): Route<Operator> =>
  route({
    method: 'POST',
    path: '/meters/diff',
    summary: 'Compare what Stripe took with its own summaries, for hours that ended an hour ago.',
    params: nothing,
    query: nothing,
    body: z.strictObject({
      from: fields.moment,
      to: fields.moment,
      account_id: z.string().max(255).optional(),
      event_name: z.string().max(100).optional(),
    }),
    answer: z.object({
      compared: z.int(),
      differences: z.array(hour),
      is_complete: z.boolean(),
    }),
    async run({ body: { from, to, account_id, event_name } }) {
      const { reporting } = deps.usage
      if (reporting === null) return OFF
      const of = { accountId: account_id ?? null, eventName: event_name ?? null }
      const differences: z.infer<typeof hour>[] = []
      let compared = 0
      for await (const one of reporting.compare({ fromMs: from, toMs: to, ...of })) {
        if (differences.length === DIFFERENCES_MAX) {
          return { status: 200, body: { compared, differences, is_complete: false } }
        }
        compared += 1
        const isSame = one.accepted === one.stripe && one.owed === one.accepted
        if (!isSame) differences.push(viewHour(one))
      }
      return { status: 200, body: { compared, differences, is_complete: true } }
    },
  })

export const meterRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  readStatus(deps),
  listReports(deps),
  resend(deps),
  diff(deps),
]
