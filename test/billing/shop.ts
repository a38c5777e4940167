import type {
  DisputeFacts,
  PaymentFacts,
  SessionFacts,
  SessionLine,
} from '../../src/billing/effects/facts.ts'
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

export function makeShop() {
  const sessions = new Map<string, SessionFacts>()
  const payments = new Map<string, ShopPayment>()
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
    warning: (id) => Promise.resolve({ payment: id.replace('issfr_', 'pi_'), actionable: true }),
  }
  return {
    reader,
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
        customer: null,
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
