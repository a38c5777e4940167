import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { makeBilling } from '../../src/app/billing.ts'
import { makeReconciliation } from '../../src/app/reconcile.ts'
import { makeStripe } from '../../src/billing/stripe.ts'
import { makeHints } from '../../src/billing/recharge/hints.ts'
import { makeAccounts } from '../../src/access/accounts.ts'
import { makePlanBooks } from '../../src/access/plans/book.ts'
import { makeEntitle } from '../../src/access/plans/entitle.ts'
import { configSchema } from '../../src/config-schema.ts'
import { makeEngine } from '../../src/credits/engine.ts'
import { makeIncarnations } from '../../src/credits/incarnations.ts'
import { makeRedisTransport, readScripts } from '../../src/credits/redis/transport.ts'
import { systemClock, type Clock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { RECONCILE_QUARANTINE_MS } from '../../src/kernel/limits/books.ts'
import { METER_SUMMARY_LAG_MS } from '../../src/kernel/limits/meters.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { Progress } from '../../src/reconcile/run.ts'
import { makeMeterOutbox, makeReporting } from '../../src/reporting/reporting.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { oneNode } from '../../src/store/redis-nodes.ts'
import { openRedis } from '../../src/store/redis.ts'
import { countedHooks } from '../billing/support.ts'
import type { Customer } from '../support/admin.ts'
import { metric, type Gateway } from '../support/gateway.ts'
import { startPostgres, type PostgresServer } from '../support/stores.ts'
import { startStripeProcess, type StripeProcess } from '../support/stripe-process.ts'
import { until } from '../support/until.ts'
import { countOf, expectBooks, findingsOf, verify } from './support/books.ts'
import { CUT_MODEL, FAIL_MODEL, JSON_MODEL, STREAM_MODEL } from './support/jobs.ts'
import { startJob, type Outcome } from './support/load.ts'
import { LEASE_MS, startFaultWorld, type FaultWorld } from './support/world.ts'

/** Requests in all; FAREBOX_SOAK asks for more of them. */
const REQUESTS = Number(process.env.FAREBOX_SOAK ?? 400)
const LANES = 12
const PACKS = [{ id: 'starter', stripe_price: 'price_demo_starter', credits: 1_000 }]
/** Faults of all kinds come round once in so many requests. */
const ROUND = Math.max(300, Math.min(2_000, REQUESTS))
const WEBHOOK_FAULTS = ['duplicate', 'drop', 'delay', 'reorder', 'concurrent', 'before_answer']

const EVENT = 'ai_credits'
const INCLUDED = 1
/** Told by then, and Stripe's summaries have caught up with it. */
const LATER_MS = METER_SUMMARY_LAG_MS + RECONCILE_QUARANTINE_MS + 60_000

let stripe: StripeProcess
let sold: Awaited<ReturnType<typeof sell>>
let postgres: PostgresServer
let world: FaultWorld
const gateways: Gateway[] = []

/** A plan whose overage a meter bills. */
async function sell() {
  const { billing, prices } = stripe.stripe
  const meter = await billing.meters.create({
    ...{ display_name: EVENT, event_name: EVENT, default_aggregation: { formula: 'sum' } },
  })
  const price = async (fields: object, recurring: object = {}) => {
    const common = { currency: 'usd', product_data: { name: 'Hybrid' } }
    return prices.create({ ...common, ...fields, recurring: { interval: 'month', ...recurring } })
  }
  const base = await price({ unit_amount: 2_000 })
  const metered = await price({ unit_amount: 1 }, { usage_type: 'metered', meter: meter.id })
  const plan = {
    ...{ id: 'hybrid', stripe_prices: [base.id], included_credits: INCLUDED },
    overage: { meter: EVENT, limit: 1_000_000 },
  }
  return { meter: meter.id, items: [base, metered].map(({ id }) => ({ price: id })), plan }
}

beforeAll(async () => {
  ;[stripe, postgres] = await Promise.all([startStripeProcess(), startPostgres()])
  sold = await sell()
  const env = {
    ...{ STRIPE_SECRET_KEY: 'sk_test_x', STRIPE_WEBHOOK_SECRET: stripe.webhookSecret },
    STRIPE_API_BASE: stripe.url,
  }
  const config = { packs: PACKS, plans: [sold.plan], post_wait_ms: 60_000 }
  world = await startFaultWorld({ postgres, env, config })
  gateways.push(...(await Promise.all([world.gateway(0), world.gateway(1)])))
  await stripe.control('demo-shop', { url: `${gateway().url}/webhooks/stripe` })
})
afterAll(async () => {
  await world.end()
  await postgres.stop()
  await stripe.stop()
})

/** The one that stays; the other one is killed. */
function gateway(): Gateway {
  const [first] = gateways
  if (first === undefined) throw new Error('no gateway')
  return first
}

const state = { begun: 0, stopped: false }
const outcomes: Outcome[] = []

/** What the n-th request is: mostly whole answers, some that fail on either side. */
async function request(n: number, customer: Customer): Promise<Outcome> {
  const to = gateways[n % gateways.length] ?? gateway()
  const whole = n % 2 === 0 ? JSON_MODEL : STREAM_MODEL
  const model = n % 41 === 7 ? CUT_MODEL : n % 23 === 5 ? FAIL_MODEL : whole
  if (n % 13 !== 3) return startJob(to, customer.apiKey, model).ended
  const leaving = new AbortController()
  const job = startJob(to, customer.apiKey, STREAM_MODEL, {}, leaving.signal)
  setTimeout(
    () => {
      leaving.abort()
    },
    (n * 7) % 60,
  )
  return job.ended
}

async function lane(customer: Customer | undefined): Promise<void> {
  if (customer === undefined) throw new Error('nobody to ask')
  while (state.begun < REQUESTS) {
    state.begun += 1
    const outcome = await request(state.begun, customer)
    outcomes.push(outcome)
    if (outcome.end !== 'complete') await delay(20)
  }
}

const checkout = z.object({ session_id: z.string() })

async function buy({ apiKey }: Customer): Promise<void> {
  const urls = { success_url: 'https://shop.example/', cancel_url: 'https://shop.example/' }
  const answer = await fetch(`${gateway().url}/farebox/v1/checkout`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}` },
    body: JSON.stringify({ pack: 'starter', ...urls }),
  })
  const { session_id: session } = checkout.parse(await answer.json())
  await stripe.control('pay', { session, method: 'pm_card_visa' })
}

async function refund(nth: number): Promise<void> {
  const { data } = await stripe.stripe.paymentIntents.list({ limit: 100 })
  const paid = data.filter(({ status, amount }) => status === 'succeeded' && amount !== 2_000)
  const one = paid[nth % Math.max(1, paid.length)]
  if (one === undefined) return
  await stripe.stripe.refunds.create({ payment_intent: one.id, amount: 100 + nth })
}

/** Purchases and refunds, their events delivered with faults. What fails for a fault is left. */
async function shop(customers: readonly Customer[]): Promise<void> {
  for (let turn = 0; !state.stopped; turn += 1) {
    const kind = WEBHOOK_FAULTS[turn % WEBHOOK_FAULTS.length]
    await stripe.control('webhook-fault', { kind, times: 3, seconds: 90_000 })
    const customer = customers[turn % customers.length]
    if (customer !== undefined) await buy(customer).catch(() => undefined)
    if (turn % 3 === 2) await refund(turn).catch(() => undefined)
    await delay(100)
  }
}

/** Nobody bought this one credits: beyond what is included all is overage, told to a meter. */
async function subscriber(): Promise<Customer & { readonly customer: string }> {
  const customer = (await stripe.stripe.customers.create({ name: 'Hybrid' })).id
  const { admin } = gateway()
  const made = await admin.call('POST', '/admin/v1/accounts', {
    ...{ name: 'Hybrid', stripe_customer_id: customer },
  })
  const { id: accountId } = z.object({ id: z.string() }).parse(await made.json())
  const { id: keyId, key: apiKey } = await admin.createKey(accountId)
  const method = await stripe.stripe.paymentMethods.attach('pm_card_visa', { customer })
  const { items } = sold
  await stripe.stripe.subscriptions.create({ customer, items, default_payment_method: method.id })
  await until(async () => (await admin.balance(apiKey)).posted.micros > 0)
  return { accountId, keyId, apiKey, customer }
}

/** What Stripe's own summaries have of a customer. */
async function told(customer: string): Promise<number> {
  const to = Math.ceil(Date.now() / 3_600_000) * 3_600
  const window = { customer, start_time: to - 7 * 86_400, end_time: to }
  const { data } = await stripe.stripe.billing.meters.listEventSummaries(sold.meter, window)
  return data.reduce((sum, one) => sum + one.aggregated_value, 0)
}

/** Usage is told when its hour is over: made so. What Stripe has in the end is what is owed. */
async function expectTold({ accountId, apiKey, customer }: Awaited<ReturnType<typeof subscriber>>) {
  const { overage } = await gateway().admin.balance(apiKey)
  const [row] = await world.sql(`SELECT sum(overage_micros)::bigint AS micros FROM meter_outbox
    WHERE account_id = '${accountId}'`)
  expect(Number(row?.micros)).toBe(overage.micros)
  const owed = Math.floor(overage.micros / 1_000_000)
  expect(owed).toBeGreaterThan(0)
  await world.sql("UPDATE meter_outbox SET used_at = used_at - interval '3 hours'")
  // Who was killed may have held the customer's lane: its lease is two minutes.
  await until(async () => (await told(customer)) === owed, 150_000)
  const waits = "SELECT FROM meter_reports WHERE state NOT IN ('sent', 'nothing')"
  await until(async () => (await world.sql(waits)).length === 0)
}

const reached = (count: number): Promise<boolean> =>
  until(() => outcomes.length >= Math.min(count, REQUESTS - LANES), 600_000)

/** Loses one thing after the other; none before what the one before left is taken up. */
async function breakThings(): Promise<void> {
  const faults = [
    () => world.redisServer.restart(),
    () => postgres.restart('QUIT'),
    async () => {
      const dying = gateways.pop()
      if (dying !== undefined) await world.kill(dying)
      await delay(LEASE_MS)
      gateways.push(await world.gateway(1))
    },
    () => world.redis.script('FLUSH'),
  ]
  for (let at = 1; at * (ROUND / 5) < REQUESTS; at += 1) {
    await reached(at * (ROUND / 5))
    await until(async () => (await metric(gateway(), 'farebox_backlog_receipts')) < LANES)
    await faults[at % faults.length]?.()
  }
}

/** Reconciliation as the program composes it, at a time when the quarantine is over. */
async function reconcileLater() {
  const clock: Clock = {
    ...systemClock,
    now: () => Date.now() + LATER_MS,
  }
  const [ids, log] = [makeIds(clock), silentLog]
  const db = openPostgres({ url: world.databaseUrl, poolMax: 4, log })
  const redis = openRedis({ url: world.redisServer.url, log })
  const engine = makeEngine({
    transport: makeRedisTransport({ nodes: oneNode(redis), scripts: readScripts() }),
    incarnations: makeIncarnations({ db, clock }),
    ...{ clock, ids, log: silentLog },
  })
  const accounts = makeAccounts({ db, clock, ids })
  const key = { secretKey: 'sk_test_x', webhookSecrets: [], apiBase: stripe.url }
  const billing = makeBilling({
    environment: { stripe: key, mode: 'test' },
    config: configSchema.parse({ packs: PACKS, plans: [sold.plan] }),
    ...{ db, accounts, hooks: countedHooks(), clock, ids, log, hints: makeHints() },
    reload: () => Promise.resolve(),
    tell: () => Promise.resolve(),
  })
  const never = () => Promise.reject(new Error('nothing is to be mended'))
  const operations = { verify: never, doctor: never, rebuild: never, recover: never }
  const tell = () => Promise.resolve()
  const api = makeStripe(key)
  const meters = makeReporting({
    ...{ db, ids, clock, log, stripe: api, random: Math.random, onCall: () => undefined },
    book: makeMeterOutbox({ meters: {}, plans: [] }).book,
    note: tell,
  })
  const entitle = makeEntitle({ db, ids, clock, books: makePlanBooks(), tell })
  const reconcile = makeReconciliation({
    core: { operations, entitle, cached: { of: () => [] }, stores: { db, engine } },
    ...{ stripe: billing?.books ?? null, meters, leaseMs: LEASE_MS, clock, ids, pauseMs: 0 },
  })
  try {
    const asked = { kind: 'manual', since_ms: null, fix: false } as const
    // The gateways have runs of their own.
    let run: Progress = await until(() => reconcile.begin(asked), 300_000)
    // One of them may carry this one on as well.
    const carryOn = async () => (await reconcile.step()) ?? (await reconcile.last())
    while (run.check !== null) run = await until(carryOn)
    return run
  } finally {
    await engine.close()
    await db.close()
  }
}

/** All that Stripe has told is worked off, whatever was lost on its way. */
async function deliverAll(): Promise<void> {
  for (const act of ['clear-faults', 'release', 'idle']) await stripe.control(act)
  const since = new Date(Date.now() - 3 * 3_600_000).toISOString()
  const synced = await gateway().admin.call('POST', '/admin/v1/stripe/sync', { since })
  expect(synced.status).toBe(200)
  // Leases of who was killed, and pauses after what failed, are over at once.
  await world.sql("UPDATE stripe_events SET due_at = now() WHERE state = 'pending'")
  const waiting = "SELECT type, state, outcome FROM stripe_events WHERE state <> 'done'"
  await until(async () => {
    expect(await world.sql(waiting)).toEqual([])
    return true
  }, 120_000)
}

test(
  `${REQUESTS} requests with faults on every side leave books in which nothing is found`,
  async () => {
    const customers = await Promise.all([1, 2, 3].map(() => gateway().admin.customer('1000')))
    const hybrid = await subscriber()
    const all = [...customers, hybrid]
    const lanes = Array.from({ length: LANES }, (_, at) => lane(all[at % all.length]))
    const load = Promise.all([...lanes, breakThings()]).finally(() => {
      state.stopped = true
    })
    await Promise.all([load, shop(customers)])
    await deliverAll()
    expect(outcomes).toHaveLength(REQUESTS)
    expect(countOf(outcomes, 'complete')).toBeGreaterThan(REQUESTS / 2)
    expect(countOf(outcomes, 'broken')).toBeGreaterThan(REQUESTS / 50)
    await expectBooks(world, gateway(), all, outcomes)
    await expectTold(hybrid)
    const sold = await world.sql(
      "SELECT movement_type FROM ledger_entries WHERE reference_type = 'sale'",
    )
    const moved = new Set(sold.map((row) => row.movement_type))
    expect([...moved].toSorted()).toEqual(['grant', 'refund'])
    expect(await reconcileLater()).toMatchObject({ check: null, found: 0, fixed: 0 })
    expect(await verify(gateway())).toMatchObject({ ok: true, breaches: [], undecided: [] })
    expect(await findingsOf(world)).toEqual([])
    // The same look finds what is wrong by one micro, and usage that Stripe has and we do not know of.
    await world.sql(`UPDATE accounts SET posted_micros = posted_micros + 1
      WHERE id = '${customers[0]?.accountId ?? ''}';
      UPDATE meter_reports SET state = 'refused', sent_at = NULL WHERE state = 'sent'`)
    expect((await reconcileLater()).found).toBeGreaterThan(1)
    const kinds = (await findingsOf(world)).map(({ kind }) => kind)
    expect(kinds).toEqual(expect.arrayContaining(['ledger_balance', 'meter_summary_differs']))
  },
  300_000 + REQUESTS * 100,
)
