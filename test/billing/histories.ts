import fc from 'fast-check'
import { isObj } from '../../src/demo/stripe/json.ts'
import { micros } from '../../src/kernel/money.ts'
import type { SimWorld } from './sim-world.ts'

const CARDS = [
  ...['pm_card_visa', 'pm_card_visa', 'pm_card_visa', 'pm_card_visa_chargeDeclined'],
  ...['pm_sepaDebit', 'pm_sepaDebit_fails', 'pm_card_createDispute', 'pm_card_refundFail'],
  ...['pm_card_pendingRefund', 'pm_card_createDisputeInquiry'],
] as const
const PLANS = ['small', 'large', 'year'] as const
const DISPUTE_ACTS = ['escalate', 'win', 'lose', 'appeal', 'reinstate', 'withdraw'] as const
const WEBHOOK_FAULTS = [
  ...['duplicate', 'drop', 'delay', 'reorder', 'last', 'concurrent', 'before_answer'],
] as const

const nth = fc.nat({ max: 7 })
/** One thing that happens, at Stripe's or on the way from it. */
export const action = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('buy' as const),
      who: nth,
      card: fc.constantFrom(...CARDS),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('subscribe' as const),
      who: nth,
      plan: fc.constantFrom(...PLANS),
      card: fc.constantFrom(...CARDS),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('refund' as const),
      which: nth,
      part: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('turn-refund' as const),
      which: nth,
      status: fc.constantFrom('failed', 'canceled', 'succeeded'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('dispute' as const),
      which: nth,
      inquiry: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('act' as const),
      which: nth,
      action: fc.constantFrom(...DISPUTE_ACTS),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      which: nth,
      plan: fc.constantFrom(...PLANS),
      quantity: fc.integer({ min: 1, max: 2 }),
      now: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('portal' as const),
      which: nth,
      plan: fc.constantFrom(...PLANS),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('cancel' as const), which: nth, now: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('card' as const),
      which: nth,
      like: fc.constantFrom(
        'pm_card_visa',
        'pm_card_visa_chargeDeclined',
        'pm_card_authenticationRequired',
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('pay' as const), which: nth, outside: fc.boolean() }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      days: fc.constantFrom(0.1, 1, 4, 17, 31),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('spend' as const),
      who: nth,
      credits: fc.integer({ min: 1, max: 900 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('webhooks' as const),
      kind: fc.constantFrom(...WEBHOOK_FAULTS),
      times: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('calls' as const),
      kind: fc.constantFrom('rate_limit', 'error', 'reset'),
      after: fc.boolean(),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('work' as const) }) },
)
export type Action = typeof action extends fc.Arbitrary<infer A> ? A : never

type Buyers = readonly string[]

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Lets it happen. Throws where Stripe refuses it: then it did not. */
export async function act(sim: SimWorld, buyers: Buyers, one: Action): Promise<void> {
  const { stripe, billing, books, clock } = sim
  const control: typeof stripe.control = (name, input) => stripe.control(name, input)
  const { world } = stripe.sim.simulator
  const pick = (kind: string, which: number): string => {
    const all = world.all(kind)
    return textOf(all[which % Math.max(1, all.length)]?.id)
  }
  const buyer = (who: number): string => buyers[who % buyers.length] ?? ''
  const checkout = async (
    who: number,
    item: { kind: 'pack' | 'plan'; id: string },
    card: string,
  ) => {
    const account = await sim.accounts.read(buyer(who))
    if (account === null) throw new Error('no account')
    const urls = { successUrl: 'https://x.example/', cancelUrl: 'https://x.example/' }
    const opened = await billing.checkouts.open(account, { item, ...urls, requestKey: null })
    if ('ok' in opened || opened.sessionId === null) return
    await control('pay', { session: opened.sessionId, method: card })
  }
  switch (one.do) {
    case 'buy':
      return checkout(one.who, { kind: 'pack', id: 'pack' }, one.card)
    case 'subscribe':
      return checkout(one.who, { kind: 'plan', id: one.plan }, one.card)
    case 'refund': {
      const payment_intent = pick('payment_intent', one.which)
      const amount = Math.ceil(Number(world.find(payment_intent)?.amount ?? 0) / one.part)
      await control('refund', { payment_intent, amount })
      return
    }
    case 'turn-refund':
      await control('turn-refund', { refund: pick('refund', one.which), status: one.status })
      return
    case 'dispute': {
      const payment_intent = pick('payment_intent', one.which)
      await control('dispute', { payment_intent, inquiry: one.inquiry })
      return
    }
    case 'act':
      await control('dispute', { dispute: pick('dispute', one.which), action: one.action })
      return
    case 'change': {
      const id = pick('subscription', one.which)
      const { data } = (await stripe.stripe.subscriptions.retrieve(id)).items
      await stripe.stripe.subscriptions.update(id, {
        items: [{ id: data[0]?.id ?? '', price: sim.prices[one.plan], quantity: one.quantity }],
        proration_behavior: one.now ? 'always_invoice' : 'create_prorations',
      })
      return
    }
    case 'portal': {
      const id = pick('subscription', one.which)
      const customer = world.find(textOf(world.find(id)?.customer))
      const account = buyers.find(
        (buyer) => isObj(customer?.metadata) && customer.metadata.farebox_account === buyer,
      )
      return sim.pickInPortal(account ?? '', id, sim.prices[one.plan])
    }
    case 'cancel': {
      const id = pick('subscription', one.which)
      if (one.now) await stripe.stripe.subscriptions.cancel(id)
      else await stripe.stripe.subscriptions.update(id, { cancel_at_period_end: true })
      return
    }
    case 'card':
      await control('behave', { payment_method: pick('payment_method', one.which), like: one.like })
      return
    case 'pay': {
      const open = world.all('invoice').filter(({ status }) => status === 'open')
      const id = textOf(open[one.which % Math.max(1, open.length)]?.id)
      await stripe.stripe.invoices.pay(id, { paid_out_of_band: one.outside })
      return
    }
    case 'advance':
      return stripe.advance(one.days)
    case 'spend': {
      const referenceId = `spend_${clock.now()}_${buyer(one.who)}_${one.credits}`
      const amount = micros(-one.credits * 1_000_000)
      await books.adjust(
        { accountId: buyer(one.who), micros: amount, reason: 'x', referenceId },
        clock.now(),
      )
      await sim.reload(buyer(one.who))
      return
    }
    case 'webhooks':
      await control('webhook-fault', { kind: one.kind, times: one.times, seconds: 90_000 })
      return
    case 'calls':
      await control('api-fault', { kind: one.kind, after: one.after, times: one.times })
      return
    case 'work':
      return sim.drain()
  }
}
