import type Stripe from 'stripe'
import { idOf } from '../stripe.ts'
import type { SubscriptionFacts } from './read-invoice.ts'

const ms = (seconds: number): number => seconds * 1000
const msOrNull = (seconds: number | null | undefined): number | null =>
  seconds === null || seconds === undefined ? null : ms(seconds)

/** More open invoices than a subscription gathers before Stripe or we give it up. */
const OPEN_MAX = 100

/** Invoices that pay for a period; a change in mid-period says nothing of the period itself. */
const OF_PERIOD = /^subscription_(?:create|cycle)$/

type Owed = Pick<SubscriptionFacts, 'owedSinceMs' | 'payUrl'>

/** The oldest unpaid invoice: grace counts from it, however many follow and whoever looks when. */
async function readOwed(stripe: Stripe, { id, status }: Stripe.Subscription): Promise<Owed> {
  if (status !== 'past_due' && status !== 'unpaid') return { owedSinceMs: null, payUrl: null }
  const open = await stripe.invoices
    .list({ subscription: id, status: 'open', limit: OPEN_MAX })
    .autoPagingToArray({ limit: OPEN_MAX })
  const dueMs = (one: Stripe.Invoice): number =>
    ms(one.status_transitions.finalized_at ?? one.created)
  const [oldest] = open.sort((a, b) => dueMs(a) - dueMs(b))
  if (oldest === undefined) return { owedSinceMs: null, payUrl: null }
  return { owedSinceMs: dueMs(oldest), payUrl: oldest.hosted_invoice_url ?? null }
}

function statusOfPeriod({ latest_invoice: latest }: Stripe.Subscription): string | null {
  if (latest === null || typeof latest === 'string') return null
  return OF_PERIOD.test(latest.billing_reason ?? '') ? latest.status : null
}

/** A subscription as it is now, with what it owes. */
export async function readSubscription(stripe: Stripe, id: string): Promise<SubscriptionFacts> {
  const it = await stripe.subscriptions.retrieve(id, { expand: ['latest_invoice'] })
  const isOver = it.status === 'canceled' || it.status === 'incomplete_expired'
  return {
    id,
    status: it.status,
    customer: idOf(it.customer),
    items: it.items.data.map((item) => ({
      price: item.price.id,
      quantity: item.quantity ?? 1,
      isMetered: item.price.recurring?.usage_type === 'metered',
      periodStartMs: ms(item.current_period_start),
      periodEndMs: ms(item.current_period_end),
    })),
    startedAtMs: ms(it.created),
    trialEndMs: msOrNull(it.trial_end),
    cancelAtMs: msOrNull(it.cancel_at),
    cancelAtPeriodEnd: it.cancel_at_period_end,
    endedAtMs: isOver ? ms(it.ended_at ?? it.canceled_at ?? it.created) : null,
    isCollectionPaused: it.pause_collection !== null,
    latestInvoice: idOf(it.latest_invoice),
    invoiceStatus: statusOfPeriod(it),
    ...(await readOwed(stripe, it)),
    checkoutId: it.metadata.farebox_checkout ?? null,
  }
}
