import type Stripe from 'stripe'
import { idOf } from '../stripe.ts'
import type { DisputeFacts, PaymentFacts } from './facts.ts'
import { isMissing } from './gone.ts'
import { readMoneyBack } from './read-payment.ts'
import { readSubscription } from './read-subscription.ts'

/** More lines or payments than one invoice has; past it the look fails and is told. */
const LIST_MAX = 10_000

export interface InvoiceLine {
  readonly id: string
  readonly price: string | null
  readonly quantity: number
  readonly amount: number
  /** Of a subscription's price, not of something sold beside it. */
  readonly isOfPlan: boolean
  readonly isProration: boolean
  /** It gives back what an earlier line charged, be it nothing. */
  readonly isCredit: boolean
  /** si_…; '' = it belongs to none. */
  readonly item: string
  readonly periodStartMs: number
  readonly periodEndMs: number
}

export interface InvoiceFacts extends PaymentFacts {
  readonly billingReason: string | null
  readonly customer: string | null
  /** Of the customer, when it was finalised. */
  readonly email: string | null
  readonly subscription: string | null
  /** Paid beyond what was due, smallest unit. */
  readonly overpaid: number
  /** Why Stripe could not finalise it, and so will not collect it; null = it could. */
  readonly finalizationError: string | null
  /** Tries to collect it, as Stripe counts them. */
  readonly attempts: number
  /** Where the customer confirms its payment, which the bank waits for; null = it does not. */
  readonly actionUrl: string | null
  /** PaymentIntents that paid it, or parts of it. */
  readonly payments: readonly string[]
  readonly lines: readonly InvoiceLine[]
}

export interface SubscriptionFacts {
  readonly id: string
  readonly status: string
  readonly customer: string | null
  readonly items: readonly {
    readonly price: string
    readonly quantity: number
    readonly isMetered: boolean
    readonly periodStartMs: number
    readonly periodEndMs: number
  }[]
  readonly startedAtMs: number
  /** Its periods turn on this day of the month; null = it is not known. */
  readonly anchorMs: number | null
  readonly trialEndMs: number | null
  readonly cancelAtMs: number | null
  readonly cancelAtPeriodEnd: boolean
  /** It is over for good. */
  readonly endedAtMs: number | null
  readonly isCollectionPaused: boolean
  readonly latestInvoice: string | null
  /** Of the invoice of the running period, where that is the latest one; null = it is not known. */
  readonly invoiceStatus: string | null
  /** Since when its oldest unpaid invoice is owed, and where that can be paid; null = none is. */
  readonly owedSinceMs: number | null
  readonly payUrl: string | null
  /** Our own row, where the subscription says that it came from it. */
  readonly checkoutId: string | null
}

export interface PriceFacts {
  readonly isMetered: boolean
  /** Months or days of one period; null = it is not recurring. */
  readonly period: { readonly months: number } | { readonly days: number } | null
}

/** What the effects of plans ask of Stripe. Reads only. */
export interface InvoiceReader {
  invoice(id: string): Promise<InvoiceFacts>
  subscription(id: string): Promise<SubscriptionFacts>
  price(id: string): Promise<PriceFacts>
  /** Lookup keys of the features that Stripe entitles a customer to, all of them. */
  features(customer: string): Promise<readonly string[]>
  /** The invoice that a payment is of; null = none. */
  invoiceOf(payment: string): Promise<string | null>
  creditNote(id: string): Promise<{
    readonly invoice: string
    readonly status: string
    /** Credited to the customer's balance or paid outside of Stripe, smallest unit. */
    readonly elsewhere: number
  }>
}

const ms = (seconds: number): number => seconds * 1000
function readLine(line: Stripe.InvoiceLineItem): InvoiceLine {
  const ofPlan = line.parent?.subscription_item_details ?? null
  const ofItem = line.parent?.invoice_item_details ?? null
  const isOfPlan = line.parent?.type === 'subscription_item_details'
  const of = isOfPlan ? ofPlan : ofItem
  return {
    id: line.id,
    price: idOf(line.pricing?.price_details?.price),
    quantity: line.quantity ?? 1,
    amount: line.amount,
    isOfPlan,
    isProration: of?.proration ?? false,
    isCredit: line.amount < 0 || (of?.proration_details?.credited_items ?? null) !== null,
    item: (isOfPlan ? ofPlan?.subscription_item : null) ?? '',
    periodStartMs: ms(line.period.start),
    periodEndMs: ms(line.period.end),
  }
}

