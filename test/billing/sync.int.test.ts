import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeSync } from '../../src/billing/sync.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { makeRechargeWorld, START_MS, type RechargeWorld } from './recharge-world.ts'
import { snapshot } from './support.ts'

let own: TestDb
let world: RechargeWorld
beforeAll(async () => {
  own = await testDb('postgres', 12)
  world = await makeRechargeWorld(own.db)
})
afterAll(async () => {
  await world.stop()
  await own[Symbol.asyncDispose]()
})

test('a sync that takes not all says where the next one goes on, until all have come', async () => {
  for (let at = 0; at < 7; at += 1) {
    await world.pass(10)
    await world.stripe.customers.create({ name: `c${at}` })
  }
  const { stripe, clock } = world
  const { inbox } = world.inbox
  const sync = makeSync({ stripe, inbox, mode: 'test', clock, max: 3 })
  const all = await world.stripe.events.list({ limit: 100 })
  const bounds = []
  let until: number | null = null
  do {
    const { moreBeforeMs } = await sync(START_MS, until)
    until = moreBeforeMs
    if (until !== null) bounds.push(until)
  } while (until !== null && bounds.length < 20)
  expect(bounds.length).toBeGreaterThan(1)
  expect(bounds).toEqual(bounds.toSorted((a, b) => b - a))
  const kept = await own.db.query("SELECT id FROM stripe_events WHERE source = 'sync'")
  expect(kept.map(({ id }) => id).toSorted()).toEqual(all.data.map(({ id }) => id).toSorted())
})

test('the end of a thing that is gone is done; other news of it waits for a person', async () => {
  const gone = snapshot('invoice.deleted', 'in_draft')
  const paid = snapshot('invoice.paid', 'in_nowhere')
  for (const event of [gone, paid]) await world.inbox.deliver(event)
  await world.inbox.worker.drain()
  expect(await world.inbox.find(gone.id)).toMatchObject({ state: 'done', attempts: 1 })
  expect(await world.inbox.find(paid.id)).toMatchObject({ state: 'pending', attempts: 1 })
})
