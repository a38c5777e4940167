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

const stateOf = (id: string) => world.inbox.find(id)
const goneFindings = (objectId: string) =>
  own.db.query("SELECT severity FROM findings WHERE kind = 'stripe_object_gone' AND subject = $1", [
    objectId,
  ])

test.each([
  'invoice.created',
  'invoice.updated',
  'invoice.deleted',
  'invoice.finalization_failed',
  'customer.subscription.deleted',
])('%s of what was deleted meanwhile is done at once', async (type) => {
  const gone = snapshot(type, `in_draft_${type.replaceAll('.', '_')}`)
  await world.inbox.deliver(gone)
  await world.inbox.worker.drain()
  expect(await stateOf(gone.id)).toMatchObject({
    ...{ state: 'done', attempts: 1, outcome: 'Stripe has it no more' },
  })
  expect(await goneFindings(gone.data.object.id ?? '')).toEqual([])
})

test.each([
  ['invoice.paid', 'in_nowhere', 'urgent'],
  ['checkout.session.completed', 'cs_nowhere', 'urgent'],
  ['refund.updated', 're_nowhere', 'review'],
])('%s of what Stripe has not is looked for again, then done and told', async (...one) => {
  const [type, objectId, severity] = one
  const event = snapshot(type, objectId)
  await world.inbox.deliver(event)
  await world.inbox.worker.drain()
  expect(await stateOf(event.id)).toMatchObject({ state: 'pending', attempts: 1 })
  expect(await goneFindings(objectId)).toEqual([])
  for (let tries = 0; tries < 8; tries += 1) {
    world.inbox.advance(60_000)
    await world.inbox.worker.drain()
  }
  expect(await stateOf(event.id)).toMatchObject({
    ...{ state: 'done', attempts: 5, outcome: 'Stripe has it no more' },
  })
  expect(await goneFindings(objectId)).toEqual([{ severity }])
})
