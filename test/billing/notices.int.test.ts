import type Stripe from 'stripe'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { testDb, type TestDb } from '../store/databases.ts'
import { makeSimWorld, type SimWorld } from './sim-world.ts'

const DAY_S = 86_400

let own: TestDb
let sim: SimWorld
beforeAll(async () => {
  own = await testDb('postgres', 12)
  sim = await makeSimWorld(own.db)
})
afterAll(async () => {
  await sim.stop()
  await own[Symbol.asyncDispose]()
})

/** An account with a customer whose default card behaves like `card`. */
async function buyer(card = 'pm_card_visa') {
  const { id } = await sim.account()
  const { stripe } = sim.stripe
  const customer = await stripe.customers.create({ email: 'b@x.example' })
  await sim.accounts.change(id, { stripeCustomerId: customer.id }, 'test')
  const use = async (name: string): Promise<void> => {
    const method = await stripe.paymentMethods.attach(name, { customer: customer.id })
    const invoice_settings = { default_payment_method: method.id }
    await stripe.customers.update(customer.id, { invoice_settings })
  }
  await use(card)
  return {
    ...{ id, use },
    subscribe: (more: Partial<Stripe.SubscriptionCreateParams> = {}, price = sim.prices.small) =>
      stripe.subscriptions.create({ customer: customer.id, items: [{ price }], ...more }),
    told: (kind: string) =>
      sim.told
        .filter((one) => one.accountId === id && one.kind === kind)
        .map((one) => ({ ...one })),
  }
}

const settle = async (seconds = 0): Promise<void> => {
  if (seconds > 0) await sim.stripe.control('advance', { seconds })
  await sim.stripe.control('idle')
  await sim.drain()
}

describe('the end of a trial', () => {
  test('is told three days before, once, and again where it was moved', async () => {
    const who = await buyer()
    const it = await who.subscribe({ trial_period_days: 10 })
    await settle(6 * DAY_S)
    expect(who.told('trial_will_end')).toEqual([])
    await settle(2 * DAY_S)
    const endsAtMs = (it.trial_end ?? 0) * 1_000
    expect(who.told('trial_will_end')).toMatchObject([{ plan: 'small', endsAtMs, then: 'paid' }])
    const trial_end = (it.trial_end ?? 0) + DAY_S
    await sim.stripe.stripe.subscriptions.update(it.id, { trial_end })
    await settle(DAY_S)
    expect(who.told('trial_will_end').slice(1)).toMatchObject([{ endsAtMs: trial_end * 1_000 }])
    await settle(3 * DAY_S)
    expect(who.told('trial_will_end')).toHaveLength(2)
  })

  test('is told by the stored times where no event of it ever comes', async () => {
    const who = await buyer()
    const it = await who.subscribe({ trial_period_days: 5, cancel_at_period_end: true })
    await settle()
    await sim.stripe.control('webhook-fault', { kind: 'drop', times: 1_000 })
    await sim.stripe.control('advance', { seconds: 3 * DAY_S })
    await sim.turn()
    await sim.turn()
    const endsAtMs = (it.trial_end ?? 0) * 1_000
    expect(who.told('trial_will_end')).toMatchObject([{ endsAtMs, then: 'canceled' }])
    await sim.stripe.control('clear-faults')
  })
})

describe('a payment of a plan that the bank wants confirmed', () => {
  test('is told with the link, once a try, beside one grace', async () => {
    const who = await buyer()
    const it = await who.subscribe()
    await settle()
    await who.use('pm_card_authenticationRequired')
    await settle(32 * DAY_S)
    const [first, ...more] = who.told('payment_action_required')
    expect(more).toEqual([])
    const invoice = (await sim.stripe.stripe.invoices.list({ subscription: it.id })).data[0]
    const url = invoice?.hosted_invoice_url
    expect(url).toMatch(/^http/)
    const occasion = `payment_action_required:${invoice?.id ?? ''}:1`
    expect(first).toMatchObject({ occasion, data: { url } })
    expect(who.told('payment_failed')).toMatchObject([{ rung: 'warned', url }])
    await settle(3 * DAY_S)
    expect(who.told('payment_action_required')).toHaveLength(2)
    const [payment] = (await sim.stripe.stripe.invoicePayments.list({ invoice: invoice?.id ?? '' }))
      .data
    const payment_intent = payment?.payment.payment_intent
    await sim.stripe.control('settle', { payment_intent })
    await settle()
    expect((await sim.entitle.read(who.id, sim.clock.now())).entitlements.state).toBe('active')
    expect(who.told('payment_action_required')).toHaveLength(2)
  })

  test('is not told of what is none of ours, nor where the card was only declined', async () => {
    const { stripe } = sim.stripe
    const other = await stripe.prices.create({
      ...{ currency: 'usd', unit_amount: 700, recurring: { interval: 'month' } },
      product_data: { name: 'Something else' },
    })
    const stranger = await buyer('pm_card_authenticationRequired')
    await stranger.subscribe({}, other.id)
    const declined = await buyer()
    await declined.subscribe()
    await declined.use('pm_card_chargeCustomerFail')
    await settle(32 * DAY_S)
    expect(stranger.told('payment_action_required')).toEqual([])
    expect(declined.told('payment_failed')).toHaveLength(1)
    expect(declined.told('payment_action_required')).toEqual([])
  })
})
