import type {
  DisputeFacts,
  PaymentFacts,
  SessionFacts,
  SessionLine,
} from '../../src/billing/effects/facts.ts'
import type {
  InvoiceFacts,
  InvoiceLine,
  InvoiceReader,
  PriceFacts,
  SubscriptionFacts,
} from '../../src/billing/effects/read-invoice.ts'
import type { RechargeReader } from '../../src/billing/recharge/read.ts'
import type { Reader } from '../../src/billing/effects/read-payment.ts'

/** Stripe's side of a few payments, as plain state: what a look would see of it now. */
interface ShopPayment {
  status: string
  amount: number
  refunds: { id: string; amount: number; stands: boolean }[]
  disputes: (DisputeFacts & { withdrawn: number })[]
  session: string
}

export const PAID_AT = 1_800_000_000_000

/** A price that nobody set. */
const MONTHLY: PriceFacts = { isMetered: false, period: { months: 1 } }

export function makeShop() {
  const sessions = new Map<string, SessionFacts>()
  const payments = new Map<string, ShopPayment>()
  const invoices = new Map<string, InvoiceFacts>()
  const subscriptions = new Map<string, SubscriptionFacts>()
  const prices = new Map<string, PriceFacts>()
  const notes = new Map<string, { invoice: string; status: string; elsewhere: number }>()
  const features = new Map<string, readonly string[]>()
  const deletedCustomers = new Set<string>()
  const readHooks: (() => Promise<void>)[] = []

  const payment = (id: string): ShopPayment => {
    const found = payments.get(id)
    if (found === undefined) throw new Error(`no payment ${id}`)
    return found
  }
  const factsOf = (id: string): PaymentFacts => {
    const { status, amount, refunds, disputes } = payment(id)
    const standing = refunds.filter(({ stands }) => stands)
    return {
      id,
      status,
      isPaid: status === 'succeeded',
      currency: 'usd',
      paidAtMs: PAID_AT,
      paid: status === 'succeeded' ? amount : 0,
      refunded: standing.reduce((sum, refund) => sum + refund.amount, 0),
      withdrawn: disputes.reduce((sum, dispute) => sum + dispute.withdrawn, 0),
      disputes: disputes.map((dispute) => ({ ...dispute })),
    }
  }
  const ownerOf = (find: (one: ShopPayment) => boolean): string | null =>
    [...payments].find(([, one]) => find(one))?.[0] ?? null

  const reader: Reader = {
    session: (id) => {
      const session = sessions.get(id)
      return session === undefined
        ? Promise.reject(new Error(`no session ${id}`))
        : Promise.resolve(session)
    },
    async payment(id) {
      const facts = factsOf(id)
      await readHooks.shift()?.()
      return facts
    },
    sessionOf: (id) => Promise.resolve(payments.get(id)?.session ?? null),
    paymentOfCharge: (id) => Promise.resolve(id.replace('ch_', 'pi_')),
    paymentOfRefund: (id) =>
      Promise.resolve(ownerOf(({ refunds }) => refunds.some((refund) => refund.id === id))),
    paymentOfDispute: (id) =>
      Promise.resolve(ownerOf(({ disputes }) => disputes.some((dispute) => dispute.id === id))),
    cardKept: () => Promise.resolve(null),
    isCustomerDeleted: (id) => Promise.resolve(deletedCustomers.has(id)),
    warning: (id) =>
      Promise.resolve({ payment: id.replace('issfr_', 'pi_'), customer: null, actionable: true }),
  }
  const recharges: RechargeReader = {
    attemptOf: () => Promise.resolve(null),
    charge: () => Promise.reject(new Error('no recharges here')),
    find: () => Promise.resolve(null),
    setup: () => Promise.reject(new Error('no setups here')),
    setupOf: () => Promise.resolve(null),
    card: () => Promise.resolve(null),
    customer: () => Promise.resolve({ defaultMethod: null }),
    price: () => Promise.resolve({ amount: null, currency: 'usd' }),
  }
  const known = <T>(map: ReadonlyMap<string, T>, id: string): Promise<T> => {
    const found = map.get(id)
    return found === undefined ? Promise.reject(new Error(`no ${id}`)) : Promise.resolve(found)
  }
  const invoiceReader: InvoiceReader = {
    invoice: (id) => known(invoices, id),
    subscription: (id) => known(subscriptions, id),
    price: (id) => Promise.resolve(prices.get(id) ?? MONTHLY),
    features: (customer) => Promise.resolve(features.get(customer) ?? []),
    invoiceOf: (id) =>
      Promise.resolve(invoices.has(id.replace('pi_', 'in_')) ? id.replace('pi_', 'in_') : null),
    creditNote: (id) => known(notes, id),
  }
  return {
    reader,
    invoiceReader,
    recharges,
    invoices,
    subscriptions,
    prices,
    notes,
    features,
    deletedCustomers,
    sessions,
    payments,
    payment,
    factsOf,
    /** Lets something happen between a look's read and its write, once. */
    afterNextRead: (run: () => Promise<void>) => readHooks.push(run),
    addSession(id: string, lines: readonly SessionLine[], fields: Partial<SessionFacts> = {}) {
      sessions.set(id, {
        id,
        mode: 'payment',
        status: 'complete',
        paymentStatus: 'paid',
        paymentIntent: id.replace('cs_', 'pi_'),
        subscription: null,
        invoice: null,
        customer: null,
        email: null,
        currency: 'usd',
        amountSubtotal: 1_000,
        amountTotal: 1_000,
        createdMs: PAID_AT,
        checkoutId: null,
        lines,
        ...fields,
      })
    },
    addPayment(id: string, session: string, amount = 1_000, status = 'succeeded') {
      payments.set(id, { status, amount, refunds: [], disputes: [], session })
    },
  }
}

