import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { freshDatabase, redisUrl } from '../support/stores.ts'
import { startStripeProcess, type StripeProcess } from '../support/stripe-process.ts'
import { until } from '../support/until.ts'
import { chatAnswer } from './support/answers.ts'
import { answerJson, startUpstream, type FakeUpstream } from './support/upstream.ts'

const MICROS = 1_000_000
const INCLUDED = 3
const OVERAGE_LIMIT = 4
const CREDIT_LIMIT = 5
const TOKENS = { input: 20, output: 10 }
const CLOCK = pathToFileURL(join(import.meta.dirname, '../support/moved-clock.ts')).href
const found = z.object({ data: z.array(z.looseObject({ kind: z.string() })) })
const POLL_MS = 60_000

let sim: StripeProcess
let upstream: FakeUpstream
let gateway: Gateway
let database: Awaited<ReturnType<typeof freshDatabase>>
let dir: string
let prices: { base: string; overage: string; tokens: string; calls: string }

/** Ahead of the wall: the gateway first, so that no event comes from its future. */
async function move(aheadMs: number, seconds: number): Promise<void> {
  writeFileSync(join(dir, 'clock'), String(aheadMs))
  await sim.control('advance', { seconds })
}

async function priceOf(name: string, more: object): Promise<string> {
  const made = await sim.stripe.prices.create({
    currency: 'usd',
    product_data: { name },
    recurring: { interval: 'month' },
    ...more,
  })
  return made.id
}
async function metered(event_name: string): Promise<string> {
  const meter = await sim.stripe.billing.meters.create({
    ...{ display_name: event_name, event_name, default_aggregation: { formula: 'sum' } },
  })
  const recurring = { interval: 'month', usage_type: 'metered', meter: meter.id }
  return priceOf(event_name, { unit_amount: 1, recurring })
}

/** Each request costs one credit, whatever is asked and answered. */
const config = () => ({
  credits: { per_usd: 100 },
  upstreams: {
    main: { protocol: 'openai', base_url: `${upstream.url}/v1`, api_key: 'sk-x', models: ['m-*'] },
  },
  prices: [{ upstream: 'main', model: '*', per_request_usd: '0.01' }],
  plans: [
    {
      ...{ id: 'hybrid', stripe_prices: [prices.base], included_credits: INCLUDED },
      overage: { meter: 'ai_credits', limit: OVERAGE_LIMIT },
    },
    {
      ...{ id: 'payg', stripe_prices: [prices.tokens] },
      usage: { meters: ['ai_tokens', 'ai_calls'], credit_limit: CREDIT_LIMIT },
    },
  ],
  meters: {
    ai_tokens: { unit: 'tokens' },
    ai_calls: { unit: 'requests', dimensions: { model: 'model' } },
  },
})

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'farebox-clock-'))
  writeFileSync(join(dir, 'clock'), '0')
  ;[sim, upstream, database] = await Promise.all([
    startStripeProcess(),
    startUpstream(),
    freshDatabase(),
  ])
  await sim.control('settings', { signature_clock: 'stripe' })
  prices = {
    base: await priceOf('Base', { unit_amount: 2_000 }),
    overage: await metered('ai_credits'),
    tokens: await metered('ai_tokens'),
    calls: await metered('ai_calls'),
  }
  gateway = await startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: config(),
    env: {
      STRIPE_SECRET_KEY: 'sk_test_x',
      STRIPE_WEBHOOK_SECRET: sim.webhookSecret,
      STRIPE_API_BASE: sim.url,
      NODE_OPTIONS: `--import ${CLOCK}`,
      TEST_CLOCK_FILE: join(dir, 'clock'),
    },
  })
  await sim.control('demo-shop', { url: `${gateway.url}/webhooks/stripe` })
  upstream.on('m-1', (call) => {
    answerJson(call, chatAnswer('m-1', 'Yes.', TOKENS))
  })
})
afterAll(async () => {
  await gateway.end()
  await Promise.all([sim.stop(), upstream.close(), database.drop()])
  rmSync(dir, { recursive: true, force: true })
})

const ledger = z.object({
  data: z.array(
    z.looseObject({ movement_type: z.string(), amount: z.object({ micros: z.number() }) }),
  ),
})

