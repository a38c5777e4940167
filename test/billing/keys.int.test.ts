import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeClaims } from '../../src/access/claims/claims.ts'
import { makeKeys } from '../../src/access/keys.ts'
import { makeCatalogue } from '../../src/billing/catalogue.ts'
import { plansSchema } from '../../src/access/plans/config.ts'
import { packsSchema, stripeConfigSchema } from '../../src/billing/config.ts'
import { makeEffects } from '../../src/billing/effects/effects.ts'
import { makeEventEffect } from '../../src/billing/effects/of-event.ts'
import { makeFindings } from '../../src/billing/findings.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { notifyConfigSchema } from '../../src/notify/config.ts'
import { makeOutbox } from '../../src/notify/outbox.ts'
import { T0 } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { activeSubscription, makeShop, paidInvoice, PERIOD_END, planLine } from './shop.ts'
import { countedHooks, ids, makeInboxWorld, snapshot } from './support.ts'

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres', 12)
})
afterAll(() => own[Symbol.asyncDispose]())

const clock = { now: () => T0, monotonicMs: () => 0, after: () => () => undefined }
const SMALL = { name: 'Small', models: ['gpt-*'], budget: { credits: 5, period: 'day' } }
const LARGE = { name: 'Large', rate: { requests_per_minute: 60 }, max_concurrency: 4 }

/** Packs and plans that come with keys, and the worker of two processes. */
async function makeWorld() {
  const { db } = own
  const shop = makeShop()
  const catalogue = makeCatalogue({
    packs: packsSchema.parse([
      { id: 'keyed', stripe_price: 'price_keyed', credits: 10, issue_key: { name: 'Keyed' } },
      { id: 'plain', stripe_price: 'price_plain', credits: 10 },
    ]),
    plans: plansSchema.parse([
      { id: 'small', stripe_prices: ['price_small'], included_credits: 100, issue_key: SMALL },
      { id: 'large', stripe_prices: ['price_large'], included_credits: 400, issue_key: LARGE },
      { id: 'access', stripe_prices: ['price_access'], issue_key: { name: 'Access' } },
      { id: 'plain', stripe_prices: ['price_none'], included_credits: 1 },
    ]),
    stripe: stripeConfigSchema.parse({}),
  })
  const webhooks = [{ id: 'main', url: 'https://x.example', secret: `whsec_${'A'.repeat(32)}` }]
  const outbox = makeOutbox({ db, ids, config: () => notifyConfigSchema.parse({ webhooks }) })
  const effect = () => {
    const effects = makeEffects({
      ...{ db, reader: shop.reader, invoices: shop.invoiceReader, ids, clock, log: silentLog },
      ...{
        recharges: shop.recharges,
        hooks: countedHooks(),
        catalogue: () => catalogue,
        reload: () => Promise.resolve(),
      },
      findings: makeFindings({ db, ids, clock }),
      tell: (...told) => outbox.add(...told),
    })
    return makeEventEffect({ db, effects, mode: 'test' })
  }
  const inbox = await makeInboxWorld(db, effect(), undefined, effect())
  const settings = () => ({ publicUrl: 'https://ai.example', linkMs: 1_000 })
  const claims = makeClaims({ db, clock, ids, mode: 'test', settings })
  const keys = makeKeys({ db, clock, ids, mode: 'test' })
  async function buyer(email: string | null = null) {
    const name = ids.uuid().replaceAll('-', '')
    const [account, customer, sub] = [`acct_${name}`, `cus_${name}`, `sub_${name}`]
    await db.query(
      `INSERT INTO accounts (id, name, email, stripe_customer_id, changed_at, created_at)
       VALUES ($1, $1, $4, $2, $3, $3)`,
      [account, customer, new Date(T0), email],
    )
    return { account, customer, sub, name }
  }
  type Buyer = Awaited<ReturnType<typeof buyer>>
  return {
    ...{ db, shop, claims, keys, buyer },
    async tell(...events: readonly (readonly [string, string])[]) {
      for (const event of events) await inbox.deliver(snapshot(...event))
      await Promise.all([inbox.worker.drain(), inbox.another().drain()])
    },
    /** A session for some prices, paid. */
    session({ customer, name }: Buyer, prices: readonly string[], email: string | null = null) {
      const lines = prices.map((price, at) => ({ id: `li_${at}`, price, quantity: 1 }))
      const id = `cs_${ids.uuid().replaceAll('-', '')}_${name}`
      shop.addSession(id, lines, { customer, email })
      shop.addPayment(id.replace('cs_', 'pi_'), id)
      return { id, payment: id.replace('cs_', 'pi_') }
    },
    subscribe({ customer, sub, name }: Buyer, price: string, fields: object = {}) {
      shop.subscriptions.set(sub, activeSubscription(sub, customer, price))
      const id = `in_1_${name}`
      shop.invoices.set(id, paidInvoice(id, customer, sub, [planLine(price)], fields))
      return id
    },
    claimsOf: (account: string) => claims.list(account, null, 50),
    told: async (account: string) =>
      (
        await db.query(
          "SELECT data FROM notifications WHERE account_id = $1 AND kind = 'claim_link'",
          [account],
        )
      ).map(({ data }) => data),
    email: async (account: string) =>
      (await db.query('SELECT email FROM accounts WHERE id = $1', [account]))[0]?.email,
    /** Presses the claim of an account. */
    async press(account: string) {
      const made = await claims.renew(account, { claimId: null, rotate: false }, 'test')
      if ('ok' in made) throw new Error(made.message)
      const pressed = await claims.press(new URL(made.url).pathname.slice(7), '')
      if (pressed.state !== 'revealed') throw new Error(pressed.state)
      return pressed.key
    },
  }
}

