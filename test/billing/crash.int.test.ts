import { afterAll, beforeAll, expect, test } from 'vitest'
import { ADMIN_TOKEN, startGateway, type Gateway } from '../support/gateway.ts'
import { freshDatabase, redisUrl, runSql, type FreshDatabase } from '../support/stores.ts'
import { until } from '../support/until.ts'
import { startStripe } from './stripe-server.ts'
import { SECRET, sign, snapshot } from './support.ts'

type Body = Record<string, unknown>

let stripe: Awaited<ReturnType<typeof startStripe>>
let database: FreshDatabase
let gateway: Gateway

const start = () =>
  startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: { packs: [{ id: 'starter', stripe_price: 'price_starter', credits: 1000 }] },
    env: {
      STRIPE_SECRET_KEY: 'sk_test_x',
      STRIPE_WEBHOOK_SECRET: SECRET,
      STRIPE_API_BASE: stripe.url,
    },
  })

beforeAll(async () => {
  stripe = await startStripe()
  database = await freshDatabase()
  gateway = await start()
})
afterAll(async () => {
  await gateway.end()
  await database.drop()
  await stripe.stop()
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

/** Kills the gateway while it waits for Stripe, and starts another on the same stores. */
async function killAt(held: ReturnType<typeof stripe.holdNext>): Promise<void> {
  await held.reached
  await gateway.end('SIGKILL')
  held.release()
  gateway = await start()
}

test.each(['POST /v1/customers', 'POST /v1/checkout/sessions'])(
  'killed at %s, the same order makes one customer and one session',
  async (path) => {
    const buyer = await customer()
    const before = stripe.of('checkout.session').length
    const held = stripe.holdNext(path)
    const lost = buy(buyer.secret).catch(() => 'cut')
    await killAt(held)
    expect(await lost).toBe('cut')
    const opened = await buy(buyer.secret)
    expect(opened).toMatchObject({ status: 201, body: { state: 'pending' } })
    const own = ({ metadata }: Body) => (metadata as Body).farebox_account === buyer.id
    expect(stripe.of('customer').filter(own)).toHaveLength(1)
    expect(stripe.of('checkout.session')).toHaveLength(before + 1)
  },
  60_000,
)

test.each([
  'GET /v1/checkout/sessions/',
  'GET /v1/payment_intents/',
  'GET /v1/refunds',
  'GET /v1/disputes',
])(
  'killed at %s, an event is worked off by who comes next: granted once',
  async (path) => {
    const buyer = await customer()
    const opened = await buy(buyer.secret)
    const intent = stripe.pay(String(opened.body.session_id))
    const held = stripe.holdNext(path)
    const body = JSON.stringify(snapshot('payment_intent.succeeded', intent))
    const headers = { 'stripe-signature': sign(body, Date.now()) }
    const url = new URL('/webhooks/stripe', gateway.url)
    expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(200)
    await killAt(held)
    const posted = async () => {
      const { body: balance } = await call(buyer.secret, 'GET', '/farebox/v1/balance')
      return (balance.posted as Body).micros
    }
    expect(await posted()).toBe(0)
    // The lease of the process that is gone ends.
    await runSql(database.url, ['UPDATE stripe_events SET due_at = received_at'])
    await until(async () => (await posted()) === 1_000_000_000)
    const { body: ledger } = await admin('GET', `/accounts/${buyer.id}/ledger`)
    expect(ledger.data).toMatchObject([{ movement_type: 'grant' }])
  },
  60_000,
)
