import Stripe from 'stripe'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { THIN_EVENTS } from '../../src/billing/handled-events.ts'
import { makeInspect } from '../../src/billing/inspect.ts'
import { priceVariable, setUpStripe, type SetupAsked } from '../../src/billing/setup.ts'
import { makeOpenPortal } from '../../src/billing/portal.ts'
import { makeStripe } from '../../src/billing/stripe.ts'
import { text } from '../../src/demo/stripe/json.ts'
import { serveStripe, type StripeSimulator } from '../../src/demo/stripe/server.ts'
import { PORTAL_FOUND_MS } from '../../src/kernel/limits/stripe.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { checkStripe, type StripeExpected } from '../../src/reconcile/doctor-stripe.ts'

const KEY = 'sk_test_setup'
let sim: StripeSimulator
let stripe: Stripe
beforeAll(async () => {
  sim = await serveStripe({ port: 0, seed: 5, frozenAtS: null, wallMs: Date.now })
  stripe = makeStripe({ secretKey: KEY, apiBase: sim.simulator.world.base })
})
afterAll(() => sim.stop())

const catalogue = [
  { lookup_key: 'starter', name: '1 000 credits', amount: 1_000, currency: 'usd' },
  { lookup_key: 'pro-month', name: 'Pro', amount: 2_000, currency: 'usd', interval: 'month' },
  { lookup_key: 'pro-year', name: 'Pro', amount: 20_000, currency: 'usd', interval: 'year' },
] as const
const asked: SetupAsked = {
  catalogue,
  meters: ['ai_credits'],
  planPrices: ['price_STRIPE_PRICE_PRO_MONTH', 'price_STRIPE_PRICE_PRO_YEAR'],
  url: 'https://farebox.example',
  isDryRun: false,
}
const HOOK = 'https://farebox.example/webhooks/stripe'

const expectedOf = (
  prices: Readonly<Record<string, string>>,
  fields: Partial<StripeExpected> = {},
): StripeExpected => ({
  ...{ mode: 'test', secretKey: KEY, webhookSecrets: 1 },
  meters: [{ eventName: 'ai_credits', dimensions: [] }],
  packs: [{ id: 'starter', stripe_price: prices[priceVariable('starter')] ?? 'price_none' }],
  plans: [
    {
      id: 'pro',
      stripe_prices: ['pro-month', 'pro-year'].map(
        (name) => prices[priceVariable(name)] ?? 'price_none',
      ),
    },
  ],
  inspect: makeInspect(stripe),
  ...fields,
})
const problems = async (expected: StripeExpected) =>
  (await checkStripe(expected)).filter(({ status }) => status !== 'ok')

test('what is missing is told by a dry run and the doctor, made once, and found again', async () => {
  const dry = await setUpStripe(stripe, { ...asked, isDryRun: true })
  expect(dry.steps.filter(({ action }) => action === 'missing')).toHaveLength(10)
  expect((await stripe.prices.list()).data).toEqual([])
  expect((await stripe.webhookEndpoints.list()).data).toEqual([])
  const names = (await problems(expectedOf({}))).map(({ check, status }) => [check, status])
  expect(names).toEqual([
    ['stripe webhook', 'warn'],
    ['stripe thin events', 'fail'],
    ['meter ai_credits', 'fail'],
    ...Array.from({ length: 3 }, () => ['stripe prices', 'fail']),
    ['stripe portal', 'warn'],
  ])

  const made = await setUpStripe(stripe, asked)
  expect(new Set(made.steps.map(({ action }) => action))).toEqual(new Set(['created']))
  const { STRIPE_WEBHOOK_SECRET: secrets = '', ...prices } = made.environment
  expect(secrets).toMatch(/^whsec_\w+,whsec_\w+$/)
  expect(Object.keys(prices)).toEqual([
    'STRIPE_PRICE_STARTER',
    'STRIPE_PRICE_PRO_MONTH',
    'STRIPE_PRICE_PRO_YEAR',
  ])
  expect(JSON.stringify(made)).not.toContain(KEY)
  expect(await problems(expectedOf(prices))).toEqual([])

  const again = await setUpStripe(stripe, asked)
  expect(new Set(again.steps.map(({ action }) => action))).toEqual(new Set(['found']))
  expect(again.environment).toEqual(prices)
  expect((await stripe.prices.list()).data).toHaveLength(3)
  expect((await stripe.products.list()).data).toHaveLength(3)
  expect((await stripe.webhookEndpoints.list()).data).toMatchObject([
    { url: HOOK, api_version: '2026-10-28.endive' },
  ])
  const thin = await stripe.v2.core.eventDestinations.list()
  expect(thin.data).toMatchObject([{ event_payload: 'thin', enabled_events: [...THIN_EVENTS] }])
})

