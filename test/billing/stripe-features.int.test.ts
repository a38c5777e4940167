import { afterAll, beforeAll, expect, test } from 'vitest'
import { idOf } from '../../src/billing/stripe.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { makeSimWorld, type SimWorld } from './sim-world.ts'

let own: TestDb
let sim: SimWorld
beforeAll(async () => {
  own = await testDb('postgres', 12)
  sim = await makeSimWorld(own.db)
})
afterAll(async () => {
  await sim.stop()
  await own[Symbol.asyncDispose]()
})

const DAY_S = 86_400

/** A subscriber of the small plan, whose product gives `sso` and a feature that nobody mapped. */
async function subscriber() {
  const { stripe } = sim.stripe
  const { id } = await sim.account()
  const customer = (await stripe.customers.create({})).id
  await sim.accounts.change(id, { stripeCustomerId: customer }, 'test')
  const method = await stripe.paymentMethods.attach('pm_card_visa', { customer })
  const invoice_settings = { default_payment_method: method.id }
  await stripe.customers.update(customer, { invoice_settings })
  const items = [{ price: sim.prices.small }]
  const { id: subscription } = await stripe.subscriptions.create({ customer, items })
  return { id, customer, subscription }
}

const settle = async (seconds = 0): Promise<void> => {
  if (seconds > 0) await sim.stripe.control('advance', { seconds })
  await sim.stripe.control('idle')
  await sim.drain()
}
const features = async (id: string) =>
  (await sim.entitle.read(id, sim.clock.now())).entitlements.features
const stored = async (id: string) =>
  (await own.db.query('SELECT features FROM entitlements WHERE account_id = $1', [id]))[0]?.features

test('features of Stripe’s own join the plan’s, and go with it', async () => {
  const { stripe } = sim.stripe
  const product = idOf((await stripe.prices.retrieve(sim.prices.small)).product) ?? ''
  const before = await subscriber()
  await settle()
  expect(await stored(before.id)).toEqual({})
  for (const lookup_key of ['sso', 'unmapped']) {
    const feature = await stripe.entitlements.features.create({ name: 'F', lookup_key })
    await stripe.products.createFeature(product, { entitlement_feature: feature.id })
  }
  const who = await subscriber()
  await settle()
  expect(await stored(who.id)).toEqual({ sso: true, seats: 50 })
  expect(await sim.breaches(who.id)).toEqual([])

  // Told of by nothing but the subscription: the summary's event was lost.
  const types = ['entitlements.active_entitlement_summary.updated']
  await sim.stripe.control('webhook-fault', { kind: 'drop', times: 9, types })
  await stripe.subscriptions.update(before.subscription, { metadata: { a: 'b' } })
  await settle()
  expect(await stored(before.id)).toEqual({ sso: true, seats: 50 })
  await sim.stripe.control('clear-faults')

  await stripe.subscriptions.cancel(who.subscription)
  await settle()
  expect(await stored(who.id)).toEqual({})

  // Never paid again: the ladder takes them with the plan, though Stripe still grants them.
  const declined = await stripe.paymentMethods.attach('pm_card_chargeCustomerFail', {
    customer: before.customer,
  })
  const invoice_settings = { default_payment_method: declined.id }
  await stripe.customers.update(before.customer, { invoice_settings })
  await sim.stripe.control('settings', { dunning_end: 'past_due' })
  await settle(33 * DAY_S)
  expect(await features(before.id)).toEqual({ sso: true, seats: 50 })
  await settle(8 * DAY_S)
  await sim.turn()
  expect(await features(before.id)).toEqual({})
  const { data } = await stripe.entitlements.activeEntitlements.list({ customer: before.customer })
  expect(data).toHaveLength(2)
})

test('are read from the event of the summary alone, which has no id', async () => {
  const types = ['customer.subscription.created', 'customer.subscription.updated']
  await sim.stripe.control('webhook-fault', { kind: 'drop', times: 99, types })
  const who = await subscriber()
  await settle()
  await sim.stripe.control('clear-faults')
  expect(await stored(who.id)).toEqual({ sso: true, seats: 50 })
})

test('duplicates, late and concurrent events of it end with what Stripe says now', async () => {
  const { stripe } = sim.stripe
  const who = await subscriber()
  await settle()
  await sim.stripe.control('hold')
  await stripe.subscriptions.cancel(who.subscription)
  const items = [{ price: sim.prices.small }]
  await stripe.subscriptions.create({ customer: who.customer, items })
  await sim.stripe.control('release', { copies: 3, concurrent: true })
  await settle()
  expect(await features(who.id)).toEqual({ sso: true, seats: 50 })
  expect(await sim.breaches(who.id)).toEqual([])
})

test('a customer that was deleted ends its subscription, whose features nobody can list', async () => {
  const { stripe } = sim.stripe
  const who = await subscriber()
  await settle()
  expect(await stored(who.id)).toEqual({ sso: true, seats: 50 })
  await stripe.customers.del(who.customer)
  await settle()
  const left = await own.db.query(
    `SELECT type, outcome FROM stripe_events WHERE state <> 'done' AND object_id = $1`,
    [who.subscription],
  )
  expect(left).toEqual([])
  expect(await stored(who.id)).toEqual({})
})
