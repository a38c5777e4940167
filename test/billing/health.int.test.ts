import { expect, test } from 'vitest'
import { makeFindings } from '../../src/billing/findings.ts'
import { makeHealth } from '../../src/billing/health/health.ts'
import { judge } from '../../src/billing/health/rules.ts'
import type { DeliveryResult } from '../../src/billing/hooks.ts'
import { makeInbox } from '../../src/billing/inbox.ts'
import { BILLING_QUIET_MS } from '../../src/kernel/limits/stripe.ts'
import { notifyConfigSchema } from '../../src/notify/config.ts'
import { makeAlerts } from '../../src/notify/alerts.ts'
import { makeOutbox } from '../../src/notify/outbox.ts'
import { testDb } from '../store/databases.ts'
import { countedHooks, handClock, ids, snapshot } from './support.ts'

test.each([
  [{ stored: 198, not_stored: 2 }, []],
  [{ stored: 197, not_stored: 2 }, ['stripe_deliveries_unanswered']],
  [{ stored: 1, not_stored: 1 }, []],
  [{ stored: 150, not_stored: 1, malformed: 1 }, ['stripe_deliveries_unanswered']],
  [{ bad_signature: 1 }, ['stripe_signature_failed']],
  [{ stored: 95, duplicate: 5 }, []],
  [{ stored: 94, duplicate: 6 }, ['stripe_deliveries_repeated']],
  [{ stored: 9, duplicate: 9 }, []],
  [{ processed: 60, processed_late: 3 }, []],
  [{ processed: 59, processed_late: 3 }, ['stripe_processing_late']],
  [{ processed: 2, processed_late: 2 }, []],
  [{ usable: 3, usable_late: 3 }, ['stripe_usable_late']],
  [{ waiting: 1 }, ['stripe_events_waiting']],
  [{}, []],
])('of %j operators are told %j', (counts, kinds) => {
  expect(judge(counts).map(({ kind }) => kind)).toEqual(kinds)
})

/** Processes that share a database and count by themselves. */
async function makeProcesses() {
  const own = await testDb('postgres')
  const { db } = own
  const { clock, advance } = handClock()
  const findings = makeFindings({ db, ids, clock })
  const start = (to = db) => makeHealth({ db: to, findings, hooks: countedHooks(), clock })
  const config = notifyConfigSchema.parse({
    webhooks: [{ id: 'ops', url: 'http://127.0.0.1:9/', secret: `whsec_${'A'.repeat(40)}` }],
  })
  const outbox = makeOutbox({ db, ids, config: () => config })
  const alert = makeAlerts({ db, outbox })
  return {
    ...{ db, clock, advance, start },
    /** How many alerts operators got so far. */
    async told() {
      await alert(clock.now())
      return (await outbox.list(null, null, 100)).length
    },
    [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
  }
}

test('what no process saw alone is told once, by all of them, and again on another occasion', async () => {
  await using world = await makeProcesses()
  const all = [world.start(), world.start(), world.start()]
  const deliver = (result: DeliveryResult, count: number) => {
    for (const { hooks } of all) for (let n = 0; n < count; n += 1) hooks.delivery(result)
  }
  const round = () => Promise.all(all.map((one) => one.tick()))
  deliver('stored', 6)
  deliver('duplicate', 1)
  await round()
  await round()
  expect(await world.told()).toBe(1)
  for (let minutes = 0; minutes < 50; minutes += 1) {
    world.advance(60_000)
    deliver('stored', 6)
    deliver('duplicate', 1)
    await round()
  }
  expect(await world.told()).toBe(1)
  world.advance(BILLING_QUIET_MS + 1)
  await round()
  expect(await world.told()).toBe(1)
  deliver('bad_signature', 1)
  await round()
  expect(await world.told()).toBe(2)
  deliver('stored', 6)
  deliver('duplicate', 1)
  await round()
  await round()
  expect(await world.told()).toBe(3)
})

test('counts that could not be shared are shared later, and none of them twice', async () => {
  await using world = await makeProcesses()
  let isAway = true
  const flaky = world.start({
    ...world.db,
    query: (...of) => (isAway ? Promise.reject(new Error('away')) : world.db.query(...of)),
  })
  flaky.hooks.delivery('not_stored')
  flaky.hooks.delivery('not_stored')
  await expect(flaky.tick()).rejects.toThrow('away')
  isAway = false
  await flaky.tick()
  await flaky.tick()
  const counts = await world.db.query('SELECT name, count FROM stripe_counts')
  expect(counts).toEqual([{ name: 'not_stored', count: 2 }])
  expect(await world.told()).toBe(1)
  world.advance(2 * 24 * 3_600_000)
  await flaky.tick()
  expect(await world.db.query('SELECT 1 FROM stripe_counts')).toEqual([])
})

test('deliveries that nobody takes up are told; what is tried again or was fetched is not', async () => {
  await using world = await makeProcesses()
  const inbox = makeInbox({ db: world.db, ids })
  const store = (objectId: string, source: 'webhook' | 'sync' = 'webhook') => {
    const { id, type } = snapshot('invoice.paid', objectId)
    const event = { ...{ id, type, objectId, stripeAccount: null, apiVersion: null } }
    const rest = { livemode: false, isThin: false, occurredAtMs: world.clock.now() }
    const delivery = { event: { ...event, ...rest }, payload: '{}', ignored: null } as const
    return inbox.store({ ...delivery, source }, world.clock.now())
  }
  const health = world.start()
  await store('in_1')
  const [claimed] = await inbox.claim(world.clock.now(), 1)
  if (claimed === undefined) throw new Error('nothing was claimed')
  await inbox.fail(claimed, 'no', world.clock.now() + 1_000, world.clock.now())
  await store('in_sync', 'sync')
  world.advance(3_600_000)
  await health.tick()
  expect(await world.told()).toBe(0)
  await store('in_2')
  world.advance(60_000)
  await health.tick()
  expect(await world.told()).toBe(1)
})
