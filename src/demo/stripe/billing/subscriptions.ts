import { emit } from '../events.ts'
import { ApiFault, invalid } from '../faults.ts'
import { child, intOr, mergeMetadata, ref, rows, text, textOr, type Obj } from '../json.ts'
import { change, DAY_S, shape, type World } from '../world.ts'
import { itemsOf, periodOf, turn, type Biller } from './biller.ts'
import { periodEndAfter } from './calendar.ts'
import { advanceLater, collect, finalize, intentOf, voidInvoice } from './collect.ts'
import { itemFrom } from './invoice-items.ts'
import { checkRhythm, itemList, makeItem } from './items.ts'
import { draftOf, planPeriodEnd, recurringOf, setPeriod } from './periods.ts'
import { couponIn, makeDiscount } from './totals.ts'

/** The end of the trial that a call asks for, unix seconds; null = none. */
function trialEndOf(world: World, input: Obj): number | null {
  const days = intOr(input, 'trial_period_days')
  const end = days === null ? intOr(input, 'trial_end') : world.now() + days * DAY_S
  if (end !== null && end <= world.now()) throw invalid('trial_end must be ahead.', 'trial_end')
  return end
}

function settingsOf(world: World, input: Obj): Obj {
  const trial = child(child(input, 'trial_settings'), 'end_behavior')
  const missing = textOr(trial, 'missing_payment_method') ?? 'create_invoice'
  const end_behavior = { billing_cycle_anchor: null, missing_payment_method: missing }
  return {
    collection_method: textOr(input, 'collection_method') ?? 'charge_automatically',
    days_until_due: intOr(input, 'days_until_due'),
    default_payment_method: textOr(input, 'default_payment_method'),
    description: textOr(input, 'description'),
    metadata: mergeMetadata({}, input),
    trial_settings: { end_behavior },
    start_date: world.now(),
  }
}

/** A subscription of a customer, with its items; not billed yet, and nobody told. */
export function composeSubscription(world: World, customer: Obj, input: Obj): Obj {
  const trialEnd = trialEndOf(world, input)
  const now = world.now()
  const id = world.id('sub')
  const made = shape('subscription', {
    id,
    created: now,
    customer: text(customer, 'id'),
    status: trialEnd === null ? 'incomplete' : 'trialing',
    trial_start: trialEnd === null ? null : now,
    trial_end: trialEnd,
    cancellation_details: { comment: null, feedback: null, feedback_option: null, reason: null },
    ...settingsOf(world, input),
  })
  const items = rows(input, 'items').map((one) => makeItem(world, id, one, { start: now, end: 0 }))
  checkRhythm(items)
  made.items = itemList(id, items)
  made.currency = text(child(items[0] ?? {}, 'price'), 'currency')
  const anchor = trialEnd ?? intOr(input, 'billing_cycle_anchor') ?? now
  made.billing_cycle_anchor = anchor
  setPeriod(made, { start: now, end: periodEndAfter(anchor, recurringOf(made), now) })
  const coupon = couponIn(world, input)
  if (coupon !== null) made.discounts = [text(makeDiscount(world, coupon, made), 'id')]
  setCancel(world, made, input)
  const saves = child(input, 'payment_settings').save_default_payment_method === 'on_subscription'
  world.note(id).saves_method = saves
  world.keep('subscription', made)
  return made
}

/** `cancel_at_period_end` and `cancel_at`, as a call asks; '' takes them back. */
export function setCancel(world: World, subscription: Obj, input: Obj): Obj {
  const atEnd = textOr(input, 'cancel_at_period_end')
  if (atEnd !== null) {
    const cancels = atEnd === 'true'
    return change(subscription, {
      cancel_at_period_end: cancels,
      cancel_at: cancels ? periodOf(subscription).end : null,
      canceled_at: cancels ? (subscription.canceled_at ?? world.now()) : null,
    })
  }
  if (input.cancel_at === undefined) return {}
  const asked = text(input, 'cancel_at')
  const at = asked.endsWith('_period_end') ? periodOf(subscription).end : intOr(input, 'cancel_at')
  return change(subscription, { cancel_at: at, cancel_at_period_end: false })
}

/** Its first invoice, and what else was sold with it. */
function firstDraft(biller: Biller, subscription: Obj, sold: readonly Obj[]): Obj {
  const { world } = biller
  for (const one of sold) {
    itemFrom(world, one, text(subscription, 'customer'), text(subscription, 'id'))
  }
  const free = subscription.status === 'trialing'
  const next = periodOf(subscription)
  return draftOf(biller, subscription, { reason: 'subscription_create', next, last: null, free })
}

/** What was not paid within 23 hours is over. */
function expireLater(biller: Biller, subscription: Obj, invoice: Obj): void {
  const { world } = biller
  world.timeline.schedule(world.now() + world.settings.incomplete_expires_s, () => {
    if (subscription.status !== 'incomplete') return
    turn(biller, subscription, { status: 'incomplete_expired', ended_at: world.now() })
    if (invoice.status === 'open') voidInvoice(biller, invoice)
  })
}

/** Bills a new subscription. `intent`: the payment that has already been made for it. */
export function start(
  biller: Biller,
  subscription: Obj,
  sold: readonly Obj[],
  intent: Obj | null,
): void {
  const { world } = biller
  const draft = firstDraft(biller, subscription, sold)
  const isSent = subscription.collection_method === 'send_invoice'
  if (isSent && subscription.status === 'incomplete') subscription.status = 'active'
  if (intent?.status === 'processing') subscription.status = 'active'
  emit(world, 'customer.subscription.created', subscription)
  planPeriodEnd(biller, subscription)
  if (isSent) advanceLater(biller, draft, world.settings.finalize_s)
  else finalize(biller, draft, intent)
  expireLater(biller, subscription, draft)
}

function refuseUnpaid(biller: Biller, invoice: Obj): void {
  const intent = intentOf(biller.world, invoice)
  const refusal = intent === null ? null : biller.payments.refusal(intent)
  throw refusal ?? new ApiFault(402, { type: 'card_error', message: 'The payment failed.' })
}

/** `POST /v1/subscriptions`. */
export function createSubscription(biller: Biller, input: Obj): Obj {
  const { world } = biller
  const customer = world.get('customer', text(input, 'customer'), 'customer')
  const made = composeSubscription(world, customer, input)
  start(biller, made, rows(input, 'add_invoice_items'), null)
  const invoice = world.find(ref(made, 'latest_invoice')) ?? {}
  const how = textOr(input, 'payment_behavior') ?? 'allow_incomplete'
  if (invoice.status !== 'open' || how === 'default_incomplete') return made
  if (made.collection_method === 'send_invoice') return made
  collect(biller, invoice)
  if (how === 'error_if_incomplete' && made.status === 'incomplete') {
    const id = text(made, 'id')
    biller.timers.get(id)?.()
    voidInvoice(biller, invoice)
    world.drop('subscription', id)
    refuseUnpaid(biller, invoice)
  }
  return made
}

export const quantityOf = (item: Obj): number => intOr(item, 'quantity') ?? 1

export const itemNamed = (subscription: Obj, id: string): Obj => {
  const found = itemsOf(subscription).find((item) => item.id === id)
  if (found === undefined) throw invalid(`No such subscription item: '${id}'`, 'items[0][id]')
  return found
}
