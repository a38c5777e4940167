import type Stripe from 'stripe'
import { idOf } from '../stripe.ts'
import type { DisputeFacts, PaymentFacts, SessionFacts } from './facts.ts'
import type { WarningFacts } from './warnings.ts'

/** More refunds, disputes or lines than one payment has; past it the look fails and is told. */
const LIST_MAX = 10_000

/** What the effects ask of Stripe. Reads only. */
export interface Reader {
  session(id: string): Promise<SessionFacts>
  payment(id: string): Promise<PaymentFacts>
  /** The session that a payment came from; null = none. */
  sessionOf(payment: string): Promise<string | null>
  paymentOfRefund(id: string): Promise<string | null>
  paymentOfDispute(id: string): Promise<string | null>
  paymentOfCharge(id: string): Promise<string | null>
  /** The card that a payment was made with, where `customer` keeps it; null = nobody does. */
  cardKept(payment: string, customer: string): Promise<string | null>
  isCustomerDeleted(id: string): Promise<boolean>
  warning(id: string): Promise<Omit<WarningFacts, 'id'>>
}

/** Still counts: a refund takes its credits when it is asked for, not when it arrives. */
const STANDS: readonly (string | null)[] = ['pending', 'requires_action', 'succeeded']

const sum = (amounts: readonly number[]): number => amounts.reduce((all, one) => all + one, 0)

/** What a refund is worth is known; a refund of unknown status is not counted. */
const refundedOf = (refunds: readonly Stripe.Refund[]): number =>
  sum(refunds.filter(({ status }) => STANDS.includes(status)).map(({ amount }) => amount))

/**
 * What a dispute has taken and not given back, in the currency of its charge. What the bank counts
 * in another one, and what moved in that of the operator's account, counts by the part that was
 * kept: of what is disputed, or of the whole charge. Rounded once.
 */
function withdrawnOf(dispute: Stripe.Dispute): number {
  const { balance_transactions: moved, charge } = dispute
  const taken = -sum(moved.map(({ amount }) => Math.min(0, amount)))
  const kept = -sum(moved.map(({ amount }) => amount))
  if (taken <= 0 || kept <= 0) return 0
  const isForeign = typeof charge !== 'string' && charge.currency !== dispute.currency
  const { amount, currency } = isForeign ? charge : dispute
  if (!isForeign && moved.every((one) => one.currency === currency)) return kept
  const exact = BigInt(amount) * BigInt(Math.min(kept, taken))
  return Number((2n * exact + BigInt(taken)) / (2n * BigInt(taken)))
}

const readDispute = (dispute: Stripe.Dispute): DisputeFacts => ({
  id: dispute.id,
  status: dispute.status,
  amount: dispute.amount,
  withdrawn: withdrawnOf(dispute),
})

function paidAt(intent: Stripe.PaymentIntent): number {
  const charge = intent.latest_charge
  const created = charge !== null && typeof charge === 'object' ? charge.created : intent.created
  return created * 1000
}

/** The refunds and disputes of one PaymentIntent, or of a charge without one: all of them. */
export async function readMoneyBack(
  stripe: Stripe,
  of: { readonly payment_intent: string } | { readonly charge: string },
) {
  const which = { ...of, limit: 100 }
  const [refunds, disputes] = await Promise.all([
    stripe.refunds.list(which).autoPagingToArray({ limit: LIST_MAX }),
    stripe.disputes
      .list({ ...which, expand: ['data.charge'] })
      .autoPagingToArray({ limit: LIST_MAX }),
  ])
  const known = disputes.map(readDispute)
  const withdrawn = sum(known.map((dispute) => dispute.withdrawn))
  return { refunded: refundedOf(refunds), withdrawn, disputes: known }
}

async function readPayment(stripe: Stripe, id: string): Promise<PaymentFacts> {
  const [intent, back] = await Promise.all([
    stripe.paymentIntents.retrieve(id, { expand: ['latest_charge'] }),
    readMoneyBack(stripe, { payment_intent: id }),
  ])
  return {
    ...back,
    id: intent.id,
    status: intent.status,
    isPaid: intent.status === 'succeeded',
    currency: intent.currency,
    paid: intent.amount_received,
    paidAtMs: paidAt(intent),
  }
}

async function readSession(stripe: Stripe, id: string): Promise<SessionFacts> {
  const [session, items] = await Promise.all([
    stripe.checkout.sessions.retrieve(id),
    stripe.checkout.sessions
      .listLineItems(id, { limit: 100 })
      .autoPagingToArray({ limit: LIST_MAX }),
  ])
  return {
    id: session.id,
    mode: session.mode,
    status: session.status,
    paymentStatus: session.payment_status,
    paymentIntent: idOf(session.payment_intent),
    subscription: idOf(session.subscription),
    invoice: idOf(session.invoice),
    customer: idOf(session.customer),
    email: session.customer_details?.email ?? null,
    currency: session.currency,
    amountSubtotal: session.amount_subtotal,
    amountTotal: session.amount_total,
    createdMs: session.created * 1000,
    checkoutId: session.metadata?.farebox_checkout ?? null,
    lines: items.map((item) => ({
      id: item.id,
      price: idOf(item.price),
      quantity: item.quantity ?? 0,
      isAmountChosen: item.price?.custom_unit_amount != null,
    })),
  }
}

export function makeReader(stripe: Stripe): Reader {
  const ofCharge = async (id: string | null): Promise<string | null> =>
    id === null ? null : idOf((await stripe.charges.retrieve(id)).payment_intent)
  return {
    session: (id) => readSession(stripe, id),
    payment: (id) => readPayment(stripe, id),
    async sessionOf(payment) {
      const found = await stripe.checkout.sessions.list({ payment_intent: payment, limit: 1 })
      return found.data[0]?.id ?? null
    },
    async paymentOfRefund(id) {
      const refund = await stripe.refunds.retrieve(id)
      return idOf(refund.payment_intent) ?? ofCharge(idOf(refund.charge))
    },
    async paymentOfDispute(id) {
      const dispute = await stripe.disputes.retrieve(id)
      return idOf(dispute.payment_intent) ?? ofCharge(idOf(dispute.charge))
    },
    paymentOfCharge: ofCharge,
    async cardKept(payment, customer) {
      const asked = { expand: ['payment_method'] }
      const { payment_method: method } = await stripe.paymentIntents.retrieve(payment, asked)
      if (method === null || typeof method === 'string') return null
      return idOf(method.customer) === customer ? method.id : null
    },
    async isCustomerDeleted(id) {
      return (await stripe.customers.retrieve(id)).deleted === true
    },
    async warning(id) {
      const warning = await stripe.radar.earlyFraudWarnings.retrieve(id)
      const charge = await stripe.charges.retrieve(idOf(warning.charge) ?? '')
      const payment = idOf(warning.payment_intent) ?? idOf(charge.payment_intent)
      return { payment, customer: idOf(charge.customer), actionable: warning.actionable }
    },
  }
}