/** An account whose customer subscribes to some prices. */
async function subscriber(items: readonly string[]) {
  const customer = await sim.stripe.customers.create({ name: 'Payer' })
  const made = await gateway.admin.call('POST', '/admin/v1/accounts', {
    ...{ name: 'Payer', stripe_customer_id: customer.id },
  })
  const { id } = z.object({ id: z.string() }).parse(await made.json())
  const { key } = await gateway.admin.createKey(id)
  const method = await sim.stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id })
  const subscription = await sim.stripe.subscriptions.create({
    ...{ customer: customer.id, default_payment_method: method.id },
    items: items.map((price) => ({ price })),
  })
  const end = subscription.items.data[0]?.current_period_end ?? 0
  return {
    endMs: end * 1_000,
    customer: customer.id,
    subscription: subscription.id,
    balance: () => gateway.admin.balance(key),
    async ask(): Promise<number> {
      const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'm-1', messages: [{ role: 'user', content: 'Well?' }] }),
      })
      await answer.arrayBuffer()
      return answer.status
    },
    /** Until it is refused, or `most` times; answers the statuses. */
    async askUntilRefused(most: number): Promise<number[]> {
      const statuses: number[] = []
      while (statuses.length < most && statuses.at(-1) !== 402) statuses.push(await this.ask())
      return statuses
    },
    async billed(): Promise<number[]> {
      const answer = await gateway.admin.call('GET', `/admin/v1/accounts/${id}/ledger`)
      return ledger
        .parse(await answer.json())
        .data.flatMap((one) => (one.movement_type === 'billed' ? [one.amount.micros / MICROS] : []))
    },
    /** What Stripe's meters have of the customer, by event name. */
    async told(): Promise<Record<string, number>> {
      const { data } = await sim.stripe.billing.meters.list()
      const hour = 3_600
      const to = (Math.floor(end / hour) + 1) * hour
      const sums = data.map(async ({ id: meter, event_name }) => {
        const window = { customer: customer.id, start_time: to - 40 * 86_400, end_time: to }
        const found = await sim.stripe.billing.meters.listEventSummaries(meter, window)
        return [event_name, found.data.reduce((sum, one) => sum + one.aggregated_value, 0)] as const
      })
      return Object.fromEntries((await Promise.all(sums)).filter(([, sum]) => sum !== 0))
    },
    /** Quantities of the metered lines of the invoice that ended the first period. */
    async invoiced(): Promise<number[]> {
      const { data } = await sim.stripe.invoices.list({ subscription: subscription.id })
      const [newest] = data
      const metered = [prices.overage, prices.tokens, prices.calls]
      return (newest?.lines.data ?? []).flatMap(({ pricing, quantity }) =>
        metered.some((price) => price === pricing?.price_details?.price) ? [quantity ?? 0] : [],
      )
    },
  }
}
type Subscriber = Awaited<ReturnType<typeof subscriber>>

describe('plans with usage that Stripe bills', () => {
  let hybrid: Subscriber
  let payg: Subscriber
  beforeAll(async () => {
    hybrid = await subscriber([prices.base, prices.overage])
    payg = await subscriber([prices.tokens, prices.calls])
  })

  it('burns included credits first, then takes overage up to its limit', async () => {
    await until(async () => (await hybrid.balance()).available.micros > 0)
    expect(await hybrid.balance()).toMatchObject({ posted: { micros: INCLUDED * MICROS } })
    const statuses = await hybrid.askUntilRefused(20)
    const passed = statuses.filter((status) => status === 200).length
    expect([passed, statuses.at(-1)]).toEqual([INCLUDED + OVERAGE_LIMIT, 402])
    expect(await hybrid.balance()).toMatchObject({
      ...{ overage: { micros: OVERAGE_LIMIT * MICROS }, debt: { micros: 0 } },
    })
  })

  it('lets pay-as-you-go spend its credit limit without any credits', async () => {
    await until(async () => (await payg.ask()) === 200)
    const more = await payg.askUntilRefused(20)
    const passed = 1 + more.filter((status) => status === 200).length
    expect([passed, more.at(-1)]).toEqual([CREDIT_LIMIT, 402])
  })

  it('tells the meters when the period ends, without waiting for the hour', async () => {
    const endMs = Math.max(hybrid.endMs, payg.endMs)
    const seconds = Math.ceil((endMs - Date.now()) / 1_000) + 60
    await move(seconds * 1_000, seconds)
    await until(async () => (await hybrid.told()).ai_credits === OVERAGE_LIMIT, POLL_MS)
    const tokens = CREDIT_LIMIT * (TOKENS.input + TOKENS.output)
    await until(async () => (await payg.told()).ai_calls === CREDIT_LIMIT, POLL_MS)
    await until(async () => (await payg.told()).ai_tokens === tokens, POLL_MS)
    expect(await hybrid.told()).toEqual({ ai_credits: OVERAGE_LIMIT })
    expect(await payg.told()).toEqual({ ai_calls: CREDIT_LIMIT, ai_tokens: tokens })
    // The draft bills nothing yet.
    expect([await hybrid.billed(), await payg.billed()]).toEqual([[], []])
  })

  it('closes it with the final invoice, once, and lets them go on', async () => {
    const endMs = Math.max(hybrid.endMs, payg.endMs)
    const seconds = Math.ceil((endMs - Date.now()) / 1_000) + 3_600 + 120
    await move(seconds * 1_000, 3_600 + 60)
    await until(async () => (await hybrid.billed()).length === 1, POLL_MS)
    await until(async () => (await payg.billed()).length === 1, POLL_MS)
    expect(await hybrid.invoiced()).toEqual([OVERAGE_LIMIT])
    expect(await payg.invoiced()).toEqual([
      ...[CREDIT_LIMIT * (TOKENS.input + TOKENS.output), CREDIT_LIMIT],
    ])
    expect([await hybrid.billed(), await payg.billed()]).toEqual([[OVERAGE_LIMIT], [CREDIT_LIMIT]])
    const findings = await gateway.admin.call('GET', '/admin/v1/findings')
    const { data } = found.parse(await findings.json())
    // The clocks move one after the other: what is delivered between looks forged.
    expect(data.filter(({ kind }) => kind !== 'stripe_signature_failed')).toEqual([])
    // Redis keeps the wall's time, so what is used now is of the period before: asked at the end.
    await until(async () => (await hybrid.balance()).posted.micros === INCLUDED * MICROS, POLL_MS)
    await until(async () => (await payg.ask()) === 200, POLL_MS)
    await until(async () => (await hybrid.ask()) === 200, POLL_MS)
  })
})
