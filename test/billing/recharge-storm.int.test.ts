import Fastify from 'fastify'
import Stripe from 'stripe'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { serveStripe, type StripeSimulator } from '../../src/demo/stripe/server.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { freshDatabase, redisUrl, runSql, type FreshDatabase } from '../support/stores.ts'
import { until } from '../support/until.ts'

type Body = Record<string, unknown>

/** One request costs one credit; the pack brings 300; recharge below 100. */
let sim: StripeSimulator
let stripe: Stripe
let database: FreshDatabase
let gateways: Gateway[]
const upstream = Fastify()

const control = async (name: string, body: object = {}): Promise<Body> => {
  const url = `${sim.simulator.world.base}/_control/${name}`
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) })
  return (await answer.json()) as Body
}

let config: Record<string, unknown>
const start = (secret: string) =>
  startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config,
    env: {
      STRIPE_SECRET_KEY: 'sk_test_x',
      STRIPE_API_BASE: sim.simulator.world.base,
      STRIPE_WEBHOOK_SECRET: secret,
    },
  })

beforeAll(async () => {
  sim = await serveStripe({ port: 0, seed: 11, frozenAtS: null, wallMs: Date.now })
  const { hostname, port } = new URL(sim.simulator.world.base)
  const target = { host: hostname, port: Number(port), protocol: 'http' } as const
  stripe = new Stripe('sk_test_x', { ...target, telemetry: false })
  upstream.get('/now', () => ({ ok: true }))
  const base = await upstream.listen({ host: '127.0.0.1', port: 0 })
  const price = await stripe.prices.create({
    ...{ currency: 'usd', unit_amount: 3_000, product_data: { name: 'Pack' } },
  })
  config = {
    credits: { per_usd: 100, markup: '1' },
    top_up_url: 'https://shop.example/',
    upstreams: { weather: { protocol: 'http', base_url: base } },
    prices: [{ upstream: 'weather', per_request_usd: '0.01' }],
    packs: [{ id: 'big', stripe_price: price.id, credits: 300 }],
  }
  database = await freshDatabase()
  gateways = [await start('whsec_none'), await start('whsec_none')]
})
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.end()))
  await upstream.close()
  await sim.stop()
  await database.drop()
})

const [at, of] = [(index: number) => gateways[index % gateways.length]?.url ?? '', String]

async function call(url: string, token: string, method: string, path: string, body?: object) {
  const headers = { authorization: `Bearer ${token}` }
  const init = body === undefined ? {} : { body: JSON.stringify(body) }
  const answer = await fetch(new URL(path, url), { method, headers, ...init })
  return { status: answer.status, body: (await answer.json()) as Body }
}

/** An account with credits, a card, a key and leave to recharge. */
async function customer(credits: number) {
  const admin = gateways[0]?.admin
  if (admin === undefined) throw new Error('no gateway')
  const made = await stripe.customers.create({})
  const card = await stripe.paymentMethods.attach('pm_card_visa', { customer: made.id })
  await stripe.customers.update(made.id, { invoice_settings: { default_payment_method: card.id } })
  const account = await call(at(0), ADMIN, 'POST', '/admin/v1/accounts', {
    ...{ name: 'Storm', stripe_customer_id: made.id },
  })
  const id = of(account.body.id)
  await call(at(0), ADMIN, 'POST', `/admin/v1/accounts/${id}/grants`, {
    ...{ credits: String(credits), kind: 'promo', reason: 'test', reference_id: 'start' },
  })
  const key = await call(at(0), ADMIN, 'POST', `/admin/v1/accounts/${id}/keys`, { name: 'k' })
  const secret = of(key.body.key)
  const asked = { enabled: true, pack: 'big', threshold: '100', monthly_count: 5 }
  const allowed = await call(at(0), secret, 'PUT', '/farebox/v1/recharge', asked)
  expect(allowed).toMatchObject({ status: 200, body: { state: 'on', currency: 'usd' } })
  return { id, secret, customer: made.id }
}

const ADMIN = 'test-admin-token-0123456789abcdef'
const intents = async (customerId: string) =>
  (await stripe.paymentIntents.list({ customer: customerId, limit: 100 })).data
const posted = async (secret: string) => {
  const { body } = await call(at(0), secret, 'GET', '/farebox/v1/balance')
  return Number((body.posted as { credits: string }).credits)
}
const request = async (index: number, secret: string) =>
  (
    await fetch(new URL('/up/weather/now', at(index)), {
      headers: { authorization: `Bearer ${secret}` },
    })
  ).status