export type Shop = ReturnType<typeof makeShop>

export const PERIOD_START = Date.UTC(2026, 0, 1)
export const PERIOD_END = Date.UTC(2026, 1, 1)

export const planLine = (price: string, fields: Partial<InvoiceLine> = {}): InvoiceLine => ({
  id: `il_${price}`,
  price,
  quantity: 1,
  amount: 2_000,
  isOfPlan: true,
  isProration: false,
  isCredit: (fields.amount ?? 0) < 0,
  item: 'si_1',
  periodStartMs: PERIOD_START,
  periodEndMs: PERIOD_END,
  ...fields,
})

export const paidInvoice = (
  id: string,
  customer: string,
  subscription: string | null,
  lines: readonly InvoiceLine[],
  fields: Partial<InvoiceFacts> = {},
): InvoiceFacts => ({
  id,
  status: 'paid',
  isPaid: true,
  currency: 'usd',
  paid: 2_000,
  refunded: 0,
  withdrawn: 0,
  disputes: [],
  paidAtMs: PAID_AT,
  billingReason: 'subscription_create',
  customer,
  email: null,
  subscription,
  attempts: 1,
  actionUrl: null,
  payments: [],
  overpaid: 0,
  finalizationError: null,
  lines,
  ...fields,
})

export const activeSubscription = (
  id: string,
  customer: string,
  price: string,
  fields: Partial<SubscriptionFacts> = {},
): SubscriptionFacts => ({
  id,
  status: 'active',
  customer,
  items: [
    {
      price,
      quantity: 1,
      isMetered: false,
      periodStartMs: PERIOD_START,
      periodEndMs: PERIOD_END,
    },
  ],
  startedAtMs: PERIOD_START,
  anchorMs: null,
  trialEndMs: null,
  cancelAtMs: null,
  cancelAtPeriodEnd: false,
  endedAtMs: null,
  isCollectionPaused: false,
  latestInvoice: null,
  invoiceStatus: null,
  owedSinceMs: null,
  payUrl: null,
  checkoutId: null,
  ...fields,
})
