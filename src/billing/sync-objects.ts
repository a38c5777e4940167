import { createHash } from 'node:crypto'
import type Stripe from 'stripe'
import { DISPUTE_OPEN_MS } from '../kernel/limits/books.ts'
import { STRIPE_CHANGES_MS } from '../kernel/limits/stripe.ts'
import { WEBHOOK_API_VERSION } from './handled-events.ts'
import { idOf } from './stripe.ts'

/** An object of Stripe's as a list showed it. */
export interface Listed {
  readonly id: string
  readonly created: number
  /** Since when nothing happens to it any more, Unix s; null = something may. */
  readonly endedAt: number | null
  /** What of it a later look might find otherwise. */
  readonly state: readonly unknown[]
}

interface Range {
  readonly gte?: number
  readonly lte: number
}

interface ListParams {
  readonly limit: number
  readonly created: Range
}

export interface ObjectList {
  /** As an event of it would be called. */
  readonly type: string
  /** How long after it was made it may still change what is granted, ms; null = always. */
  readonly changesMs: number | null
  list(params: ListParams): AsyncIterable<Listed>
}

type Lists = Pick<
  Stripe,
  | 'checkout'
  | 'paymentIntents'
  | 'invoices'
  | 'subscriptions'
  | 'refunds'
  | 'disputes'
  | 'radar'
  | 'creditNotes'
>

interface Made {
  readonly id: string
  readonly created: number
}

function listOf<T extends Made>(
  type: string,
  list: (params: ListParams) => AsyncIterable<T>,
  stateOf: (one: T) => readonly unknown[],
  changesMs: number | null = STRIPE_CHANGES_MS,
  endedAtOf: (one: T) => number | null = () => null,
): ObjectList {
  return {
    type,
    changesMs,
    async *list(params) {
      for await (const one of list(params)) {
        const { id, created } = one
        yield { id, created, endedAt: endedAtOf(one), state: stateOf(one) }
      }
    },
  }
}

const itemState = ({ price, quantity, current_period_end: end }: Stripe.SubscriptionItem) =>
  [price.id, quantity ?? null, end] as const

const subscriptionState = (it: Stripe.Subscription): readonly unknown[] => [
  ...[it.status, it.cancel_at, it.cancel_at_period_end, it.ended_at, it.trial_end],
  ...[it.pause_collection?.behavior ?? null, idOf(it.latest_invoice)],
  it.items.data.map(itemState),
]

const invoiceState = (it: Stripe.Invoice): readonly unknown[] => [
  ...[it.status, it.amount_paid, it.amount_remaining, it.amount_overpaid, it.attempt_count],
  it.last_finalization_error?.code ?? null,
]

/** What money and access follow from; whatever else happened is told by one of these. */
export function objectLists(stripe: Lists): readonly ObjectList[] {
  return [
    listOf(
      'customer.subscription.synced',
      (params) => stripe.subscriptions.list({ ...params, status: 'all' }),
      subscriptionState,
      null,
      ({ ended_at: at }) => at,
    ),
    listOf('invoice.synced', (params) => stripe.invoices.list(params), invoiceState),
    listOf(
      'checkout.session.synced',
      (params) => stripe.checkout.sessions.list(params),
      ({ status, payment_status: paid }) => [status, paid],
    ),
    listOf(
      'payment_intent.synced',
      (params) => stripe.paymentIntents.list(params),
      (it) => [it.status, it.amount_received, idOf(it.latest_charge)],
    ),
    listOf(
      'refund.synced',
      (params) => stripe.refunds.list(params),
      ({ status, amount }) => [status, amount],
    ),
    listOf(
      'charge.dispute.synced',
      (params) => stripe.disputes.list(params),
      (it) => [it.status, it.balance_transactions.map(({ amount }) => amount)],
      DISPUTE_OPEN_MS,
    ),
    listOf(
      'radar.early_fraud_warning.synced',
      (params) => stripe.radar.earlyFraudWarnings.list(params),
      ({ actionable }) => [actionable],
    ),
    listOf(
      'credit_note.synced',
      (params) => stripe.creditNotes.list(params),
      (it) => [it.status, it.out_of_band_amount, it.post_payment_amount],
    ),
  ]
}

/**
 * News of an object that nobody delivered, as the body of an event. Of the same object in the same
 * state it is the same event, so that the inbox keeps it once.
 */
export function eventOf(type: string, { id, created, state }: Listed, livemode: boolean): string {
  const mark = createHash('sha256').update(JSON.stringify(state)).digest('hex').slice(0, 16)
  return JSON.stringify({
    ...{ id: `sync_${id}_${mark}`, object: 'event', type, created, livemode },
    api_version: WEBHOOK_API_VERSION,
    data: { object: { id, state } },
  })
}