test('200 requests at once over two processes cross the threshold: one payment', async () => {
  const buyer = await customer(205)
  const statuses = await Promise.all(
    Array.from({ length: 200 }, (_, index) => request(index, buyer.secret)),
  )
  expect(new Set(statuses)).toEqual(new Set([200]))
  await until(async () => (await posted(buyer.secret)) === 305)
  expect(await intents(buyer.customer)).toMatchObject([{ status: 'succeeded', amount: 3_000 }])
  const { body } = await call(at(1), ADMIN, 'GET', `/admin/v1/accounts/${buyer.id}/recharge`)
  expect(body).toMatchObject({ this_month: { attempts: 1, amount: 3_000 } })
  expect(await request(0, buyer.secret)).toBe(200)
})

test('a backend key allows recharges for its subject; what is missing is said', async () => {
  const backend = await call(at(0), ADMIN, 'POST', '/admin/v1/backend-keys', { name: 'server' })
  const made = await stripe.customers.create({})
  const account = { name: 'S', subject_ref: `u-${made.id}`, stripe_customer_id: made.id }
  expect((await call(at(0), ADMIN, 'POST', '/admin/v1/accounts', account)).status).toBe(201)
  const path = `/farebox/v1/recharge?subject_ref=${account.subject_ref}`
  const ask = (body: object, method = 'PUT', to = path) =>
    call(at(1), of(backend.body.key), method, to, body)
  const unlimited = { enabled: true, pack: 'big', threshold: '1' }
  const on = { ...unlimited, monthly_amount: 3_000 }
  expect((await ask(on)).body).toMatchObject({ error: { code: 'conflict' } })
  expect((await ask(unlimited)).status).toBe(400)
  expect((await ask({ ...on, threshold: '0' })).status).toBe(400)
  expect((await ask({ ...on, return_url: 'javascript:x' })).status).toBe(400)
  expect((await ask(on, 'PUT', '/farebox/v1/recharge')).status).toBe(400)
  const urls = { success_url: 'https://shop.example/', cancel_url: 'https://shop.example/' }
  const setup = path.replace('recharge', 'recharge/setup')
  const page = await ask(urls, 'POST', setup)
  expect(page.status).toBe(201)
  const session = of(page.body.url).split('/').at(-1)
  await control('pay', { session, method: 'pm_card_visa' })
  const since = new Date(Date.now() - 60_000).toISOString()
  await call(at(0), ADMIN, 'POST', '/admin/v1/stripe/sync', { since })
  const answer = await until(async () => {
    const { status, body } = await ask(on)
    return status === 200 ? body : null
  })
  expect(answer).toMatchObject({ state: 'on', monthly_amount: 3_000, payment_method: /^pm_/ })
  await until(async () => (await intents(made.id)).length === 1)
  expect(await ask({ enabled: false })).toMatchObject({
    ...{ status: 200, body: { state: 'off', reason: 'customer' } },
  })
})

const STEPS = [
  { step: 'POST /v1/payment_intents', after: false },
  { step: 'POST /v1/payment_intents', after: true },
]
/** Every step and both sides of each, where there is time for it. */
const MORE = ['GET /v1/customers', 'GET /v1/prices', 'GET /v1/payment_methods'].concat([
  ...['POST /v1/payment_intents', 'GET /v1/payment_intents', 'GET /v1/refunds'],
])
const isLong = process.env.FAREBOX_CRASH_STEPS === 'all'
const ALL = MORE.flatMap((step) => [false, true].map((after) => ({ step, after })))

const callsOf = async (step: string): Promise<number> => {
  const { calls } = (await control('calls')) as { calls: { operation: string | null }[] }
  return calls.filter(({ operation }) => operation?.startsWith(step) === true).length
}

test.each(isLong ? ALL : STEPS)(
  'killed at $step (answer lost: $after), the next process finishes: one charge, one grant',
  async ({ step, after }) => {
    const buyer = await customer(100)
    const fault = { kind: 'timeout', operation: step, after, remembers: true, times: 1 }
    await control('api-fault', fault)
    const before = await callsOf(step)
    expect(await request(0, buyer.secret)).toBe(200)
    // Whoever works on it hangs at this step.
    await until(async () => (await callsOf(step)) > before)
    await until(async () => (await attemptState(buyer.secret)) !== undefined)
    await Promise.all(gateways.map((gateway) => gateway.end('SIGKILL')))
    await control('clear-faults')
    await runSql(database.url, [
      "UPDATE recharge_attempts SET due_at = planned_at WHERE state IN ('planned', 'called', 'open')",
    ])
    gateways = [await start('whsec_none')]
    await until(async () => (await posted(buyer.secret)) === 399)
    expect(await intents(buyer.customer)).toHaveLength(1)
  },
)

async function attemptState(secret: string): Promise<unknown> {
  const { body } = await call(at(0), secret, 'GET', '/farebox/v1/recharge')
  return (body.attempts as Body[])[0]?.state
}
