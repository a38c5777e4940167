import { emit } from '../events.ts'
import { child, int, rows, text, textOr, type Obj } from '../json.ts'
import { change, type World } from '../world.ts'
import { isMetered, itemsOf, periodOf, turn, type Biller } from './biller.ts'
import { periodEndAfter } from './calendar.ts'
import { itemList, makeItem } from './items.ts'
import type { Period } from './lines.ts'

const KIND = 'subscription_schedule'

/** The schedule that a subscription follows; null = none. */
const scheduleOf = (world: World, subscription: Obj): Obj | null =>
  world.find(textOr(subscription, 'schedule'))

function phaseOf(item: Obj, price: Obj, { start, end }: Period): Obj {
  const of = { price: text(price, 'id'), plan: text(price, 'id'), quantity: int(item, 'quantity') }
  return {
    ...{ add_invoice_items: [], application_fee_percent: null, billing_cycle_anchor: null },
    ...{ billing_thresholds: null, collection_method: null, currency: text(price, 'currency') },
    ...{ default_payment_method: null, description: null, discounts: [], end_date: end },
    ...{ invoice_settings: null, metadata: {}, on_behalf_of: null, proration_behavior: 'none' },
    ...{ start_date: start, transfer_data: null, trial_end: null },
    items: [{ billing_thresholds: null, discounts: [], metadata: {}, ...of }],
  }
}

const DEFAULTS: Obj = {
  ...{ application_fee_percent: null, billing_cycle_anchor: 'automatic', billing_thresholds: null },
  ...{ collection_method: 'charge_automatically', default_payment_method: null },
  ...{ description: null, on_behalf_of: null, transfer_data: null },
  invoice_settings: {
    ...{ account_tax_ids: null, custom_fields: null, days_until_due: null },
    ...{ description: null, footer: null, issuer: { type: 'self' } },
  },
}

/**
 * Leaves a change of price to the end of the period: a schedule of two phases, of which the second
 * lasts a period and lets go of the subscription then. Source: docs.stripe.com (customer portal).
 */
export function leaveToSchedule(biller: Biller, subscription: Obj, item: Obj, price: Obj): void {
  const { world } = biller
  const now = periodOf(subscription)
  const recurring = child(price, 'recurring')
  const next = { start: now.end, end: periodEndAfter(now.end, recurring, now.end) }
  const id = world.id('sub_sched')
  const made = world.keep(KIND, {
    ...{ id, object: KIND, application: null, canceled_at: null, completed_at: null },
    billing_mode: structuredClone(child(subscription, 'billing_mode')),
    created: world.now(),
    current_phase: { start_date: now.start, end_date: now.end },
    ...{ customer: text(subscription, 'customer'), customer_account: null },
    default_settings: structuredClone(DEFAULTS),
    ...{ end_behavior: 'release', livemode: false, metadata: {}, pause_schedules: [] },
    phases: [phaseOf(item, child(item, 'price'), now), phaseOf(item, price, next)],
    ...{ released_at: null, released_subscription: null, status: 'active' },
    ...{ subscription: text(subscription, 'id'), test_clock: null },
  })
  emit(world, `${KIND}.created`, made)
  turn(biller, subscription, { schedule: id })
}

/** The subscription goes on as it is, by itself. */
export function release(biller: Biller, subscription: Obj): void {
  const { world } = biller
  const schedule = scheduleOf(world, subscription)
  if (schedule === null) return
  const previous = change(schedule, {
    ...{ status: 'released', released_at: world.now(), subscription: null },
    ...{ released_subscription: text(subscription, 'id'), current_phase: null },
  })
  emit(world, `${KIND}.released`, schedule, previous)
  turn(biller, subscription, { schedule: null })
}

/** A phase begins with its own items, new ones; after the last phase the schedule lets go. */
export function enterPhase(biller: Biller, subscription: Obj, atS: number): void {
  const { world } = biller
  const schedule = scheduleOf(world, subscription)
  if (schedule === null) return
  const phase = rows(schedule, 'phases').find((one) => int(one, 'start_date') === atS)
  if (phase === undefined) {
    release(biller, subscription)
    return
  }
  const id = text(subscription, 'id')
  const old = itemsOf(subscription)
  const made = rows(phase, 'items').map((one) => makeItem(world, id, one, periodOf(subscription)))
  const metered = old.filter((one) => isMetered(child(one, 'price')))
  for (const one of old)
    if (!metered.includes(one)) world.drop('subscription_item', text(one, 'id'))
  subscription.items = itemList(id, [...made, ...metered])
  const current = { start_date: atS, end_date: int(phase, 'end_date') }
  emit(world, `${KIND}.updated`, schedule, change(schedule, { current_phase: current }))
}

/** A subscription that is over takes its schedule with it. */
export function watchSchedules(world: World): void {
  world.watchers.push((type, source) => {
    if (type !== 'customer.subscription.deleted') return
    const schedule = scheduleOf(world, source)
    if (schedule?.status !== 'active') return
    const canceled = { status: 'canceled', canceled_at: world.now(), current_phase: null }
    emit(world, `${KIND}.canceled`, schedule, change(schedule, canceled))
  })
}
