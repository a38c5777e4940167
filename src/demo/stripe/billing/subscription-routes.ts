import { emit } from '../events.ts'
import { invalid } from '../faults.ts'
import { child, flag, pick, text, textOr, type Obj } from '../json.ts'
import { listOf, matching, page, search } from '../paging.ts'
import { route, type Call, type Route } from '../route.ts'
import { shape } from '../world.ts'
import { end, isOver, itemsOf, pause, type Biller } from './biller.ts'
import { creditUnused, updateSubscription } from './changes.ts'
import { collect, finalize } from './collect.ts'
import { draftOf } from './periods.ts'
import { createSubscription } from './subscriptions.ts'

/** Ends it now; by wish with a credit for the rest of the period, and an invoice. */
function cancelNow(biller: Biller, subscription: Obj, input: Obj): Obj {
  if (isOver(subscription)) {
    throw invalid(`No such subscription: '${text(subscription, 'id')}'`, 'id', 'resource_missing')
  }
  if (flag(input, 'prorate')) creditUnused(biller.world, subscription)
  const details = pick(child(input, 'cancellation_details'), ['comment', 'feedback'])
  subscription.cancellation_details = { ...child(subscription, 'cancellation_details'), ...details }
  end(biller, subscription, 'cancellation_requested')
  if (flag(input, 'invoice_now')) {
    const bill = { reason: 'manual', next: null, last: null }
    const draft = draftOf(biller, subscription, bill)
    finalize(biller, draft)
    collect(biller, draft)
  }
  return subscription
}

function listed({ world }: Biller, { input, url }: Call): Obj {
  const status = textOr(input, 'status')
  const price = textOr(input, 'price')
  const found = world
    .all('subscription')
    .filter(matching(input, ['customer', 'collection_method']))
    .filter((one) => {
      if (status === 'all') return true
      if (status === null) return one.status !== 'canceled'
      return status === 'ended' ? isOver(one) : one.status === status
    })
    .filter((one) => price === null || itemsOf(one).some((i) => child(i, 'price').id === price))
  return page(found, { ...input, status: '' }, url)
}

function resume(biller: Biller, subscription: Obj): Obj {
  const { world } = biller
  if (subscription.status !== 'paused') throw invalid('This subscription is not paused.')
  subscription.status = 'active'
  Reflect.deleteProperty(subscription, 'status_details')
  updateSubscription(biller, subscription, {
    billing_cycle_anchor: { type: 'now' },
    proration_behavior: 'none',
  })
  emit(world, 'customer.subscription.resumed', subscription)
  return subscription
}

function itemRoutes(biller: Biller): Route[] {
  const { world } = biller
  const one = ({ path }: Call): Obj => world.get('subscription_item', path.id ?? '')
  const owner = (item: Obj): Obj => world.get('subscription', text(item, 'subscription'))
  const settings = ['proration_behavior', 'proration_date', 'payment_behavior']
  const apply = (subscription: Obj, item: Obj, input: Obj): Obj =>
    updateSubscription(biller, subscription, { ...pick(input, settings), items: [item] })
  return [
    route('GET /v1/subscription_items', ({ input, url }) => {
      const subscription = world.get('subscription', text(input, 'subscription'), 'subscription')
      return listOf(itemsOf(subscription), false, url)
    }),
    route('POST /v1/subscription_items', ({ input }) => {
      const subscription = world.get('subscription', text(input, 'subscription'), 'subscription')
      const wanted = pick(input, ['price', 'price_data', 'quantity', 'metadata'])
      apply(subscription, wanted, input)
      return itemsOf(subscription).at(-1) ?? {}
    }),
    route('GET /v1/subscription_items/{id}', one),
    route('POST /v1/subscription_items/{id}', (call) => {
      const item = one(call)
      const wanted = pick(call.input, ['price', 'price_data', 'quantity', 'metadata'])
      apply(owner(item), { ...wanted, id: text(item, 'id') }, call.input)
      return item
    }),
    route('DELETE /v1/subscription_items/{id}', (call) => {
      const item = one(call)
      apply(owner(item), { id: text(item, 'id'), deleted: 'true' }, call.input)
      return shape('deleted_subscription_item', { id: text(item, 'id') })
    }),
  ]
}

export function subscriptionRoutes(biller: Biller): Route[] {
  const { world } = biller
  const one = ({ path }: Call): Obj => world.get('subscription', path.id ?? '')
  return [
    route('POST /v1/subscriptions', ({ input }) => createSubscription(biller, input)),
    route('GET /v1/subscriptions', (call) => listed(biller, call)),
    route('GET /v1/subscriptions/search', ({ input, url }) =>
      search(world.all('subscription'), input, url),
    ),
    route('GET /v1/subscriptions/{id}', one),
    route('POST /v1/subscriptions/{id}', (call) =>
      updateSubscription(biller, one(call), call.input),
    ),
    route('DELETE /v1/subscriptions/{id}', (call) => cancelNow(biller, one(call), call.input)),
    route('POST /v1/subscriptions/{id}/pause', (call) => {
      const subscription = one(call)
      if (isOver(subscription)) throw invalid('This subscription is over.')
      pause(biller, subscription, 'pause_requested')
      return subscription
    }),
    route('POST /v1/subscriptions/{id}/resume', (call) => resume(biller, one(call))),
    ...itemRoutes(biller),
  ]
}

/** Stripe ends a deleted customer's subscriptions at once. */
export function endAllOf(biller: Biller, customer: Obj): void {
  for (const subscription of biller.world.all('subscription')) {
    if (subscription.customer === customer.id) end(biller, subscription, 'cancellation_requested')
  }
}
