import { afterEach, beforeEach, expect, test } from 'vitest'
import { portalFeatures } from '../../src/billing/portal-settings.ts'
import { readPrice } from '../../src/billing/inspect.ts'
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
