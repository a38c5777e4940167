import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { idOf } from '../../src/billing/stripe.ts'
import { expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { expectedSales } from './sim-expected.ts'
import { makeSimWorld, SOLD, type SimWorld } from './sim-world.ts'

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

const URLS = { successUrl: 'https://x.example/', cancelUrl: 'https://x.example/' }

async function buyer() {
  const { id } = await sim.account()
  const order = async (kind: 'pack' | 'plan', item: string, card = 'pm_card_visa') => {
    const account = await sim.accounts.read(id)
    if (account === null) throw new Error('no account')
    const asked = { item: { kind, id: item }, ...URLS, requestKey: null }
    const opened = await sim.billing.checkouts.open(account, asked)
    if ('ok' in opened || opened.sessionId === null) throw new Error('refused')
    await sim.stripe.control('pay', { session: opened.sessionId, method: card })
    return sim.stripe.stripe.checkout.sessions.retrieve(opened.sessionId)
  }
  return {
    id,
    order,
    posted: async () => Number((await sim.books.balance(id))?.postedMicros ?? 0) / 1_000_000,
    async subscribe(plan: string) {
      const session = await order('plan', plan)
      return sim.stripe.stripe.subscriptions.retrieve(idOf(session.subscription) ?? '')
    },
  }
}

describe('a subscription', () => {
  test('changed for when that is paid gives the larger plan then, and not before', async () => {
    const who = await buyer()
    const it = await who.subscribe('small')
    const { stripe } = sim.stripe
    const customer = idOf(it.customer) ?? ''
    const declined = await stripe.paymentMethods.attach('pm_card_chargeCustomerFail', { customer })
    await stripe.subscriptions.update(it.id, { default_payment_method: declined.id })
    await sim.stripe.advance(15)
    const changed = await stripe.subscriptions.update(it.id, {
      items: [{ id: it.items.data[0]?.id ?? '', price: sim.prices.large }],
      payment_behavior: 'pending_if_incomplete',
      proration_behavior: 'always_invoice',
    })
    await sim.rest()
    const plan = async () => {
      const { entitlements } = await sim.entitle.read(who.id, sim.clock.now())
      return [entitlements.planId, entitlements.state, await who.posted()]
    }
    expect(await plan()).toEqual(['small', 'active', SOLD.small])
    await stripe.invoices.pay(idOf(changed.latest_invoice) ?? '', {
      payment_method: 'pm_card_visa',
    })
    await sim.rest()
    expect(await plan()).toEqual(['large', 'active', SOLD.small + (SOLD.large - SOLD.small) / 2])
    expect(await sim.breaches(who.id)).toEqual([])
  })

  test('changed twice before it is invoiced adds each step once', async () => {
    const who = await buyer()
    const it = await who.subscribe('small')
    const [item] = it.items.data
    const change = async (price: string, quantity: number) => {
      await sim.stripe.stripe.subscriptions.update(it.id, {
        items: [{ id: item?.id ?? '', price, quantity }],
      })
      await sim.stripe.advance(5)
    }
    await sim.stripe.advance(15)
    await change(sim.prices.small, 2)
    await change(sim.prices.large, 1)
    await sim.stripe.advance(6)
    await sim.rest()
    const sold = [...expectedSales(sim)].filter(([key]) => key.includes(it.id))
    expect(sold.map(([, { granted }]) => granted / 1_000_000)).toEqual([
      SOLD.small,
      SOLD.large,
      (SOLD.small * 15) / 30,
      ((SOLD.large - 2 * SOLD.small) * 10) / 30,
    ])
    const rows = await own.db.query(
      'SELECT key, micros FROM stripe_sales WHERE account_id = $1 ORDER BY micros',
      [who.id],
    )
    const expected = sold.map(([key, { granted }]) => ({ key, micros: granted }))
    expect(rows).toEqual(expected.toSorted((a, b) => a.micros - b.micros))
    await expectSound(own.db)
  })

  test('changed to and fro gathers credits, which is told with what came on top', async () => {
    const who = await buyer()
    const it = await who.subscribe('small')
    const { stripe } = sim.stripe
    const to = async (price: string) => {
      const id = it.items.data[0]?.id ?? ''
      await stripe.subscriptions.update(it.id, {
        items: [{ id, price }],
        proration_behavior: 'always_invoice',
      })
      await sim.stripe.advance(3)
      await sim.rest()
    }
    const told = () =>
      own.db.query(
        `SELECT severity, state, at_stake_micros FROM findings
         WHERE kind = 'stripe_plan_granted_again' AND subject LIKE $1`,
        [`${it.id}:%`],
      )
    for (const price of [sim.prices.large, sim.prices.small]) {
      await to(price)
      expect(await told()).toEqual([])
    }
    const once = await who.posted()
    await to(sim.prices.large)
    const more = Math.round((await who.posted()) * 1_000_000) - Math.round(once * 1_000_000)
    expect(more).toBeGreaterThan(0)
    const finding = { severity: 'review', state: 'open', at_stake_micros: more }
    expect(await told()).toEqual([finding])
    await sim.stripe.advance(31) // the plan's own grant of the next period is no repetition
    await sim.rest()
    expect(await told()).toEqual([finding])
  })

  test('paid for when it was over gives nothing that lasts, which is told until it is paid back', async () => {
    const who = await buyer()
    const it = await who.subscribe('small')
    const { stripe } = sim.stripe
    const card = idOf(it.default_payment_method)
    const like = 'pm_card_visa_chargeDeclined'
    await sim.stripe.control('behave', { payment_method: card, like })
    await sim.stripe.advance(31)
    await sim.stripe.advance(20)
    expect((await stripe.subscriptions.retrieve(it.id)).status).toBe('canceled')
    const open = await stripe.invoices.list({ subscription: it.id, status: 'open' })
    const invoice = open.data[0]?.id ?? ''
    await stripe.invoices.pay(invoice, { payment_method: 'pm_card_visa' })
    await sim.rest()
    const told = () =>
      own.db.query(
        'SELECT kind, severity, state, at_stake_micros FROM findings WHERE subject = $1',
        [invoice],
      )
    const finding = {
      ...{ kind: 'stripe_paid_after_end', severity: 'urgent' },
      at_stake_micros: SOLD.small * 1_000_000,
    }
    expect([await who.posted(), await told()]).toEqual([0, [{ ...finding, state: 'open' }]])
    const paid = await stripe.invoicePayments.list({ invoice, status: 'paid' })
    await stripe.refunds.create({
      payment_intent: idOf(paid.data[0]?.payment.payment_intent) ?? '',
    })
    await sim.rest()
    expect([await who.posted(), await told()]).toEqual([0, [{ ...finding, state: 'gone' }]])
    await expectSound(own.db)
  })
})

test('a refund takes its share of what was paid, tax included', async () => {
  const who = await buyer()
  await sim.stripe.control('settings', { tax_percent: 19 })
  const session = await who.order('pack', 'pack')
  await sim.stripe.control('settings', { tax_percent: 0 })
  expect([session.amount_subtotal, session.amount_total]).toEqual([1_000, 1_190])
  await sim.rest()
  expect(await who.posted()).toBe(SOLD.pack)
  const payment = idOf(session.payment_intent) ?? ''
  await sim.stripe.stripe.refunds.create({ payment_intent: payment, amount: 397 })
  await sim.rest()
  const left = Math.round((SOLD.pack * 1_000_000 * (1_190 - 397)) / 1_190) / 1_000_000
  expect(await who.posted()).toBe(left)
  await sim.stripe.stripe.refunds.create({ payment_intent: payment })
  await sim.rest()
  expect(await who.posted()).toBe(0)
})
