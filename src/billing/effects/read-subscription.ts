import type Stripe from 'stripe'
import { idOf } from '../stripe.ts'
import type { SubscriptionFacts } from './read-invoice.ts'

const ms = (seconds: number): number => seconds * 1000
const msOrNull = (seconds: number | null | undefined): number | null =>
  seconds === null || seconds === undefined ? null : ms(seconds)

/** More open invoices than a subscription gathers before Stripe or we give it up. */
const OPEN_MAX = 100

/** More changes than are invoiced within one period; older invoices are not asked for. */
const CHANGES_MAX = 1_000

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

/** It renews the subscription, or begins another period, as a change of its interval does. */
function isOfPeriod(invoice: Stripe.Invoice, { items }: Stripe.Subscription): boolean {
  if (OF_PERIOD.test(invoice.billing_reason ?? '')) return true
  const begun = new Set(items.data.map((item) => item.current_period_start))
  return invoice.lines.data.some(({ parent, period }) => {
    const ofPlan = parent?.subscription_item_details ?? null
    return ofPlan !== null && !ofPlan.proration && begun.has(period.start)
  })
}

/** A change in mid-period leaves the period as it was, paid or not. null = it is not known. */
async function statusOfPeriod(stripe: Stripe, it: Stripe.Subscription): Promise<string | null> {
  const { latest_invoice: latest } = it
  if (latest === null || typeof latest === 'string') return null
  if (isOfPeriod(latest, it)) return latest.status
  let left = CHANGES_MAX
  for await (const one of stripe.invoices.list({ subscription: it.id, limit: 100 })) {
    if (isOfPeriod(one, it)) return one.status
    left -= 1
    if (left === 0) break
  }
  return null
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
    anchorMs: msOrNull(it.billing_cycle_anchor),
    trialEndMs: msOrNull(it.trial_end),
    cancelAtMs: msOrNull(it.cancel_at),
    cancelAtPeriodEnd: it.cancel_at_period_end,
    endedAtMs: isOver ? ms(it.ended_at ?? it.canceled_at ?? it.created) : null,
    isCollectionPaused: it.pause_collection !== null,
    latestInvoice: idOf(it.latest_invoice),
    invoiceStatus: await statusOfPeriod(stripe, it),
    ...(await readOwed(stripe, it)),
    checkoutId: it.metadata.farebox_checkout ?? null,
  }
}
