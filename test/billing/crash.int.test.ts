import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { startMailbox, type Mailbox } from '../notify/receivers.ts'
import { ADMIN_TOKEN, startGateway, type Gateway } from '../support/gateway.ts'
import { makeStopPoints, type StopPoint, type StopPoints } from '../support/stop-points.ts'
import { freshDatabase, redisUrl, runSql, type FreshDatabase } from '../support/stores.ts'
import { startStripeProcess, type StripeProcess } from '../support/stripe-process.ts'
import { until } from '../support/until.ts'

type Body = Record<string, unknown>

let sim: StripeProcess
let database: FreshDatabase
let gateway: Gateway
let mailbox: Mailbox
let stops: StopPoints

/** Everything that is written between an order and its key. */
const TABLES = [
  ...['checkout_sessions', 'stripe_customers', 'stripe_events', 'stripe_looks', 'stripe_sales'],
  ...['ledger_entries', 'key_claims', 'notifications', 'claim_links', 'api_keys'],
]

async function start(): Promise<Gateway> {
  const started = await startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: {
      public_url: 'https://ai.example',
      notify: { smtp_url: mailbox.url, from: 'shop@example.com' },
      packs: [
        {
          ...{ id: 'starter', stripe_price: 'price_demo_starter', credits: 1000 },
          issue_key: { name: 'Starter' },
        },
      ],
    },
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
  ;[sim, database, mailbox] = await Promise.all([
    startStripeProcess(),
    freshDatabase(),
    startMailbox(),
  ])
  stops = await makeStopPoints(database.url, TABLES)
  gateway = await start()
})
afterAll(async () => {
  await gateway.end()
  await stops.end()
  await mailbox[Symbol.asyncDispose]()
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
)

/** The leases of a process that is gone end. */
const endLeases = () =>
  runSql(database.url, [
    "UPDATE stripe_events SET due_at = received_at WHERE state = 'pending'",
    "UPDATE notifications SET due_at = created_at WHERE state = 'pending'",
  ])

type Phase = 'order' | 'pay' | 'press'
type Kill = readonly [name: string, phase: Phase, point: StopPoint]

const insert = (table: string, at: StopPoint['at'], state?: string): StopPoint => ({
  ...{ table, write: 'INSERT', at },
  ...(state === undefined ? {} : { state }),
})
const update = (table: string, at: StopPoint['at'], state: string): StopPoint => ({
  ...{ table, write: 'UPDATE', at, state },
})

const KILLS: readonly Kill[] = [
  ['its event is being stored', 'pay', insert('stripe_events', 'before', 'pending')],
  ['it is half granted', 'pay', insert('ledger_entries', 'before')],
  ['it is granted and nothing was mailed', 'pay', insert('claim_links', 'commit')],
  ['the button made the key, unanswered', 'press', update('key_claims', 'commit', 'claimed')],
]
/** The places between those; FAREBOX_CRASHES=all runs them too. */
const MORE_KILLS: readonly Kill[] = [
  ['its order is being written', 'order', insert('checkout_sessions', 'before', 'planned')],
  ['its order is written', 'order', insert('checkout_sessions', 'commit', 'planned')],
  ['its customer is being noted', 'order', insert('stripe_customers', 'before')],
  ['its session is being noted', 'order', update('checkout_sessions', 'before', 'open')],
  ['its session is noted, unanswered', 'order', update('checkout_sessions', 'commit', 'open')],
  ['its event is stored, and not answered', 'pay', insert('stripe_events', 'commit', 'pending')],
  ['its event is stored and not worked on', 'pay', update('stripe_events', 'before', 'pending')],
  ['its event is claimed', 'pay', update('stripe_events', 'commit', 'pending')],
  ['its event is looked at', 'pay', insert('stripe_looks', 'before')],
  ['what it buys is being noted', 'pay', insert('stripe_sales', 'before')],
  ['its key is being promised', 'pay', insert('key_claims', 'before', 'open')],
  ['its mail is being put out', 'pay', insert('notifications', 'before', 'pending')],
  ['its event is being ended', 'pay', update('stripe_events', 'before', 'done')],
  ['all of it is granted, unheard', 'pay', insert('ledger_entries', 'commit')],
  ['its mail is being taken', 'pay', update('notifications', 'before', 'pending')],
  ['its link is being drawn', 'pay', insert('claim_links', 'before')],
  ['the mail is out and that is not noted', 'pay', update('notifications', 'before', 'sent')],
  ['that its mail is out is noted', 'pay', update('notifications', 'commit', 'sent')],
  ['its key is being made', 'press', insert('api_keys', 'before')],
  ['its claim is being closed', 'press', update('key_claims', 'before', 'claimed')],
]

/** Runs `run`, which may be cut by the kill; the next gateway goes on where the point is in it. */
async function through(kill: Kill, phase: Phase, run: () => Promise<unknown>): Promise<void> {
  const [, at, point] = kill
  if (at !== phase) {
    await run()
    return
  }
  let cut: Promise<unknown> = Promise.resolve()
  await stops.killAt(
    point,
    () => {
      cut = run().catch(() => 'cut')
    },
    () => gateway.end('SIGKILL'),
  )
  await cut
  gateway = await start()
  await endLeases()
}

const KEY = /fb_test_[\w-]{43}/

test.each(process.env.FAREBOX_CRASHES === 'all' ? [...KILLS, ...MORE_KILLS] : KILLS)(
  'killed while %s, a purchase has one payment, one grant and one key',
  async (...kill) => {
    const email = `${crypto.randomUUID()}@example.com`
    const { id } = (await admin('POST', '/accounts', { name: 'Buyer', email })).body
    const made = await admin('POST', `/accounts/${String(id)}/keys`, { name: 'k' })
    const secret = String(made.body.key)
    await through(kill, 'order', () => buy(secret))
    const opened = await buy(secret)
    expect(opened).toMatchObject({ status: 201, body: { state: 'pending' } })
    await through(kill, 'pay', async () => {
      await sim.control('pay', { session: opened.body.session_id })
    })
    // What Stripe could not deliver it delivers within days; or one asks.
    const since = new Date(Date.now() - 3_600_000).toISOString()
    expect((await admin('POST', '/stripe/sync', { since })).status).toBe(200)
    const mails = () => mailbox.mails.filter((mail) => mail.includes(`To: ${email}`))
    const links = () => mails().flatMap((mail) => /\/claim\/[\w-]{43}/.exec(mail)?.[0] ?? [])
    await until(() => links().length > 0)
    const page = async (path: string) => {
      const { body } = await ask('GET', path)
      return /name="page" value="([\w-]{43})"/.exec(body)?.[1] ?? ''
    }
    const [first = ''] = links()
    const shown = await page(first)
    await through(kill, 'press', () => ask('POST', first, shown))
    const pressed = await ask('POST', first, shown)
    const key = KEY.exec(pressed.body)?.[0] ?? ''
    expect(pressed.status).toBe(200)

    await sim.control('idle')
    await until(async () => (await rowsOf('/stripe/events?state=pending')).length === 0)
    await until(async () => (await rowsOf('/notifications?state=pending')).length === 0)
    for (const path of links()) {
      expect((await ask('POST', path, await page(path))).body).not.toMatch(KEY)
    }
    const balance = await call(key, 'GET', '/farebox/v1/balance')
    expect(balance).toMatchObject({
      ...{ status: 200, body: { account_id: id, posted: { micros: 1_000_000_000 } } },
    })
    const { body: ledger } = await admin('GET', `/accounts/${String(id)}/ledger`)
    expect(ledger.data).toMatchObject([{ movement_type: 'grant' }])
    const { body: keys } = await admin('GET', `/accounts/${String(id)}/keys`)
    expect(keys.data).toHaveLength(2)
    const { data: customers } = await sim.stripe.customers.list({ limit: 100 })
    const [customer, ...others] = customers.filter((one) => one.metadata.farebox_account === id)
    expect(others).toEqual([])
    const of = { customer: customer?.id ?? '' }
    expect((await sim.stripe.checkout.sessions.list(of)).data).toHaveLength(1)
    expect((await sim.stripe.paymentIntents.list(of)).data).toMatchObject([{ status: 'succeeded' }])
  },
)

async function ask(method: string, path: string, page?: string) {
  const init =
    page === undefined
      ? {}
      : {
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: new URLSearchParams({ page }).toString(),
        }
  const answer = await fetch(`${gateway.url}${path}`, { method, ...init })
  return { status: answer.status, body: await answer.text() }
}

const rows = z.object({ data: z.array(z.unknown()) })
const rowsOf = async (path: string): Promise<unknown[]> =>
  rows.parse((await admin('GET', path)).body).data

test('the books are sound after all of that', async () => {
  expect((await admin('POST', '/verify', {})).body).toMatchObject({ ok: true, breaches: [] })
  expect(await rowsOf('/stripe/events?state=dead')).toEqual([])
  expect(await rowsOf('/findings?state=any')).toEqual([])
})
