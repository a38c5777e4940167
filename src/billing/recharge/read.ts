import type Stripe from 'stripe'
import { isMissing } from '../effects/gone.ts'
import { readMoneyBack } from '../effects/read-payment.ts'
import type { PaymentFacts } from '../effects/facts.ts'
import { idOf } from '../stripe.ts'
import type { Attempt } from './rows.ts'

/** Payments of one customer within a day or so; past it the look fails and is told. */
const LIST_MAX = 1_000
/** Clocks, and the time between the plan and the call. */
const LIST_BEFORE_S = 3_600

/** What a charge for a recharge came to. */
export interface RechargeFacts extends PaymentFacts {
  readonly attemptId: string | null
  readonly customer: string | null
  readonly createdMs: number
  readonly failure: {
    readonly code: string
    readonly declineCode: string | null
    readonly adviceCode: string | null
  } | null
  /** Where the payer is wanted; null = nowhere. */
  readonly actionUrl: string | null
}

export interface SetupFacts {
  /** Ours: the account that it was made for. */
  readonly accountId: string | null
  readonly customer: string | null
  readonly isReady: boolean
  readonly paymentMethod: string | null
  readonly createdMs: number
}

/** A card as it is now: another mark is another card. */
export interface CardFacts {
  readonly id: string
  readonly mark: string
  readonly customer: string | null
}

/** What recharges ask of Stripe beside charging. Reads only. */
export interface RechargeReader {
  /** The attempt that a payment says it is of; null = of none. */
  attemptOf(payment: string): Promise<string | null>
  charge(payment: string): Promise<RechargeFacts>
  /** The payment that was made of an attempt; null = none. */
  find(attempt: Attempt): Promise<string | null>
  setup(id: string): Promise<SetupFacts>
  setupOf(session: string): Promise<string | null>
  /** null = there is none, or it is gone. */
  card(id: string): Promise<CardFacts | null>
  /** null = the customer is deleted. */
  customer(id: string): Promise<{ readonly defaultMethod: string | null } | null>
  price(id: string): Promise<{ readonly amount: number | null; readonly currency: string }>
}

function markOf(method: Stripe.PaymentMethod): string {
  const { card } = method
  if (card === undefined) return method.id
  const { fingerprint, exp_month: month, exp_year: year } = card
  return `${method.id}:${fingerprint ?? ''}:${year}-${month}`
}

async function readCharge(stripe: Stripe, id: string): Promise<RechargeFacts> {
  const [intent, back] = await Promise.all([
    stripe.paymentIntents.retrieve(id, { expand: ['latest_charge'] }),
    readMoneyBack(stripe, { payment_intent: id }),
  ])
  const { latest_charge: charge, last_payment_error: error } = intent
  const paidAt = charge !== null && typeof charge === 'object' ? charge.created : intent.created
  return {
    ...back,
    id: intent.id,
    status: intent.status,
    isPaid: intent.status === 'succeeded',
    currency: intent.currency,
    paid: intent.amount_received,
    paidAtMs: paidAt * 1000,
    attemptId: intent.metadata.farebox_attempt ?? null,
    customer: idOf(intent.customer),
    createdMs: intent.created * 1000,
    failure:
      error === null
        ? null
        : {
            code: error.code ?? error.type,
            declineCode: error.decline_code ?? null,
            adviceCode: error.advice_code ?? null,
          },
    actionUrl: intent.next_action?.redirect_to_url?.url ?? null,
  }
}

async function findPayment(stripe: Stripe, attempt: Attempt): Promise<string | null> {
  const { customerId, plannedAtMs } = attempt
  if (customerId === null) return null
  const created = { gte: Math.floor(plannedAtMs / 1000) - LIST_BEFORE_S }
  const listed = await stripe.paymentIntents
    .list({ customer: customerId, created, limit: 100 })
    .autoPagingToArray({ limit: LIST_MAX })
  const ours = listed.filter(({ metadata }) => metadata.farebox_attempt === attempt.id)
  return ours[0]?.id ?? null
}

export function makeRechargeReader(stripe: Stripe): RechargeReader {
  return {
    async attemptOf(payment) {
      return (await stripe.paymentIntents.retrieve(payment)).metadata.farebox_attempt ?? null
    },
    charge: (payment) => readCharge(stripe, payment),
    find: (attempt) => findPayment(stripe, attempt),
    async setup(id) {
      const setup = await stripe.setupIntents.retrieve(id)
      return {
        accountId: setup.metadata?.farebox_setup ?? null,
        customer: idOf(setup.customer),
        isReady: setup.status === 'succeeded',
        paymentMethod: idOf(setup.payment_method),
        createdMs: setup.created * 1000,
      }
    },
    async setupOf(session) {
      return idOf((await stripe.checkout.sessions.retrieve(session)).setup_intent)
    },
    async card(id) {
      try {
        const method = await stripe.paymentMethods.retrieve(id)
        return { id, mark: markOf(method), customer: idOf(method.customer) }
      } catch (error) {
        if (isMissing(error)) return null
        throw error
      }
    },
    async customer(id) {
      const customer = await stripe.customers.retrieve(id)
      if (customer.deleted === true) return null
      return { defaultMethod: idOf(customer.invoice_settings.default_payment_method) }
    },
    async price(id) {
      const { active, type, unit_amount: amount, currency } = await stripe.prices.retrieve(id)
      return { amount: active && type === 'one_time' ? amount : null, currency }
    },
  }
}
