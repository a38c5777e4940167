import { amountOf } from '../catalogue.ts'
import { emit } from '../events.ts'
import { ApiFault, invalid } from '../faults.ts'
import {
  child,
  flag,
  has,
  int,
  intOr,
  mergeMetadata,
  pick,
  rows,
  text,
  textOr,
  type Obj,
} from '../json.ts'
import { change, type World } from '../world.ts'
import { isMetered, isOver, itemsOf, periodOf, type Biller } from './biller.ts'
import { periodEndAfter } from './calendar.ts'
import { collect, finalize, intentOf, voidInvoice } from './collect.ts'
import { makeInvoiceItem } from './invoice-items.ts'
import { checkRhythm, itemList, makeItem, priceIn, setItemPrice } from './items.ts'
import { nameOf } from './lines.ts'
import { leavePending } from './pending.ts'
import { draftOf, planPeriodEnd, recurringOf, setPeriod } from './periods.ts'
import { itemNamed, quantityOf, setCancel } from './subscriptions.ts'
import { couponIn, makeDiscount } from './totals.ts'

interface Was {
  readonly price: Obj
  readonly quantity: number
}

interface Change {
  readonly item: Obj
  /** null = it was not there. */
  readonly before: Was | null
  /** null = it is taken away. */
  readonly after: Was | null
}

const wasOf = (item: Obj): Was => ({
  price: structuredClone(child(item, 'price')),
  quantity: quantityOf(item),
})

/** Carries out what a call says of one item. */
function changeItem(world: World, subscription: Obj, input: Obj): Change {
  const id = textOr(input, 'id')
  if (id === null) {
    const item = makeItem(world, text(subscription, 'id'), input, periodOf(subscription))
    const items = [...itemsOf(subscription), item]
    subscription.items = itemList(text(subscription, 'id'), items)
    return { item, before: null, after: wasOf(item) }
  }
  const item = itemNamed(subscription, id)
  const before = wasOf(item)
  if (flag(input, 'deleted')) {
    const items = itemsOf(subscription).filter((one) => one !== item)
    subscription.items = itemList(text(subscription, 'id'), items)
    world.drop('subscription_item', id)
    return { item, before, after: null }
  }
  if (has(input, 'price') || has(input, 'price_data')) {
    setItemPrice(item, priceIn(world, input, 'items[0][price]'))
  }
  if (has(input, 'quantity')) item.quantity = int(input, 'quantity')
  item.metadata = mergeMetadata(child(item, 'metadata'), input)
  return { item, before, after: wasOf(item) }
}

/** The rest of a period, credited for what was and charged for what is. */
function prorate(world: World, subscription: Obj, changed: Change, atS: number): void {
  const { start, end } = periodOf(subscription)
  const charge = (was: Was | null, sign: 1 | -1): void => {
    if (was === null || isMetered(was.price) || end <= start) return
    const whole = amountOf(was.price, was.quantity)
    const amount = sign * Math.round((whole * (end - atS)) / (end - start))
    const word = sign < 0 ? 'Unused' : 'Remaining'
    makeInvoiceItem(world, {
      customer: text(subscription, 'customer'),
      amount,
      currency: text(subscription, 'currency'),
      price: was.price,
      quantity: was.quantity,
      period: { start: atS, end },
      description: `${word} time on ${was.quantity} × ${nameOf(world, was.price)}`,
      proration: true,
      subscription: text(subscription, 'id'),
      subscriptionItem: text(changed.item, 'id'),
      metadata: {},
    })
  }
  charge(changed.before, -1)
  charge(changed.after, 1)
}

const rhythmOf = (subscription: Obj): string =>
  JSON.stringify(pick(recurringOf(subscription), ['interval', 'interval_count']))

/** Invoices now, and charges. A refusal where the caller wants no half-done change. */
function invoiceNow(biller: Biller, subscription: Obj, whole: boolean): Obj {
  const period = periodOf(subscription)
  const bill = { reason: 'subscription_update', next: whole ? period : null, last: null }
  const draft = draftOf(biller, subscription, bill)
  finalize(biller, draft)
  if (draft.status === 'open' && draft.collection_method !== 'send_invoice') collect(biller, draft)
  return draft
}

/** A new rhythm, or an anchor set to now: the period begins again, and is billed at once. */
function restart(biller: Biller, subscription: Obj): void {
  const now = biller.world.now()
  subscription.billing_cycle_anchor = now
  setPeriod(subscription, { start: now, end: periodEndAfter(now, recurringOf(subscription), now) })
}

