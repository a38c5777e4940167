import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { subjectOf } from '../../src/billing/effects/subject.ts'
import { readEvent } from '../../src/billing/event.ts'
import { makeSync, type SyncReport } from '../../src/billing/sync.ts'
import { eventOf, objectLists } from '../../src/billing/sync-objects.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import {
  makeRechargeWorld,
  PACK,
  PRICE_CENTS,
  START_MS,
  type RechargeWorld,
} from './recharge-world.ts'
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

test('what is told as thin events only is fetched too, and once', async () => {
  const meter = await world.stripe.billing.meters.create({
    ...{ display_name: 'credits', event_name: 'sync_credits' },
    default_aggregation: { formula: 'sum' },
  })
  const sinceMs = world.clock.now()
  await world.stripe.billing.meterEvents.create({
    ...{ event_name: meter.event_name, identifier: 'sync_1' },
    payload: { stripe_customer_id: 'cus_nobody', value: '1' },
  })
  await world.pass(3_600)
  const { stripe, clock } = world
  const sync = makeSync({ stripe, inbox: world.inbox.inbox, mode: 'test', clock })
  await sync(sinceMs, null)
  const kept = () =>
    own.db.query(
      `SELECT type, source, is_thin FROM stripe_events
       WHERE type = 'v1.billing.meter.error_report_triggered'`,
    )
  const report = { type: 'v1.billing.meter.error_report_triggered', source: 'sync', is_thin: true }
  expect(await kept()).toEqual([report])
  expect(await sync(sinceMs, null)).toMatchObject({ added: 0 })
  expect(await kept()).toEqual([report])
})

describe('of a time that Stripe has no events of any more', () => {
  const DAY_S = 86_400
  const sync = (sinceMs: number, max?: number) => {
    const { stripe, clock } = world
    const limit = max === undefined ? {} : { max }
    return makeSync({ stripe, inbox: world.inbox.inbox, mode: 'test', clock, ...limit })(
      sinceMs,
      null,
    )
  }
  const syncAll = async (sinceMs: number, max: number) => {
    const { stripe, clock } = world
    const one = makeSync({ stripe, inbox: world.inbox.inbox, mode: 'test', clock, max })
    const reports: SyncReport[] = []
    for (let until: number | null = null; reports.length < 50;) {
      const report: SyncReport = await one(sinceMs, until)
      reports.push(report)
      until = report.moreBeforeMs
      if (until === null) break
    }
    return reports
  }
  const work = async () => {
    // What is worked on by another clock must be due by that too.
    world.inbox.advance(Math.max(0, world.clock.now() - world.inbox.clock.now()))
    await world.inbox.worker.drain()
  }

  test('payments, refunds and recharges are found by themselves, and once', async () => {
    const { id, account, customer } = await world.account(null, null)
    const item = { kind: 'pack', id: 'starter' } as const
    const urls = { successUrl: 'https://a.example/', cancelUrl: 'https://a.example/' }
    const opened = await world.one.checkouts.open(account, { item, ...urls, requestKey: null })
    if ('ok' in opened) throw new Error(opened.message)
    await world.control('pay', { session: opened.sessionId, method: 'pm_card_visa' })
    const sinceMs = world.clock.now()
    await world.pass(40 * DAY_S)
    const first = await sync(sinceMs)
    expect(first.objects.added).toBeGreaterThan(0)
    expect(first.moreBeforeMs).toBeNull()
    await work()
    expect(await world.posted(id)).toBe(PACK)

    const again = await sync(sinceMs)
    expect(again).toMatchObject({ added: 0, objects: { seen: first.objects.seen, added: 0 } })

    const [intent] = await world.intents(customer)
    await world.stripe.refunds.create({ payment_intent: intent?.id ?? '', amount: PRICE_CENTS / 2 })
    const refundedMs = world.clock.now()
    await world.pass(40 * DAY_S)
    expect((await sync(refundedMs)).objects.added).toBeGreaterThan(0)
    await work()
    expect(await world.posted(id)).toBe(PACK / 2)
    expect((await sync(refundedMs)).objects.added).toBe(0)
  })

  test('a dispute that was won since is looked at again', async () => {
    const { id, account } = await world.account(null, null)
    const item = { kind: 'pack', id: 'starter' } as const
    const urls = { successUrl: 'https://a.example/', cancelUrl: 'https://a.example/' }
    const opened = await world.one.checkouts.open(account, { item, ...urls, requestKey: null })
    if ('ok' in opened) throw new Error(opened.message)
    const sinceMs = world.clock.now()
    await world.control('pay', { session: opened.sessionId, method: 'pm_card_createDispute' })
    await world.pass(40 * DAY_S)
    await sync(sinceMs)
    await work()
    expect(await world.posted(id)).toBe(0)
    const dispute = (await world.stripe.disputes.list({ limit: 1 })).data[0]?.id ?? ''
    await world.control('dispute', { dispute, action: 'win' })
    const wonMs = world.clock.now()
    await world.pass(40 * DAY_S)
    expect((await sync(wonMs)).objects.added).toBe(1)
    await work()
    expect(await world.posted(id)).toBe(PACK)
  })

  test('a sync that takes not all of it says where the next one goes on', async () => {
    const sinceMs = world.clock.now()
    const made = []
    for (let at = 0; at < 5; at += 1) {
      await world.pass(10)
      const { id } = await world.stripe.paymentIntents.create({ amount: 500, currency: 'usd' })
      made.push(id)
    }
    await world.pass(40 * DAY_S)
    expect((await syncAll(sinceMs, 2)).length).toBeGreaterThan(2)
    const kept = await own.db.query(
      "SELECT object_id FROM stripe_events WHERE object_id = ANY ($1) AND id LIKE 'sync%'",
      [made],
    )
    expect(kept.map((row) => row.object_id).toSorted()).toEqual(made.toSorted())
  })

  test('objects of the last weeks are told by their events alone', async () => {
    const sinceMs = world.clock.now()
    await world.stripe.paymentIntents.create({ amount: 500, currency: 'usd' })
    expect((await sync(sinceMs)).objects).toEqual({ seen: 0, added: 0 })
  })

  test('every list of objects leads to something that is looked at', () => {
    for (const { type } of objectLists(world.stripe)) {
      expect(subjectOf(type, 'x_1'), type).not.toBeNull()
      const listed = { id: 'x_1', created: 1_800_000_000, endedAt: null, state: ['a', 1] }
      const event = readEvent(eventOf(type, listed, false))
      expect(event).toMatchObject({ type, objectId: 'x_1', livemode: false, isThin: false })
      const changed = { ...listed, state: ['a', 2] }
      expect(readEvent(eventOf(type, changed, false))?.id).not.toBe(event?.id)
      expect(eventOf(type, listed, false)).toBe(eventOf(type, { ...listed }, false))
    }
  })
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
