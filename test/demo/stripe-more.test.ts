import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { portalFeatures } from '../../src/billing/portal-settings.ts'
import { readPrice } from '../../src/billing/inspect.ts'
import { idOf } from '../../src/billing/stripe.ts'
import { customerWith, makeStripeWorld, recurringPrice, type StripeWorld } from './stripe-world.ts'

let world: StripeWorld

beforeEach(async () => {
  world = await makeStripeWorld()
})

afterEach(async () => {
  expect(await world.stop()).toEqual([])
})

test('settings of the customer portal are kept, changed in part, and told as Stripe does', async () => {
  const { stripe } = world
  const { configurations, sessions } = stripe.billingPortal
  const prices = [await recurringPrice(world), await recurringPrice(world, 20_000, 'year')]
  const features = portalFeatures(prices.map(readPrice))
  const made = await configurations.create({ features, metadata: { farebox: 'portal' } })
  expect(made).toMatchObject({ active: true, is_default: false })
  expect(made.features.subscription_update.products).toBeUndefined()
  const expand = ['data.features.subscription_update.products']
  const listed = (await configurations.list({ expand })).data.find(({ id }) => id === made.id)
  expect(listed?.features.subscription_update.products).toHaveLength(2)
  await configurations.update(made.id, { features: { invoice_history: { enabled: false } } })
  const now = await configurations.retrieve(made.id)
  expect(now.features.invoice_history.enabled).toBe(false)
  expect(now.features.payment_method_update.enabled).toBe(true)
  expect(now.metadata).toEqual({ farebox: 'portal' })
  const customer = (await customerWith(world)).id
  const asked = { customer, configuration: made.id }
  const session = await sessions.create({ ...asked, return_url: 'https://x.example/"><b>' })
  expect(session.configuration).toBe(made.id)
  const page = await (await fetch(session.url)).text()
  expect(page).toContain(customer)
  expect(page).not.toContain('"><b>')
  await configurations.update(made.id, { active: false })
  expect((await configurations.list({ active: true })).data).toMatchObject([{ is_default: true }])
  await expect(sessions.create(asked)).rejects.toThrow(/inactive/)
})

test('features of products are entitlements of who is subscribed, told as they change', async () => {
  const { stripe } = world
  const price = await recurringPrice(world)
  const product = idOf(price.product) ?? ''
  const lookupKeys = Array.from({ length: 12 }, (_, at) => `feature-${at + 10}`)
  for (const lookup_key of lookupKeys) {
    const feature = await stripe.entitlements.features.create({ name: 'F', lookup_key })
    await stripe.products.createFeature(product, { entitlement_feature: feature.id })
  }
  expect((await stripe.products.listFeatures(product, { limit: 100 })).data).toHaveLength(12)
  const { id: customer } = await customerWith(world)
  await world.news()
  const it = await stripe.subscriptions.create({ customer, items: [{ price: price.id }] })
  const news = async () =>
    (await world.news()).filter((type) => type.startsWith('entitlements.')).length
  expect(await news()).toBe(1)
  const active = () =>
    stripe.entitlements.activeEntitlements
      .list({ customer, limit: 5 })
      .autoPagingToArray({ limit: 100 })
  expect((await active()).map((one) => one.lookup_key).sort()).toEqual(lookupKeys)
  const told = world.events.findLast(({ type }) => type.startsWith('entitlements.'))
  expect(told?.data.object).toMatchObject({ customer, entitlements: { has_more: true } })
  await stripe.subscriptions.update(it.id, { cancel_at_period_end: true })
  expect(await news()).toBe(0)
  await stripe.subscriptions.cancel(it.id)
  expect(await news()).toBe(1)
  expect(await active()).toEqual([])
  await stripe.customers.del(customer)
})

describe('a change that waits for its payment', () => {
  async function change() {
    const { stripe } = world
    const [small, large] = [await recurringPrice(world), await recurringPrice(world, 6_000)]
    const { id: customer } = await customerWith(world)
    const items = [{ price: small.id }]
    const it = await stripe.subscriptions.create({ customer, items })
    const declined = await stripe.paymentMethods.attach('pm_card_chargeCustomerFail', { customer })
    const invoice_settings = { default_payment_method: declined.id }
    await stripe.customers.update(customer, { invoice_settings })
    await world.advance(10)
    await world.news()
    const changed = await stripe.subscriptions.update(it.id, {
      items: [{ id: it.items.data[0]?.id ?? '', price: large.id }],
      payment_behavior: 'pending_if_incomplete',
      proration_behavior: 'always_invoice',
    })
    const priceNow = async () => {
      const { items, status, pending_update } = await stripe.subscriptions.retrieve(it.id)
      return [items.data[0]?.price.id, status, pending_update === null]
    }
    return { small, large, changed, priceNow, invoice: idOf(changed.latest_invoice) ?? '' }
  }

  test('takes place when that is paid, and puts nothing at stake before', async () => {
    const { small, large, changed, priceNow, invoice } = await change()
    expect(changed.pending_update?.subscription_items).toMatchObject([{ price: { id: large.id } }])
    expect(await priceNow()).toEqual([small.id, 'active', false])
    const news = await world.news()
    expect(news).toContain('invoice.payment_failed')
    expect(news.filter((type) => type === 'customer.subscription.updated')).toHaveLength(1)
    const paid = await world.stripe.invoices.pay(invoice, { payment_method: 'pm_card_visa' })
    expect(paid.status).toBe('paid')
    expect(await priceNow()).toEqual([large.id, 'active', true])
    const then = await world.news()
    expect(then).toContain('customer.subscription.pending_update_applied')
    await world.advance(2)
    expect(await priceNow()).toEqual([large.id, 'active', true])
    await world.advance(20)
    expect((await world.news()).filter((type) => type.includes('pending_update'))).toEqual([])
  })

  test('is dropped after 23 hours, with its invoice', async () => {
    const { small, priceNow, invoice } = await change()
    await world.advance(22 / 24)
    expect(await priceNow()).toEqual([small.id, 'active', false])
    await world.advance(1 / 12)
    expect(await priceNow()).toEqual([small.id, 'active', true])
    expect((await world.stripe.invoices.retrieve(invoice)).status).toBe('void')
    expect(await world.news()).toContain('customer.subscription.pending_update_expired')
  })
})

test('a card that its network renewed pays again, and that is told by an event of its own', async () => {
  const { stripe } = world
  const customer = await customerWith(world, 'pm_card_chargeDeclinedExpiredCard')
  const payment_method = idOf(customer.invoice_settings.default_payment_method) ?? ''
  const [method] = (await stripe.paymentMethods.list({ customer: customer.id })).data
  const charge = () =>
    stripe.paymentIntents.create({
      ...{ amount: 500, currency: 'usd', customer: customer.id, off_session: true, confirm: true },
      payment_method: method?.id ?? payment_method,
    })
  await expect(charge()).rejects.toMatchObject({ code: 'expired_card' })
  await world.news()
  await world.control('renew-card', { payment_method: method?.id })
  expect(await world.news()).toEqual(['payment_method.automatically_updated'])
  const renewed = await stripe.paymentMethods.retrieve(method?.id ?? '')
  expect(renewed.card?.exp_year).toBe((method?.card?.exp_year ?? 0) + 4)
  expect((await charge()).status).toBe('succeeded')
})
