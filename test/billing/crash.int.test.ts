import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { ADMIN_TOKEN, startGateway, type Gateway } from '../support/gateway.ts'
import { freshDatabase, redisUrl, runSql, type FreshDatabase } from '../support/stores.ts'
import { startStripeProcess, type StripeProcess } from '../support/stripe-process.ts'
import { until } from '../support/until.ts'

type Body = Record<string, unknown>

let sim: StripeProcess
let database: FreshDatabase
let gateway: Gateway

async function start(): Promise<Gateway> {
  const started = await startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: { packs: [{ id: 'starter', stripe_price: 'price_demo_starter', credits: 1000 }] },
    env: {
      STRIPE_SECRET_KEY: 'sk_test_x',
      STRIPE_WEBHOOK_SECRET: sim.webhookSecret,
      STRIPE_API_BASE: sim.url,
    },
  })
  await sim.control('demo-shop', { url: `${started.url}/webhooks/stripe` })
  return started
}

beforeAll(async () => {
  sim = await startStripeProcess()
  database = await freshDatabase()
  gateway = await start()
}, 60_000)
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
  const { id } = (await admin('POST', '/accounts', { name: 'Buyer' })).body
  const key = await admin('POST', `/accounts/${String(id)}/keys`, { name: 'k' })
  return { id: String(id), secret: String(key.body.key) }
}
const URLS = { success_url: 'https://shop.example/done', cancel_url: 'https://shop.example/' }
const buy = (secret: string) =>
  call(secret, 'POST', '/farebox/v1/checkout', { pack: 'starter', ...URLS }, 'order')

const seen = z.object({ calls: z.array(z.object({ operation: z.string().nullable() })) })
const countOf = async (operation: string): Promise<number> =>
  seen.parse(await sim.control('calls')).calls.filter((one) => one.operation === operation).length

/**
 * Leaves the next call of an operation without an answer, before or after its effect, kills the
 * gateway while it waits for one, and starts another on the same stores.
 */
async function killAt(operation: string, after: boolean, run: () => Promise<void>): Promise<void> {
  const before = await countOf(operation)
  await sim.control('api-fault', { kind: 'timeout', operation, after })
  await run()
  await until(async () => (await countOf(operation)) > before)
  await gateway.end('SIGKILL')
  await sim.control('clear-faults')
  gateway = await start()
}

test.each([
  ['POST /v1/customers', true],
  ['POST /v1/checkout/sessions', false],
  ['POST /v1/checkout/sessions', true],
])(
  'killed at %s (done there: %s), the same order makes one customer and one session',
  async (operation, after) => {
    const buyer = await customer()
    let lost: Promise<unknown> = Promise.resolve()
    await killAt(operation, after, () => {
      lost = buy(buyer.secret).catch(() => 'cut')
      return Promise.resolve()
    })
    expect(await lost).toBe('cut')
    const opened = await buy(buyer.secret)
    expect(opened).toMatchObject({ status: 201, body: { state: 'pending' } })
    const { data: customers } = await sim.stripe.customers.list({ limit: 100 })
    const own = customers.filter(({ metadata }) => metadata.farebox_account === buyer.id)
    expect(own).toHaveLength(1)
    const sessions = await sim.stripe.checkout.sessions.list({ customer: own[0]?.id ?? '' })
    expect(sessions.data.map(({ id }) => id)).toEqual([opened.body.session_id])
  },
  60_000,
)

test.each(['GET /v1/payment_intents/{id}', 'GET /v1/disputes'])(
  'killed at %s, an event is worked off by who comes next: granted once',
  async (operation) => {
    const buyer = await customer()
    const opened = await buy(buyer.secret)
    await killAt(operation, false, async () => {
      await sim.control('pay', { session: opened.body.session_id })
    })
    // The leases of the process that is gone end.
    await runSql(database.url, [
      "UPDATE stripe_events SET due_at = received_at WHERE state = 'pending'",
    ])
    await until(async () => {
      const { body: balance } = await call(buyer.secret, 'GET', '/farebox/v1/balance')
      return (balance.posted as Body).micros === 1_000_000_000
    })
    await sim.control('idle')
    const { body: ledger } = await admin('GET', `/accounts/${buyer.id}/ledger`)
    expect(ledger.data).toMatchObject([{ movement_type: 'grant' }])
  },
  60_000,
)