/** Items, with the prorations and the invoice that follow. */
function changeItems(biller: Biller, subscription: Obj, input: Obj): void {
  const { world } = biller
  const rhythm = rhythmOf(subscription)
  const before = structuredClone(subscription)
  const how = textOr(input, 'proration_behavior') ?? 'create_prorations'
  const atS = intOr(input, 'proration_date') ?? world.now()
  const changed = rows(input, 'items').map((one) => changeItem(world, subscription, one))
  checkRhythm(itemsOf(subscription))
  const isTrial = subscription.status === 'trialing'
  const anew = textOr(child(input, 'billing_cycle_anchor'), 'type') === 'now'
  const restarts = !isTrial && (anew || rhythmOf(subscription) !== rhythm)
  if (!isTrial && how !== 'none') {
    const rest = restarts
      ? itemsOf(before).map((item) => ({ item, before: wasOf(item), after: null }))
      : changed
    for (const one of rest) prorate(world, before, one, atS)
  }
  if (restarts) restart(biller, subscription)
  if (isTrial || (how !== 'always_invoice' && !restarts)) return
  const behaviour = textOr(input, 'payment_behavior') ?? 'allow_incomplete'
  const pends = behaviour === 'pending_if_incomplete'
  // Whoever fails to collect it leaves the subscription as it is.
  if (pends) world.note(text(subscription, 'id')).pends = true
  const invoice = invoiceNow(biller, subscription, restarts)
  world.note(text(subscription, 'id')).pends = false
  if (pends && invoice.status === 'open') leavePending(biller, subscription, before, invoice)
  if (behaviour === 'error_if_incomplete' && invoice.status === 'open') {
    Object.assign(subscription, before)
    for (const item of itemsOf(subscription)) world.keep('subscription_item', item)
    const intent = intentOf(world, invoice)
    const refusal = intent === null ? null : biller.payments.refusal(intent)
    voidInvoice(biller, invoice)
    throw refusal ?? new ApiFault(402, { type: 'card_error', message: 'The payment failed.' })
  }
}

function setPause(biller: Biller, subscription: Obj, input: Obj): void {
  if (input.pause_collection === '') subscription.pause_collection = null
  const given = child(input, 'pause_collection')
  if (!has(given, 'behavior')) return
  const resumes = intOr(given, 'resumes_at')
  subscription.pause_collection = { behavior: text(given, 'behavior'), resumes_at: resumes }
  if (resumes === null) return
  const { world } = biller
  world.timeline.schedule(resumes, () => {
    if (child(subscription, 'pause_collection').resumes_at !== resumes) return
    const previous = change(subscription, { pause_collection: null })
    emit(world, 'customer.subscription.updated', subscription, previous)
  })
}

/** A trial that ends now bills its first period at once; one that moves, later. */
function setTrial(biller: Biller, subscription: Obj, input: Obj): void {
  const { world } = biller
  const asked = textOr(input, 'trial_end')
  if (asked === null) return
  const now = world.now()
  const end = asked === 'now' ? now : Number(asked)
  change(subscription, { trial_end: end, billing_cycle_anchor: end })
  if (end > now) {
    change(subscription, { status: 'trialing', trial_start: subscription.trial_start ?? now })
    setPeriod(subscription, { start: now, end })
    return
  }
  change(subscription, { status: 'active' })
  restart(biller, subscription)
  invoiceNow(biller, subscription, true)
}

const PLAIN = ['description', 'default_payment_method', 'collection_method', 'days_until_due']

/** `POST /v1/subscriptions/{id}`. */
export function updateSubscription(biller: Biller, subscription: Obj, input: Obj): Obj {
  const { world } = biller
  if (isOver(subscription)) {
    throw invalid('A canceled subscription can only update its cancellation_details and metadata.')
  }
  const before = structuredClone(subscription)
  const card = textOr(input, 'default_payment_method')
  if (card !== null) world.get('payment_method', card, 'default_payment_method')
  change(subscription, {
    ...pick(input, PLAIN),
    metadata: mergeMetadata(child(subscription, 'metadata'), input),
  })
  const coupon = couponIn(world, input)
  if (coupon !== null)
    subscription.discounts = [text(makeDiscount(world, coupon, subscription), 'id')]
  setPause(biller, subscription, input)
  setTrial(biller, subscription, input)
  const wants = has(input, 'items') || has(input, 'billing_cycle_anchor')
  if (wants) changeItems(biller, subscription, input)
  setCancel(world, subscription, input)
  planPeriodEnd(biller, subscription)
  const previous: Obj = {}
  for (const [key, value] of Object.entries(before)) {
    if (JSON.stringify(value) !== JSON.stringify(subscription[key])) previous[key] = value
  }
  if (Object.keys(previous).length > 0) {
    emit(world, 'customer.subscription.updated', subscription, previous)
  }
  return subscription
}

/** What a subscription that ends now has paid for and not had. */
export function creditUnused(world: World, subscription: Obj): void {
  for (const item of itemsOf(subscription)) {
    prorate(world, subscription, { item, before: wasOf(item), after: null }, world.now())
  }
}
