import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { startGateway } from '../support/gateway.ts'
import { freshDatabase, redisUrl, runSql } from '../support/stores.ts'
import { until } from '../support/until.ts'
import { ADMIN_TOKEN } from '../support/gateway.ts'
import { startStripeProcess } from '../support/stripe-process.ts'
import { SECRET, sign, snapshot } from './support.ts'

type Body = Record<string, unknown>

const URLS = {
  success_url: 'https://shop.example/done?s={CHECKOUT_SESSION_ID}',
  cancel_url: 'https://shop.example/',
}

describe('checkout', async () => {
  const sim = await startStripeProcess()
  const { id: meter } = await sim.stripe.billing.meters.create({
    display_name: 'Credits',
    event_name: 'ai_credits',
    default_aggregation: { formula: 'sum' },
  })
  const { id: product } = await sim.stripe.products.create({ name: 'Plans' })
  const priceOf = async (recurring: object) => {
    const common = { product, currency: 'usd', unit_amount: 2 }
    const { id } = await sim.stripe.prices.create({
      ...common,
      recurring: { interval: 'month', ...recurring },
    })
    return id
  }
  const [base, yearly] = [await priceOf({}), await priceOf({ interval: 'year' })]
  const metered = { usage_type: 'metered', meter }
  const [usage, usageYearly] = [
    await priceOf(metered),
    await priceOf({ ...metered, interval: 'year' }),
  ]
  const payg = await priceOf(metered)
  const [current, archived] = [await priceOf({}), await priceOf({ interval: 'year' })]
  await sim.stripe.prices.update(archived, { active: false })
  const database = await freshDatabase()
  const gateway = await startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: {
      packs: [{ id: 'starter', stripe_price: 'price_demo_starter', credits: 1000 }],
      plans: [
        { id: 'pro', stripe_prices: ['price_demo_pro'], included_credits: '500' },
        { id: 'hybrid', stripe_prices: [usage, base, yearly, usageYearly] },
        { id: 'payg', stripe_prices: [payg] },
        { id: 'gone', stripe_prices: [current, archived] },
      ],
    },
    env: {
      STRIPE_SECRET_KEY: 'sk_test_x',
      STRIPE_WEBHOOK_SECRET: SECRET,
      STRIPE_API_BASE: sim.url,
    },
  })
  afterAll(async () => {
    await gateway.end()
    await database.drop()
    await sim.stop()
  })

  async function call(token: string, method: string, path: string, body?: object, key?: string) {
    const headers: Record<string, string> = { authorization: `Bearer ${token}` }
    if (key !== undefined) headers['idempotency-key'] = key
    const init = body === undefined ? {} : { body: JSON.stringify(body) }
    const answer = await fetch(new URL(path, gateway.url), { method, headers, ...init })
    const parsed: unknown = await answer.json()
    return { status: answer.status, body: parsed as Body }
  }
  const admin = (method: string, path: string, body?: object) =>
    call(ADMIN_TOKEN, method, `/admin/v1${path}`, body)
  async function customer() {
    const { id } = (await admin('POST', '/accounts', { name: 'Buyer', email: 'b@x.example' })).body
    const key = await admin('POST', `/accounts/${String(id)}/keys`, { name: 'k' })
    return { id: String(id), secret: String(key.body.key) }
  }
  const buy = (secret: string, key?: string, fields: object = {}) =>
    call(secret, 'POST', '/farebox/v1/checkout', { pack: 'starter', ...URLS, ...fields }, key)
  const look = (secret: string, id: unknown) =>
    call(secret, 'GET', `/farebox/v1/checkout/${String(id)}`)
  const balance = async (secret: string) => {
    const answer = await call(secret, 'GET', '/farebox/v1/balance')
    return { available: answer.body.available, posted: answer.body.posted }
  }
  /** The buyer pays on Stripe's page; its events reach nobody here. */
  async function pay(session: unknown): Promise<string> {
    const paid = z.object({ payment_intent: z.string() })
    return paid.parse(await sim.control('pay', { session })).payment_intent
  }
  /** Calls that write, and those about one thing: what else reads may be in the background. */
  const calls = async (about = 'none'): Promise<number> =>
    z
      .object({ calls: z.array(z.looseObject({ method: z.string(), url: z.string() })) })
      .parse(await sim.control('calls'))
      .calls.filter(({ method, url }) => method !== 'GET' || url.includes(about)).length
  /** The next call is carried out, and its answer is none. */
  const loseNext = (operation: string) =>
    sim.control('api-fault', { kind: 'garbage', after: true, operation })
  const ownCustomers = async () =>
    (await sim.stripe.customers.list({ limit: 100 })).data.filter(
      ({ metadata }) => metadata.farebox_account === buyer.id,
    )
  const thousand = { micros: 1_000_000_000, credits: '1000' }
  let buyer: { id: string; secret: string }
  beforeEach(async () => {
    buyer = await customer()
  })

  test.each([
    ['hybrid', [base, usage], [1, null]],
    ['payg', [payg], [null]],
  ])('of a plan with metered prices asks for all of them: %s', async (plan, prices, quantities) => {
    const opened = await buy(buyer.secret, undefined, { pack: undefined, plan })
    expect(opened).toMatchObject({ status: 201 })
    const id = String(opened.body.session_id)
    const { data: lines } = await sim.stripe.checkout.sessions.listLineItems(id)
    expect(lines.map(({ price }) => price?.id)).toEqual(prices)
    expect(lines.map(({ quantity }) => quantity)).toEqual(quantities)
    await sim.control('pay', { session: id })
    const { subscription } = await sim.stripe.checkout.sessions.retrieve(id)
    if (typeof subscription !== 'string') throw new Error('no subscription')
    const { items } = await sim.stripe.subscriptions.retrieve(subscription)
    expect(items.data.map(({ price }) => price.id)).toEqual(prices)
  })

  const plan = (fields: object, key?: string) =>
    buy(buyer.secret, key, { pack: undefined, plan: 'hybrid', ...fields })

  test.each([
    ['by its interval', { interval: 'year' }],
    ['by its price', { price: yearly }],
  ])(
    'of the yearly price of a plan, %s, sells it and what is metered by the year',
    async (_name, which) => {
      const opened = await plan(which, 'yearly')
      expect(opened).toMatchObject({ status: 201, body: { item: { id: 'hybrid', price: yearly } } })
      const id = String(opened.body.session_id)
      const { data: lines } = await sim.stripe.checkout.sessions.listLineItems(id)
      expect(lines.map(({ price }) => price?.id)).toEqual([yearly, usageYearly])
      expect((await plan(which, 'yearly')).body.session_id).toBe(id)
      const other = await plan({ interval: 'month' }, 'yearly')
      expect(other.body).toMatchObject({ error: { code: 'idempotency_key_reused' } })
    },
  )

  test.each([
    ['a price that another plan has', { price: payg }, 400, 'hybrid is not sold by'],
    ['an interval that it is not sold by', { interval: 'week' }, 400, 'month or year'],
    ['what is charged beside its base price', { price: usageYearly }, 400, 'beside'],
    ['both a price and an interval', { price: yearly, interval: 'year' }, 400, 'price or interval'],
    ['an interval of a pack', { plan: undefined, pack: 'starter', interval: 'year' }, 400, 'plan'],
    ['a price that is archived', { plan: 'gone', price: archived }, 400, 'not for sale'],
    ['an interval of a price that is archived', { plan: 'gone', interval: 'year' }, 400, 'month'],
  ])('%s is refused, and nothing is planned', async (_name, fields, status, words) => {
    const refused = await plan(fields, 'refused')
    expect(refused.status).toBe(status)
    expect(JSON.stringify(refused.body)).toContain(words)
    expect((await plan({}, 'refused')).status).toBe(201)
  })

  test('polled by the success page, grants without any webhook', async () => {
    const opened = await buy(buyer.secret)
    expect(opened).toMatchObject({
      status: 201,
      body: {
        state: 'pending',
        url: expect.stringContaining(`${sim.url}/pay/cs_`) as unknown,
        account_id: buyer.id,
      },
    })
    expect((await look(buyer.secret, opened.body.id)).body.state).toBe('pending')
    await pay(opened.body.session_id)
    await until(
      async () => (await look(buyer.secret, opened.body.session_id)).body.state === 'granted',
    )
    expect(await balance(buyer.secret)).toEqual({ available: thousand, posted: thousand })
    expect((await look(buyer.secret, opened.body.id)).body).toMatchObject({ url: null })
  })

  test('delivered by webhook and polled at once, grants once; a refund takes it back', async () => {
    const opened = await buy(buyer.secret)
    const intent = await pay(opened.body.session_id)
    const deliver = async (type: string, id: string) => {
      const body = JSON.stringify(snapshot(type, id))
      const headers = { 'stripe-signature': sign(body, Date.now()) }
      const url = new URL('/webhooks/stripe', gateway.url)
      expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(200)
    }
    await Promise.all([
      deliver('checkout.session.completed', String(opened.body.session_id)),
      deliver('payment_intent.succeeded', intent),
      deliver('charge.updated', 'ch_unknown'),
      look(buyer.secret, opened.body.id),
    ])
    await until(async () => (await balance(buyer.secret)).posted !== undefined)
    await until(async () => {
      expect(await balance(buyer.secret)).toEqual({ available: thousand, posted: thousand })
      return true
    })
    const refund = await sim.stripe.refunds.create({ payment_intent: intent, amount: 250 })
    await deliver('refund.created', refund.id)
    await until(async () => {
      expect((await balance(buyer.secret)).posted).toMatchObject({ credits: '750' })
      return true
    })
    const rows = await admin('GET', `/accounts/${buyer.id}/ledger`)
    expect(rows.body.data).toMatchObject([{ movement_type: 'refund' }, { movement_type: 'grant' }])
  })

  test('the same key is the same checkout; for something else it is refused', async () => {
    const [first, second] = await Promise.all([
      buy(buyer.secret, 'order-1'),
      buy(buyer.secret, 'order-1'),
    ])
    expect(second.body.id).toBe(first.body.id)
    expect((await buy(buyer.secret, 'order-1')).body.session_id).toBe(first.body.session_id)
    expect((await buy(buyer.secret, 'order-2')).body.id).not.toBe(first.body.id)
    const other = await buy(buyer.secret, 'order-1', { cancel_url: 'https://elsewhere.example/' })
    expect(other).toMatchObject({
      status: 400,
      body: { error: { code: 'idempotency_key_reused' } },
    })
    const someone = await customer()
    expect((await buy(someone.secret, 'order-1')).body.id).not.toBe(first.body.id)
  })

  test('answers of Stripe that got lost make neither a second customer nor a second session', async () => {
    await loseNext('POST /v1/customers')
    expect((await buy(buyer.secret, 'k')).status).toBeGreaterThanOrEqual(500)
    await loseNext('POST /v1/checkout/sessions')
    expect((await buy(buyer.secret, 'k')).status).toBeGreaterThanOrEqual(500)
    const opened = await buy(buyer.secret, 'k')
    expect(opened.status).toBe(201)
    const customers = await ownCustomers()
    expect(customers).toHaveLength(1)
    const customer = customers[0]?.id ?? ''
    expect((await sim.stripe.checkout.sessions.list({ customer })).data).toHaveLength(1)
    const account = await admin('GET', `/accounts/${buyer.id}`)
    expect(account.body.stripe_customer_id).toBe(customer)
  })

  test('a customer whose answer was lost longer ago than Stripe keeps keys is found again', async () => {
    await loseNext('POST /v1/customers')
    expect((await buy(buyer.secret)).status).toBeGreaterThanOrEqual(500)
    const [made] = await ownCustomers()
    await sim.control('advance', { days: 2 })
    await runSql(database.url, [
      "UPDATE stripe_customers SET planned_at = planned_at - interval '2 days'",
    ])
    expect((await buy(buyer.secret)).status).toBe(201)
    expect((await admin('GET', `/accounts/${buyer.id}`)).body.stripe_customer_id).toBe(made?.id)
    expect(await ownCustomers()).toHaveLength(1)
  })

  test('a failure that Stripe keeps under its key stops no purchase for a day', async () => {
    const fail = (operation: string) =>
      sim.control('api-fault', { kind: 'error', after: true, operation, times: 1 })
    await fail('POST /v1/customers')
    await fail('POST /v1/checkout/sessions')
    const opened = await buy(buyer.secret, 'k')
    expect(opened.status).toBe(201)
    expect(await ownCustomers()).toHaveLength(1)
    expect((await buy(buyer.secret, 'k')).body.session_id).toBe(opened.body.session_id)
    await pay(opened.body.session_id)
    await until(async () => (await look(buyer.secret, opened.body.id)).body.state === 'granted')
    expect(await balance(buyer.secret)).toMatchObject({ posted: thousand })
  })

  test('a payment whose session answer was lost is found by what the session names', async () => {
    await loseNext('POST /v1/checkout/sessions')
    expect((await buy(buyer.secret, 'k')).status).toBeGreaterThanOrEqual(500)
    const session = (await sim.stripe.checkout.sessions.list({ limit: 1 })).data[0]?.id ?? ''
    await pay(session)
    const body = JSON.stringify(snapshot('checkout.session.completed', session))
    const headers = { 'stripe-signature': sign(body, Date.now()) }
    await fetch(new URL('/webhooks/stripe', gateway.url), { method: 'POST', headers, body })
    await until(async () => {
      expect((await balance(buyer.secret)).posted).toEqual(thousand)
      return true
    })
    expect((await look(buyer.secret, session)).body.state).toBe('granted')
  })

  test('a backend key buys for a subject, known or new, and must name one', async () => {
    const backend = await admin('POST', '/backend-keys', { name: 'server' })
    const secret = String(backend.body.key)
    expect((await buy(secret)).status).toBe(400)
    // An account is made of it, which a header must be able to name.
    for (const odd of [' user-1', 'ü', 'a\tb']) {
      const reply = await buy(secret, 'odd', { subject_ref: odd })
      expect(reply).toMatchObject({ status: 400, body: { error: { param: 'subject_ref' } } })
    }
    const first = await buy(secret, 'a', { subject_ref: 'user-1', email: 'u@x.example' })
    const second = await buy(secret, 'b', { subject_ref: 'user-1' })
    expect(first.status).toBe(201)
    expect(second.body.account_id).toBe(first.body.account_id)
    expect((await look(secret, first.body.id)).status).toBe(200)
    const session = String(first.body.session_id)
    const asked = await calls(session)
    expect((await look(buyer.secret, first.body.id)).status).toBe(404)
    expect(await calls(session)).toBe(asked)
    expect((await buy(buyer.secret, 'c', { subject_ref: 'user-1' })).status).toBe(400)
    const back = { return_url: 'https://shop.example/' }
    const portal = await call(secret, 'POST', '/farebox/v1/portal', {
      ...back,
      subject_ref: 'user-1',
    })
    expect(portal).toMatchObject({
      status: 201,
      body: { url: expect.stringContaining(sim.url) as unknown },
    })
    const nobody = await call(secret, 'POST', '/farebox/v1/portal', {
      ...back,
      subject_ref: 'user-9',
    })
    expect(nobody.status).toBe(404)
    expect((await call(buyer.secret, 'POST', '/farebox/v1/portal', back)).status).toBe(201)
  })

  test('the same plan is not sold twice, but again once it is over', async () => {
    const order = () => buy(buyer.secret, undefined, { pack: undefined, plan: 'pro' })
    const [left, first] = [await order(), await order()]
    expect([left.status, first.status]).toEqual([201, 201])
    // Two pages side by side: one can be paid on.
    const page = await sim.stripe.checkout.sessions.retrieve(String(left.body.session_id))
    expect(page.status).toBe('expired')
    expect((await look(buyer.secret, left.body.id)).body).toMatchObject({ failure: 'expired' })
    await sim.control('pay', { session: first.body.session_id })
    // Nobody here has heard of it yet.
    const again = await order()
    expect([again.status, JSON.stringify(again.body)]).toEqual([
      409,
      expect.stringContaining('the plan pro already'),
    ])
    expect((await look(buyer.secret, first.body.id)).body.state).toBe('granted')
    expect((await plan({})).status).toBe(201)
    const session = await sim.stripe.checkout.sessions.retrieve(String(first.body.session_id))
    if (typeof session.subscription !== 'string') throw new Error('no subscription')
    await sim.stripe.subscriptions.cancel(session.subscription)
    const last = await order()
    expect(last.status).toBe(201)
    // The key of another account of Stripe's since.
    await runSql(database.url, [
      `UPDATE checkout_sessions SET session_id = 'cs_elsewhere' WHERE id = '${String(last.body.id)}'`,
    ])
    expect((await order()).status).toBe(201)
  })

  test('nothing is sold to an account that is frozen', async () => {
    await admin('PATCH', `/accounts/${buyer.id}`, { status: 'frozen', reason: 'x' })
    const before = await calls()
    expect((await buy(buyer.secret)).status).toBe(403)
    expect(await calls()).toBe(before)
    await admin('PATCH', `/accounts/${buyer.id}`, { status: 'active' })
    expect((await buy(buyer.secret)).status).toBe(201)
  })

  test.each([
    ['no item', { pack: undefined }, 400],
    ['two items', { plan: 'pro' }, 400],
    ['an unknown pack', { pack: 'nothing' }, 404],
    ['a URL that runs code', { success_url: 'javascript:alert(1)' }, 400],
    ['an unknown field', { credits: 1_000_000 }, 400],
  ])('%s is refused before Stripe is asked', async (_name, fields, status) => {
    const before = await calls()
    expect((await buy(buyer.secret, undefined, fields)).status).toBe(status)
    expect(await calls()).toBe(before)
  })

  test('events that were never delivered are fetched and worked off once', async () => {
    const opened = await buy(buyer.secret)
    await pay(opened.body.session_id)
    const since = new Date(Date.now() - 3_600_000).toISOString()
    const { added } = z
      .looseObject({ added: z.int() })
      .parse((await admin('POST', '/stripe/sync', { since })).body)
    expect(added).toBeGreaterThan(0)
    await until(async () => {
      expect((await balance(buyer.secret)).posted).toEqual(thousand)
      return true
    })
    expect((await admin('POST', '/stripe/sync', { since })).body).toMatchObject({ added: 0 })
  })
})
