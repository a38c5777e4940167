import { z } from 'zod'
import { isoOrNull } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'
import { EVENT_STATES, eventRow, type EventView } from '../../billing/inbox.ts'
import { refusalOfStripe } from '../../billing/refusals.ts'
import { isRefusal, refuse } from '../../kernel/errors.ts'
import { describeError } from '../../kernel/log.ts'
import { audit, type AdminDeps, type Operator } from '../context.ts'

const OFF = refuse('unsupported', 'Stripe is not set up here: set STRIPE_SECRET_KEY.')

const time = z.string().nullable()
const eventView = eventRow.omit({ seq: true }).extend({
  due_at: time,
  occurred_at: time,
  received_at: time,
  done_at: time,
})

const viewEvent = (event: EventView): z.infer<typeof eventView> =>
  eventView.parse({
    ...event,
    due_at: event.state === 'pending' ? isoOrNull(event.due_at) : null,
    occurred_at: isoOrNull(event.occurred_at),
    received_at: isoOrNull(event.received_at),
    done_at: isoOrNull(event.done_at),
  })

const query = z.strictObject({
  state: z.enum(EVENT_STATES).optional(),
  type: z.string().max(255).optional(),
  cursor: z.coerce.number().int().positive().optional(),
  limit: fields.pageLimit,
})

function listEvents(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'GET',
    path: '/stripe/events',
    summary: 'Events of Stripe as they arrived, newest first.',
    params: nothing,
    query,
    body: nothing,
    answer: fields.pageOf(eventView),
    async run({ query: { state = null, type = null, cursor = null, limit } }) {
      if (deps.stripe === null) return OFF
      const events = await deps.stripe.inbox.list({ state, type, cursor, limit: limit + 1 })
      return { status: 200, body: fields.page(events, limit, viewEvent, ({ seq }) => String(seq)) }
    },
  })
}

function replayEvent(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'POST',
    path: '/stripe/events/:id/replay',
    summary: 'Work an event off again: what it names is looked at as it is now.',
    params: fields.idParams,
    query: nothing,
    body: nothing,
    answer: eventView,
    async run({ params: { id }, who }) {
      if (deps.stripe === null) return OFF
      await audit(deps, { actor: who.actor, action: 'stripe.replay', subject: id, detail: {} })
      const event = await deps.stripe.inbox.replay(id, deps.clock.now())
      if (event === null) return refuse('not_found', `There is no event ${id}.`)
      return { status: 200, body: viewEvent(event) }
    },
  })
}

const fetched = { seen: z.int(), added: z.int() }

function syncEvents(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'POST',
    path: '/stripe/sync',
    summary: 'Fetch what was never delivered: events, and objects of before Stripe’s oldest event.',
    params: nothing,
    query: nothing,
    body: z.strictObject({ since: fields.moment, before: fields.moment.optional() }),
    answer: z.object({ ...fetched, objects: z.object(fetched), more_before: time }),
    async run({ body: { since, before }, who }) {
      if (deps.stripe === null) return OFF
      const detail = { since: isoOrNull(since), before: isoOrNull(before ?? null) }
      await audit(deps, { actor: who.actor, action: 'stripe.sync', subject: 'stripe', detail })
      const synced = await deps.stripe.sync(since, before ?? null).catch((error: unknown) => {
        const refusal = refusalOfStripe(error)
        if (refusal === null) throw error
        deps.log.warn({ error: describeError(error) }, 'sync not through')
        return refusal
      })
      if (isRefusal(synced)) return synced
      const { moreBeforeMs, ...report } = synced
      return { status: 200, body: { ...report, more_before: isoOrNull(moreBeforeMs) } }
    },
  })
}

export const stripeRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  listEvents(deps),
  replayEvent(deps),
  syncEvents(deps),
]
