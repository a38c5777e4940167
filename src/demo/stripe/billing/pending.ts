import { emit } from '../events.ts'
import { isObj, ref, text, textOr, type Obj } from '../json.ts'
import { change, HOUR_S } from '../world.ts'
import { isOver, itemsOf, subscriptionOf, type Biller } from './biller.ts'
import { voidInvoice } from './collect.ts'
import { planPeriodEnd } from './periods.ts'

/** So long a change waits for its payment. Source: docs.stripe.com (pending updates) */
const WAITS_S = 23 * HOUR_S

const NOTHING = {
  billing_cycle_anchor: null,
  cancel_at_period_end: null,
  discount: null,
  discounts: null,
  metadata: null,
  trial_end: null,
  trial_from_plan: null,
}

function isPending(biller: Biller, subscription: Obj, invoice: Obj): boolean {
  const note = biller.world.note(text(subscription, 'id'))
  return isObj(subscription.pending_update) && note.pending_invoice === invoice.id
}

/** It was not paid in time: nothing changes. */
function expire(biller: Biller, subscription: Obj, invoice: Obj): void {
  if (isOver(subscription) || !isPending(biller, subscription, invoice)) return
  const previous = change(subscription, { pending_update: null })
  if (invoice.status === 'open') voidInvoice(biller, invoice)
  emit(biller.world, 'customer.subscription.pending_update_expired', subscription, previous)
}

/** The change waits for its invoice: until then the subscription is as it was `before`. */
export function leavePending(biller: Biller, subscription: Obj, before: Obj, invoice: Obj): void {
  const { world } = biller
  const items = structuredClone(subscription.items ?? null)
  const subscription_items = itemsOf(subscription).map((item) => structuredClone(item))
  const expires_at = world.now() + WAITS_S
  const latest_invoice = subscription.latest_invoice ?? null
  Object.assign(subscription, before, { latest_invoice })
  for (const item of itemsOf(subscription)) world.keep('subscription_item', item)
  subscription.pending_update = { ...NOTHING, expires_at, subscription_items }
  Object.assign(world.note(text(subscription, 'id')), {
    pending_items: items,
    pending_invoice: text(invoice, 'id'),
  })
  world.timeline.schedule(expires_at, () => {
    expire(biller, subscription, invoice)
  })
}

/** Carries out what waited for an invoice, once that is paid. */
export function watchPending(biller: Biller): void {
  const { world } = biller
  world.watchers.push((type, source) => {
    const invoice = type === 'invoice.paid' ? world.find(textOr(source, 'id')) : null
    const subscription = invoice === null ? null : subscriptionOf(world, invoice)
    if (invoice === null || subscription === null || isOver(subscription)) return
    if (!isPending(biller, subscription, invoice)) return
    const items = world.note(ref(subscription, 'id') ?? '').pending_items ?? null
    const previous = change(subscription, { items, pending_update: null })
    for (const item of itemsOf(subscription)) world.keep('subscription_item', item)
    planPeriodEnd(biller, subscription)
    emit(world, 'customer.subscription.pending_update_applied', subscription, previous)
    emit(world, 'customer.subscription.updated', subscription, previous)
  })
}
