import { afterAll, beforeAll, expect, test } from 'vitest'
import { idOf } from '../../src/billing/stripe.ts'
import { expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { makeSimWorld, SOLD, type SimWorld } from './sim-world.ts'

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

/** Somebody who has bought a plan, and changes it in the customer portal. */
async function subscriber(plan: 'small' | 'large' | 'year') {
  const account = await sim.account()
  const opened = await sim.billing.checkouts.open(account, {
    item: { kind: 'plan', id: plan },
    ...{ successUrl: 'https://x.example/', cancelUrl: 'https://x.example/', requestKey: null },
  })
  if ('ok' in opened) throw new Error(opened.message)
  const session = opened.sessionId ?? ''
  await sim.stripe.control('pay', { session })
  const { checkout, subscriptions } = sim.stripe.stripe
  const id = idOf((await checkout.sessions.retrieve(session)).subscription) ?? ''
  const item = async () => (await subscriptions.retrieve(id)).items.data[0]
  const first = await item()
  return {
    id,
    accountId: account.id,
    endS: first?.current_period_end ?? 0,
    startS: first?.current_period_start ?? 0,
    pick: (price: string) => sim.pickInPortal(account.id, id, price),
    priceNow: async () => (await item())?.price.id,
    /** The plan, the credits, and what is against the invariants. */
    async stands() {
      for (const name of ['clear-faults', 'release', 'idle']) await sim.stripe.control(name)
      await sim.drain()
      if ((await sim.billing.inbox.backlog()).pending > 0) await sim.rest()
      await sim.turn()
      const { entitlements } = await sim.entitle.read(account.id, sim.clock.now())
      const posted = Number((await sim.books.balance(account.id))?.postedMicros ?? 0)
      return [entitlements.planId, posted / 1_000_000, await sim.breaches(account.id)]
    },
  }
}

const HOUR_S = 3_600
const reach = (toS: number) => sim.stripe.control('advance', { to: toS })

test('a smaller plan is had when the period ends and not before, its credits when it is paid', async () => {
  const who = await subscriber('large')
  await sim.stripe.advance(10)
  for (const kind of ['reorder', 'duplicate']) {
    await sim.stripe.control('webhook-fault', { kind, times: 4 })
  }
  await who.pick(sim.prices.small)
  expect(await who.stands()).toEqual(['large', SOLD.large, []])
  await reach(who.endS - 3 * HOUR_S)
  expect(await who.stands()).toEqual(['large', SOLD.large, []])
  expect(await who.priceNow()).toBe(sim.prices.large)
  // The new period's invoice is a draft for an hour. A large plan's credits roll over.
  await reach(who.endS + 60)
  expect(await who.stands()).toEqual(['small', SOLD.large, []])
  await reach(who.endS + 2 * HOUR_S)
  expect(await who.stands()).toEqual(['small', SOLD.large + SOLD.small, []])
  await sim.stripe.advance(40)
  expect(await who.stands()).toEqual(['small', SOLD.small, []])
  const events = await own.db.query(
    `SELECT type, outcome FROM stripe_events
     WHERE type LIKE 'subscription_schedule.%' AND payload LIKE $1 ORDER BY type`,
    [`%${who.id}%`],
  )
  expect(events).toEqual(
    ['created', 'released', 'updated'].map((end) => ({
      ...{ type: `subscription_schedule.${end}`, outcome: 'nothing to do' },
    })),
  )
  await expectSound(own.db)
})

test('a change that waits is taken back by picking the plan that is there', async () => {
  const who = await subscriber('large')
  await who.pick(sim.prices.small)
  await sim.stripe.advance(3)
  await who.pick(sim.prices.large)
  await reach(who.endS + 2 * HOUR_S)
  expect(await who.stands()).toEqual(['large', 2 * SOLD.large, []])
})

test('a larger plan is paid and granted at once, though a smaller one was waiting', async () => {
  const who = await subscriber('small')
  await sim.stripe.advance(5)
  await who.pick(sim.prices.large)
  const more = SOLD.large - SOLD.small
  const share = (who.endS - sim.clock.now() / 1000) / (who.endS - who.startS)
  const granted = SOLD.small + Math.round(more * share * 1_000_000) / 1_000_000
  expect(await who.stands()).toEqual(['large', granted, []])
  await who.pick(sim.prices.small)
  await who.pick(sim.prices.year)
  expect((await who.stands())[0]).toBe('year')
  await who.pick(sim.prices.small)
  await sim.stripe.stripe.subscriptions.cancel(who.id)
  expect(await who.stands()).toEqual([null, 0, []])
})

test('a shorter interval waits for the end of the longer one', async () => {
  // A year of the others would be long.
  const { subscriptions } = sim.stripe.stripe
  for (const { id } of (await subscriptions.list()).data) await subscriptions.cancel(id)
  const who = await subscriber('year')
  await who.pick(sim.prices.small)
  expect(await who.stands()).toEqual(['year', SOLD.year, []])
  await reach(who.endS - 3 * HOUR_S)
  expect(await who.stands()).toEqual(['year', SOLD.year, []])
  await reach(who.endS + 8 * HOUR_S)
  expect((await who.stands())[0]).toBe('small')
  await sim.stripe.advance(2)
  expect(await who.stands()).toEqual(['small', SOLD.small, []])
  await expectSound(own.db)
})
