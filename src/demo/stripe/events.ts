import { isObj, text, type Obj } from './json.ts'
import { API_VERSION, type World } from './world.ts'

/** Where an object is read, for thin events' `related_object`. */
const URLS: Record<string, string> = {
  customer: '/v1/customers',
  product: '/v1/products',
  price: '/v1/prices',
  charge: '/v1/charges',
  refund: '/v1/refunds',
  dispute: '/v1/disputes',
  invoice: '/v1/invoices',
  invoiceitem: '/v1/invoiceitems',
  subscription: '/v1/subscriptions',
  payment_intent: '/v1/payment_intents',
  payment_method: '/v1/payment_methods',
  setup_intent: '/v1/setup_intents',
  credit_note: '/v1/credit_notes',
  invoice_payment: '/v1/invoice_payments',
  'checkout.session': '/v1/checkout/sessions',
  'billing.meter': '/v1/billing/meters',
  'radar.early_fraud_warning': '/v1/radar/early_fraud_warnings',
}

export const isoTime = (atS: number): string => new Date(atS * 1000).toISOString()

/**
 * Keeps a snapshot event and, for objects that can be read, its thin twin, and hands both to
 * delivery. `previous` holds what changed, as it was.
 */
export function emit(world: World, type: string, source: Obj, previous: Obj = {}): void {
  const changed = Object.keys(previous).length > 0
  const event = world.keep('event', {
    id: world.id('evt'),
    object: 'event',
    api_version: API_VERSION,
    created: world.now(),
    data: {
      object: structuredClone(source),
      ...(changed ? { previous_attributes: structuredClone(previous) } : {}),
    },
    livemode: false,
    pending_webhooks: 0,
    request: { id: null, idempotency_key: null },
    type,
  })
  world.outbox.push({ type, eventId: text(event, 'id') })
  const url = URLS[text(source, 'object')]
  if (url !== undefined && source.id !== undefined) {
    emitThin(world, `v1.${type}`, {
      related_object: {
        id: text(source, 'id'),
        type: text(source, 'object'),
        url: `${url}/${text(source, 'id')}`,
      },
      snapshot_event: text(event, 'id'),
    })
  }
  for (const watch of world.watchers) watch(type, source)
}

/** A v2 event. `values.data` is only seen by who fetches it. */
export function emitThin(world: World, type: string, values: Obj): void {
  const event = world.keep('v2.core.event', {
    id: world.id('evt_test'),
    object: 'v2.core.event',
    created: isoTime(world.now()),
    livemode: false,
    type,
    ...values,
  })
  world.outbox.push({ type, eventId: text(event, 'id') })
}

/** What is pushed: a thin event goes without its data. */
export function pushedBody(event: Obj): string {
  if (event.object !== 'v2.core.event') return JSON.stringify(event)
  return JSON.stringify({ ...event, data: undefined })
}

/** Says who asked, in the events of the call that just ran. */
export function stampRequest(world: World, requestId: string, key: string | null): void {
  for (const { eventId } of world.outbox) {
    const event = world.find(eventId)
    if (event === null) continue
    if (isObj(event.request)) event.request = { id: requestId, idempotency_key: key }
    else event.reason = { type: 'request', request: { id: requestId, idempotency_key: key ?? '' } }
  }
}