describe('a key comes', () => {
  test('with a paid pack: one, told once, for all events of it at once', async () => {
    const world = await makeWorld()
    const buyer = await world.buyer()
    const { id, payment } = world.session(buyer, ['price_keyed'])
    const events = [
      ['checkout.session.completed', id],
      ['payment_intent.succeeded', payment],
      ['charge.updated', payment.replace('pi_', 'ch_')],
    ] as const
    await world.tell(...events, ...events)
    await world.tell(...events.toReversed())
    const [claim, ...more] = await world.claimsOf(buyer.account)
    expect([claim?.itemId, claim?.limits.name, more]).toEqual(['keyed', 'Keyed', []])
    expect(await world.told(buyer.account)).toEqual([{ claim_id: claim?.id, round: 1 }])
    expect(await world.keys.list(buyer.account, null, 9)).toEqual([])
  })

  test('with each pack that has one, and with none that has none', async () => {
    const world = await makeWorld()
    const buyer = await world.buyer()
    const first = world.session(buyer, ['price_keyed', 'price_plain', 'price_keyed'])
    const second = world.session(buyer, ['price_plain'])
    await world.tell(
      ['checkout.session.completed', first.id],
      ['checkout.session.completed', second.id],
    )
    expect(await world.claimsOf(buyer.account)).toHaveLength(2)
  })

  test('with no payment that failed, is open, or was all given back', async () => {
    const world = await makeWorld()
    const buyer = await world.buyer()
    const { id, payment } = world.session(buyer, ['price_keyed'])
    world.shop.payment(payment).status = 'processing'
    await world.tell(['checkout.session.completed', id])
    expect(await world.claimsOf(buyer.account)).toEqual([])
    world.shop.payment(payment).status = 'succeeded'
    world.shop.payment(payment).refunds.push({ id: `re_${id}`, amount: 1_000, stands: true })
    await world.tell(['refund.created', `re_${id}`], ['checkout.session.completed', id])
    expect(await world.claimsOf(buyer.account)).toEqual([])
  })

  test.each(['before', 'after'])('when a refund of all fails, told %s the purchase', async (at) => {
    const world = await makeWorld()
    const buyer = await world.buyer()
    const { id, payment } = world.session(buyer, ['price_keyed'])
    const refund = { id: `re_${id}`, amount: 1_000, stands: true }
    if (at === 'after') await world.tell(['checkout.session.completed', id])
    world.shop.payment(payment).refunds.push(refund)
    await world.tell(['refund.created', refund.id], ['checkout.session.completed', id])
    expect(await world.claimsOf(buyer.account)).toHaveLength(at === 'after' ? 1 : 0)
    world.shop.payment(payment).refunds.splice(0, 1, { ...refund, stands: false })
    await world.tell(['refund.failed', refund.id], ['refund.updated', refund.id])
    expect(await world.claimsOf(buyer.account)).toHaveLength(1)
    expect(await world.told(buyer.account)).toHaveLength(1)
  })

  test.each([
    ['price_small', {}, 'Small'],
    ['price_access', {}, 'Access'],
    ['price_small', { paid: 0 }, 'Small'],
    ['price_none', {}, undefined],
  ])('with the first period of a plan, not with later ones: %s %o', async (price, fields, name) => {
    const world = await makeWorld()
    const buyer = await world.buyer()
    const first = world.subscribe(buyer, price, fields)
    const second = first.replace('in_1', 'in_2')
    const later = [planLine(price, { periodStartMs: PERIOD_END, periodEndMs: PERIOD_END * 2 })]
    const cycle = { billingReason: 'subscription_cycle' }
    world.shop.invoices.set(second, paidInvoice(second, buyer.customer, buyer.sub, later, cycle))
    await world.tell(
      ['invoice.paid', second],
      ['invoice.paid', first],
      ['invoice.paid', first],
      ['customer.subscription.updated', buyer.sub],
      ['invoice.paid', second],
    )
    const found = await world.claimsOf(buyer.account)
    expect(found.map(({ limits }) => limits.name)).toEqual(name === undefined ? [] : [name])
    expect(await world.told(buyer.account)).toHaveLength(found.length)
  })

  test('not with a renewal of a plan that has had none', async () => {
    const world = await makeWorld()
    const buyer = await world.buyer()
    const id = world.subscribe(buyer, 'price_small', { billingReason: 'subscription_cycle' })
    await world.tell(['invoice.paid', id])
    expect(await world.claimsOf(buyer.account)).toEqual([])
  })
})