test('what was changed by hand is told, and put right where that can be done', async () => {
  const { environment: prices } = await setUpStripe(stripe, asked)
  const [endpoint] = (await stripe.webhookEndpoints.list()).data
  await stripe.webhookEndpoints.update(endpoint?.id ?? '', {
    ...{ enabled_events: ['invoice.paid'], disabled: true },
  })
  await stripe.prices.update(prices.STRIPE_PRICE_STARTER ?? '', { active: false })
  const [meter] = (await stripe.billing.meters.list()).data
  await stripe.billing.meters.deactivate(meter?.id ?? '')
  const [thin] = (await stripe.v2.core.eventDestinations.list()).data
  await stripe.v2.core.eventDestinations.disable(thin?.id ?? '')
  expect((await problems(expectedOf(prices))).map(({ detail }) => detail)).toEqual([
    expect.stringContaining('disabled'),
    expect.stringContaining('unseen'),
    'the meter is not active',
    expect.stringContaining('archived'),
  ])
  const dear = catalogue.map((entry) => ({ ...entry, amount: entry.amount + 1 }))
  const differing = await setUpStripe(stripe, { ...asked, catalogue: dear.slice(1, 2) })
  expect(differing.steps[0]).toMatchObject({ kind: 'price', action: 'differs' })
  expect(differing.environment).not.toHaveProperty('STRIPE_PRICE_PRO_MONTH')
  expect(differing.steps.at(-1)).toMatchObject({ kind: 'portal', action: 'differs' })
  expect(differing.steps.filter(({ action }) => action === 'changed')).toHaveLength(2)
  const left = await problems(expectedOf(prices))
  expect(left.map(({ detail }) => detail)).toEqual([expect.stringContaining('archived')])
})

test('prices of the wrong kind, wrong keys and no Stripe are told in words without the key', async () => {
  const { environment: prices } = await setUpStripe(stripe, asked)
  const month = prices.STRIPE_PRICE_PRO_MONTH ?? ''
  const swapped = expectedOf(prices, { packs: [{ id: 'starter', stripe_price: month }] })
  expect((await problems(swapped)).map(({ detail }) => detail)).toContainEqual(
    expect.stringContaining('is recurring, which no pack is'),
  )
  const chosen = await stripe.prices.create({
    ...{ currency: 'usd', custom_unit_amount: { enabled: true }, product_data: { name: 'Tip' } },
  })
  const tips = expectedOf(prices, { packs: [{ id: 'starter', stripe_price: chosen.id }] })
  expect((await problems(tips)).map(({ detail }) => detail)).toContainEqual(
    expect.stringContaining('has no fixed amount'),
  )
  const live = makeStripe({ secretKey: 'sk_live_x', apiBase: sim.simulator.world.base })
  const refused = await problems(expectedOf(prices, { inspect: makeInspect(live) }))
  expect(refused).toMatchObject([{ check: 'stripe', status: 'fail' }])
  expect(JSON.stringify(refused)).not.toContain('sk_live_x')
  expect(await checkStripe(null)).toMatchObject([{ status: 'warn' }])
})

test.each([
  ['does not add up', { default_aggregation: { formula: 'last' } }, []],
  ['does not add up', { default_aggregation: { formula: 'count' } }, []],
  ['event_time_window', { event_time_window: 'hour' }, []],
  ['reads who itself', { customer_mapping: { event_payload_key: 'who', type: 'by_id' } }, ['who']],
  ['reads n itself', { value_settings: { event_payload_key: 'n' } }, ['model', 'n']],
] as const)('the doctor says that a meter %s', async (words, values, dimensions) => {
  const eventName = `m_${Math.random().toString(36).slice(2)}`
  await stripe.billing.meters.create({
    ...{ display_name: eventName, event_name: eventName },
    default_aggregation: { formula: 'sum' },
    ...values,
  })
  const found = await problems(expectedOf({}, { meters: [{ eventName, dimensions }] }))
  const told = found.find(({ check }) => check === `meter ${eventName}`)
  expect(told).toMatchObject({ status: 'fail', detail: expect.stringContaining(words) as unknown })
  const other = { eventName, dimensions: ['other'] }
  const again = await problems(expectedOf({}, { meters: [other] }))
  expect(again.some(({ check }) => check === `meter ${eventName}`)).toBe(dimensions.length === 0)
})

const expand = ['features.subscription_update.products']
const portals = async () =>
  (await stripe.billingPortal.configurations.list({ active: true, limit: 100 })).data.filter(
    ({ metadata }) => metadata?.farebox === 'portal',
  )

