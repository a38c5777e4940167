import { afterEach, beforeEach, expect, test } from 'vitest'
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
  expect((await sessions.create(asked)).configuration).toBe(made.id)
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