describe('a key of a plan', () => {
  async function changed(press: 'before' | 'after', byHand: boolean) {
    const world = await makeWorld()
    const buyer = await world.buyer()
    await world.tell(['invoice.paid', world.subscribe(buyer, 'price_small')])
    const before = press === 'before' ? await world.press(buyer.account) : null
    if (byHand) {
      const limits = { ...(before ?? (await world.press(buyer.account))).limits, name: 'Mine' }
      await world.keys.change(before?.id ?? '', limits, 'operator')
    }
    const subscription = activeSubscription(buyer.sub, buyer.customer, 'price_large')
    world.shop.subscriptions.set(buyer.sub, subscription)
    await world.tell(['customer.subscription.updated', buyer.sub])
    const after = press === 'after' ? await world.press(buyer.account) : null
    const [key, ...more] = await world.keys.list(buyer.account, null, 9)
    expect([more, key?.id]).toEqual([[], (before ?? after)?.id])
    expect(await world.claimsOf(buyer.account)).toMatchObject([{ itemId: 'large' }])
    return key?.limits
  }

  test.each(['before', 'after'] as const)(
    'may do what the plan says now, claimed %s the change',
    async (press) => {
      const limits = await changed(press, false)
      expect(limits).toMatchObject({ name: 'Large', models: null, budget: null })
      expect(limits).toMatchObject({ requestsPerMinute: 60, maxConcurrency: 4 })
    },
  )

  test('keeps what an operator gave it', async () => {
    expect(await changed('before', true)).toMatchObject({ name: 'Mine', models: ['gpt-*'] })
  })

  test('stays when the plan ends and when it becomes one without a key', async () => {
    const world = await makeWorld()
    const buyer = await world.buyer()
    await world.tell(['invoice.paid', world.subscribe(buyer, 'price_small')])
    const { id, limits } = await world.press(buyer.account)
    for (const fields of [{}, { status: 'canceled', endedAtMs: T0 }]) {
      const next = activeSubscription(buyer.sub, buyer.customer, 'price_none', fields)
      world.shop.subscriptions.set(buyer.sub, next)
      await world.tell(['customer.subscription.updated', buyer.sub])
      expect(await world.keys.list(buyer.account, null, 9)).toMatchObject([
        { id, limits, status: 'active' },
      ])
    }
  })
})

test.each([
  ['is kept where nobody has said', null, 'buyer@x.example', 'buyer@x.example'],
  ['of an operator stays', 'ops@x.example', 'buyer@x.example', 'ops@x.example'],
  ['that is none is left out', null, 'not an address\0', null],
  ['is unknown where nobody gave one', null, null, null],
])('an address %s', async (_name, known, given, expected) => {
  const world = await makeWorld()
  const [one, other] = [await world.buyer(known), await world.buyer(known)]
  const { id } = world.session(one, ['price_keyed'], given)
  const invoice = world.subscribe(other, 'price_small', { email: given })
  await world.tell(['checkout.session.completed', id], ['invoice.paid', invoice])
  expect(await world.email(one.account)).toBe(expected)
  expect(await world.email(other.account)).toBe(expected)
})