test('the portal lets customers do what is followed here, and is put right after changes by hand', async () => {
  const { environment: prices } = await setUpStripe(stripe, asked)
  const [made, ...more] = await portals()
  expect(more).toEqual([])
  const id = made?.id ?? ''
  const read = async () =>
    (await stripe.billingPortal.configurations.retrieve(id, { expand })).features
  const features = await read()
  expect(features).toMatchObject({
    invoice_history: { enabled: true },
    payment_method_update: { enabled: true },
    subscription_cancel: { enabled: true, mode: 'at_period_end' },
    subscription_pause: { enabled: false },
    subscription_update: {
      ...{ enabled: true, default_allowed_updates: ['price'] },
      products: [
        { product: 'farebox_pro-month', prices: [prices.STRIPE_PRICE_PRO_MONTH] },
        { product: 'farebox_pro-year', prices: [prices.STRIPE_PRICE_PRO_YEAR] },
      ],
      schedule_at_period_end: {
        conditions: [{ type: 'decreasing_item_amount' }, { type: 'shortening_interval' }],
      },
    },
  })
  await stripe.billingPortal.configurations.update(id, {
    features: { subscription_cancel: { mode: 'immediately' }, invoice_history: { enabled: false } },
  })
  const told = (await problems(expectedOf(prices))).find(({ check }) => check === 'stripe portal')
  expect(told).toMatchObject({
    status: 'warn',
    detail: 'otherwise than here: invoices, cancellation',
  })
  const dry = await setUpStripe(stripe, { ...asked, isDryRun: true })
  expect(dry.steps.at(-1)).toMatchObject({ kind: 'portal', action: 'differs', id })
  const mended = await setUpStripe(stripe, asked)
  expect(mended.steps.at(-1)).toMatchObject({ action: 'changed', todo: 'invoices, cancellation' })
  expect(await read()).toEqual(features)
  const only = await setUpStripe(stripe, { ...asked, planPrices: asked.planPrices.slice(1) })
  expect(only.steps.at(-1)).toMatchObject({ action: 'changed', todo: 'changes of plan' })
  expect((await read()).subscription_update.enabled).toBe(false)
  expect((await setUpStripe(stripe, asked)).steps.at(-1)).toMatchObject({ action: 'changed', id })
  expect(await portals()).toHaveLength(1)
})

test('of one product the portal offers one price for each rhythm, and none that is metered', async () => {
  const { id: product } = await stripe.products.create({ name: 'One' })
  const { id: meter } = await stripe.billing.meters.create({
    ...{ display_name: 'u', event_name: 'u', default_aggregation: { formula: 'sum' } },
  })
  const priceOf = async (recurring: Stripe.PriceCreateParams.Recurring, unit_amount = 5) => {
    const params = { product, currency: 'usd', unit_amount, recurring }
    return (await stripe.prices.create(params)).id
  }
  const [month, dear] = [
    await priceOf({ interval: 'month' }),
    await priceOf({ interval: 'month' }, 9),
  ]
  const quarter = await priceOf({ interval: 'month', interval_count: 3 })
  const used = await priceOf({ interval: 'month', usage_type: 'metered', meter })
  const planPrices = [used, month, dear, quarter]
  await setUpStripe(stripe, { ...asked, planPrices })
  const [made] = await portals()
  const { features } = await stripe.billingPortal.configurations.retrieve(made?.id ?? '', {
    expand,
  })
  const [one, ...others] = features.subscription_update.products ?? []
  expect(one).toMatchObject({ product, prices: [month, quarter] })
  expect(others).toEqual([])
})

test('portal sessions open with these settings, found again where they were replaced', async () => {
  await setUpStripe(stripe, asked)
  const { id: customer } = await stripe.customers.create({})
  let nowMs = 0
  const clock = { now: () => nowMs, monotonicMs: () => 0, after: () => () => undefined }
  const open = makeOpenPortal({ stripe, clock, log: silentLog })
  const { world } = sim.simulator
  const used = async () => {
    await open(customer, 'https://x.example/')
    return text(world.all('billing_portal.session').at(-1) ?? {}, 'configuration')
  }
  const [made] = await portals()
  expect(await used()).toBe(made?.id)
  // Somebody switches it off; the next setup makes another one.
  await stripe.billingPortal.configurations.update(made?.id ?? '', { active: false })
  expect(await used()).not.toBe(made?.id)
  await setUpStripe(stripe, asked)
  const [next] = await portals()
  nowMs += PORTAL_FOUND_MS
  expect(await used()).toBe(next?.id)
  expect(next?.id).not.toBe(made?.id)
})
