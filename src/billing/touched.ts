import type Stripe from 'stripe'
import { QUARANTINE_EVENTS_MAX } from '../kernel/limits/books.ts'
import { idOf } from './stripe.ts'

/** What moves money or access; Stripe takes 20 types at most in one question. */
const TYPES = [
  ...['payment_intent.succeeded', 'checkout.session.completed', 'invoice.paid'],
  ...['checkout.session.async_payment_succeeded', 'charge.refunded', 'refund.created'],
  ...['refund.updated', 'refund.failed', 'charge.dispute.created', 'charge.dispute.updated'],
  ...['charge.dispute.closed', 'charge.dispute.funds_withdrawn', 'credit_note.created'],
  ...['charge.dispute.funds_reinstated', 'credit_note.voided', 'customer.subscription.created'],
  ...['customer.subscription.updated', 'customer.subscription.deleted'],
  ...['customer.subscription.paused', 'customer.subscription.resumed'],
]

/** What an event's object is about, beside itself. */
interface Related {
  readonly id?: string
  readonly object?: string
  readonly payment_intent?: string | { readonly id: string } | null
  readonly invoice?: string | { readonly id: string } | null
}

/** Ids of what Stripe's events of late are about. */
export interface Touched {
  readonly ids: ReadonlySet<string>
  /** Payments that were refunded or disputed: which invoice they are of, events do not say. */
  readonly paidBack: readonly string[]
}

const PAID_BACK = new Set(['refund', 'dispute', 'charge'])

/**
 * What has changed since, by Stripe's own account of it, delivered to us or not: most objects do
 * not tell when they changed. One list of some types; more than QUARANTINE_EVENTS_MAX are not read.
 */
export async function readTouched(
  stripe: Pick<Stripe, 'events'>,
  sinceMs: number,
): Promise<Touched> {
  const ids = new Set<string>()
  const paidBack = new Set<string>()
  const created = { gte: Math.floor(sinceMs / 1000) }
  let seen = 0
  for await (const event of stripe.events.list({ created, types: TYPES, limit: 100 })) {
    if ((seen += 1) > QUARANTINE_EVENTS_MAX) break
    const of: Related = event.data.object
    const payment = idOf(of.payment_intent ?? null)
    for (const id of [of.id, payment, idOf(of.invoice ?? null)]) {
      if (typeof id === 'string') ids.add(id)
    }
    if (payment !== null && PAID_BACK.has(of.object ?? '')) paidBack.add(payment)
  }
  return { ids, paidBack: [...paidBack] }
}
