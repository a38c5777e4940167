import { emit } from '../events.ts'
import { child, int, ref, rows, text, type Obj } from '../json.ts'
import type { Payments } from '../payments.ts'
import { change, type World } from '../world.ts'

/** Where subscriptions are billed. */
export interface Biller {
  readonly world: World
  readonly payments: Payments
  /** What is planned for a subscription's period end, by its id: cancels it. */
  readonly timers: Map<string, () => void>
}

const OVER = /^(canceled|incomplete_expired)$/
export const isOver = (subscription: Obj): boolean => OVER.test(text(subscription, 'status'))

export const itemsOf = (subscription: Obj): Obj[] => rows(subscription, 'items')

export const isMetered = (price: Obj): boolean => child(price, 'recurring').usage_type === 'metered'

/** The subscription that an invoice is of; null = none. */
export const subscriptionOf = (world: World, invoice: Obj): Obj | null =>
  world.find(ref(child(child(invoice, 'parent'), 'subscription_details'), 'subscription'))

/** What is charged: the subscription's own method, else the customer's default. */
export function methodOf(world: World, customerId: string, subscription: Obj | null): Obj | null {
  const own = subscription === null ? null : ref(subscription, 'default_payment_method')
  const customer = world.find(customerId)
  const settings = customer === null ? {} : child(customer, 'invoice_settings')
  return world.find(own ?? ref(settings, 'default_payment_method'))
}

/** Changes a subscription and tells. */
export function turn(
  { world }: Biller,
  subscription: Obj,
  values: Obj,
  event = 'customer.subscription.updated',
): void {
  const previous = change(subscription, values)
  if (event === 'customer.subscription.updated' && Object.keys(previous).length === 0) return
  emit(world, event, subscription, previous)
}

export const periodOf = (subscription: Obj): { readonly start: number; readonly end: number } => {
  const [first = {}] = itemsOf(subscription)
  return { start: int(first, 'current_period_start'), end: int(first, 'current_period_end') }
}

export type PauseReason =
  'trial_end_without_payment_method' | 'pause_requested' | 'final_payment_failure'

export function pause(biller: Biller, subscription: Obj, why: PauseReason): void {
  biller.timers.get(text(subscription, 'id'))?.()
  const status_details = {
    paused: {
      subscription: { type: why },
      transitioned_at: biller.world.now(),
      type: 'subscription',
    },
  }
  const paused = { status: 'paused', status_details }
  turn(biller, subscription, paused, 'customer.subscription.paused')
}

/** It is over; whoever still has to be paid is no longer asked. */
export function end(biller: Biller, subscription: Obj, reason: string): void {
  if (isOver(subscription)) return
  const { world, timers } = biller
  const id = text(subscription, 'id')
  timers.get(id)?.()
  const details = child(subscription, 'cancellation_details')
  for (const invoice of world.all('invoice')) {
    const waits = invoice.status === 'open' || invoice.status === 'draft'
    if (!waits || subscriptionOf(world, invoice) !== subscription) continue
    change(invoice, { auto_advance: false, next_payment_attempt: null })
  }
  const over = {
    status: 'canceled',
    ended_at: world.now(),
    canceled_at: subscription.canceled_at ?? world.now(),
    cancellation_details: {
      comment: null,
      feedback: null,
      feedback_option: null,
      ...details,
      reason,
    },
  }
  turn(biller, subscription, over, 'customer.subscription.deleted')
}