/** What came back of all payments of an invoice: several may have paid parts of it. */
async function readBack(stripe: Stripe, invoice: string) {
  const payments = await stripe.invoicePayments
    .list({ invoice, status: 'paid', limit: 100 })
    .autoPagingToArray({ limit: LIST_MAX })
  let [refunded, withdrawn] = [0, 0]
  const disputes: DisputeFacts[] = []
  const intents = payments.flatMap(({ payment }) => idOf(payment.payment_intent) ?? [])
  const charges = payments.flatMap(({ payment }) => idOf(payment.charge) ?? [])
  const paid = [
    ...intents.map((payment_intent) => ({ payment_intent })),
    ...charges.map((charge) => ({ charge })),
  ]
  for (const one of paid) {
    const back = await readMoneyBack(stripe, one)
    refunded += back.refunded
    withdrawn += back.withdrawn
    disputes.push(...back.disputes)
  }
  return { refunded, withdrawn, disputes, payments: intents }
}

/** An open invoice waits for the customer where one of its payments does. */
async function readAction(stripe: Stripe, invoice: Stripe.Invoice): Promise<string | null> {
  const { id, status, attempted, hosted_invoice_url: url } = invoice
  if (status !== 'open' || !attempted || url == null) return null
  const expand = ['data.payment.payment_intent']
  const open = await stripe.invoicePayments.list({
    invoice: id,
    status: 'open',
    limit: 100,
    expand,
  })
  const isWaiting = open.data.some(
    ({ payment: { payment_intent: intent } }) =>
      typeof intent !== 'string' && intent?.status === 'requires_action',
  )
  return isWaiting ? url : null
}

const codeOf = (error: Stripe.Invoice.LastFinalizationError | null): string | null =>
  error === null ? null : (error.code ?? error.type)

async function readInvoice(stripe: Stripe, id: string): Promise<InvoiceFacts> {
  const [invoice, lines, back] = await Promise.all([
    stripe.invoices.retrieve(id),
    stripe.invoices.listLineItems(id, { limit: 100 }).autoPagingToArray({ limit: LIST_MAX }),
    readBack(stripe, id),
  ])
  return {
    ...back,
    id,
    status: invoice.status ?? 'draft',
    isPaid: invoice.status === 'paid',
    currency: invoice.currency,
    paid: Math.max(0, invoice.total - invoice.pre_payment_credit_notes_amount),
    paidAtMs: ms(invoice.status_transitions.paid_at ?? invoice.created),
    billingReason: invoice.billing_reason,
    customer: idOf(invoice.customer),
    email: invoice.customer_email,
    subscription: idOf(invoice.parent?.subscription_details?.subscription),
    attempts: invoice.attempt_count,
    actionUrl: await readAction(stripe, invoice),
    overpaid: invoice.amount_overpaid,
    finalizationError: invoice.status === 'draft' ? codeOf(invoice.last_finalization_error) : null,
    lines: lines.map(readLine),
  }
}

function periodOf(recurring: Stripe.Price.Recurring | null): PriceFacts['period'] {
  const count = recurring?.interval_count ?? 1
  switch (recurring?.interval) {
    case 'year':
      return { months: 12 * count }
    case 'month':
      return { months: count }
    case 'week':
      return { days: 7 * count }
    case 'day':
      return { days: count }
    case undefined:
    default:
      return null
  }
}

export function makeInvoiceReader(stripe: Stripe): InvoiceReader {
  return {
    invoice: (id) => readInvoice(stripe, id),
    subscription: (id) => readSubscription(stripe, id),
    async price(id) {
      const { recurring } = await stripe.prices.retrieve(id)
      return { isMetered: recurring?.usage_type === 'metered', period: periodOf(recurring) }
    },
    async features(customer) {
      try {
        const active = await stripe.entitlements.activeEntitlements
          .list({ customer, limit: 100 })
          .autoPagingToArray({ limit: LIST_MAX })
        return active.map(({ lookup_key: key }) => key)
      } catch (error) {
        // A deleted customer is entitled to nothing, and its subscriptions end all the same.
        if (!isMissing(error)) throw error
        return []
      }
    },
    async invoiceOf(payment) {
      const which = { type: 'payment_intent', payment_intent: payment } as const
      const found = await stripe.invoicePayments.list({ payment: which, limit: 1 })
      return idOf(found.data[0]?.invoice)
    },
    async creditNote(id) {
      const note = await stripe.creditNotes.retrieve(id)
      const transaction = note.customer_balance_transaction
      const outside = note.out_of_band_amount ?? 0
      const refunded = note.refunds.reduce((sum, { amount_refunded: part }) => sum + part, 0)
      const toBalance =
        transaction === null ? 0 : Math.max(0, note.post_payment_amount - refunded - outside)
      const invoice = idOf(note.invoice) ?? ''
      return { invoice, status: note.status, elsewhere: outside + toBalance }
    },
  }
}
