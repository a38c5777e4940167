import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { testDb, type TestDb } from '../store/databases.ts'
import { CREDIT, DAY, HOUR, makeWorld, MINUTE, type MeterWorld } from './world.ts'

let own: TestDb
let world: MeterWorld
let one: { id: string; customer: string }
beforeAll(async () => {
  own = await testDb('postgres', 12)
})
beforeEach(async () => {
  await own.db.query(
    `TRUNCATE findings, meter_outbox, meter_series, meter_reports, meter_lanes, meter_stops,
              meter_periods, meter_checks`,
  )
  world = await makeWorld(own.db)
  one = await world.account()
})
afterEach(() => world.stop())
afterAll(() => own[Symbol.asyncDispose]())

const EVENTS = 'POST /v1/billing/meter_events'
const drain = () => world.process.reporter.drain()
async function sealed(amount = 5 * CREDIT) {
  await world.use(one, amount)
  await world.nextHour()
  await world.process.seal()
}
/** Kinds with their state, after what is done now and then was done. */
async function told() {
  await world.process.check()
  const rows = await own.db.query('SELECT kind, state FROM findings ORDER BY kind, state')
  return rows.map(({ kind, state }) => `${String(kind)} ${String(state)}`)
}
const named = async () => String((await world.reports(one)).at(-1)?.identifier)

test('refused, and sent again by hand: gone when Stripe has it, not before', async () => {
  await world.meter()
  await sealed()
  await world.control('api-fault', { kind: 'error', status: 400, operation: EVENTS })
  await drain()
  expect(await told()).toEqual(['meter_refused open'])
  await world.process.resend(await named(), false)
  expect(await told()).toEqual(['meter_refused open'])
  await drain()
  expect(await told()).toEqual(['meter_refused gone'])
})

test('sent again by hand and refused again: the newer one is told', async () => {
  await world.meter()
  await sealed()
  const refuse = () => world.control('api-fault', { kind: 'error', status: 400, operation: EVENTS })
  await refuse()
  await drain()
  await world.process.resend(await named(), false)
  await refuse()
  await drain()
  expect(await told()).toEqual(['meter_refused gone', 'meter_refused open'].toSorted())
})

test('too late, and told as of now: gone', async () => {
  await world.meter()
  await sealed()
  await world.advance(36 * DAY)
  await drain()
  expect(await told()).toEqual(['meter_late open'])
  await world.process.resend(await named(), true)
  await drain()
  expect(await told()).toEqual(['meter_late gone'])
})

test('a meter that Stripe lacks: gone when it is made and what waited was sent', async () => {
  await sealed()
  await drain()
  expect(await told()).toEqual(['meter_missing open'])
  await world.advance(6 * MINUTE)
  await drain()
  expect(await told()).toEqual(['meter_missing open'])
  await world.meter()
  await world.advance(6 * MINUTE)
  await world.makeProcess().reporter.drain()
  expect(await told()).toEqual(['meter_missing gone'])
})

test('a meter that Stripe lacks and of which nothing waits any more: gone after a while', async () => {
  await sealed()
  await drain()
  await own.db.query("UPDATE meter_reports SET state = 'replaced'")
  await world.advance(2 * HOUR)
  expect(await told()).toEqual(['meter_missing gone'])
})

test('a key that may not tell meters: gone when it may', async () => {
  await world.meter()
  await sealed()
  await world.control('api-fault', { kind: 'error', status: 403, operation: EVENTS })
  await drain()
  expect(await told()).toEqual(['meter_denied open'])
  await world.advance(6 * MINUTE)
  await drain()
  expect(await told()).toEqual(['meter_denied gone'])
})

test('a stopped meter: gone when it goes on', async () => {
  const { id } = await world.meter()
  await world.stripe.billing.meters.deactivate(id)
  const write = await world.process.news({
    id: 'e',
    type: 'billing.meter.deactivated',
    objectId: id,
  })
  await own.db.tx(async (tx) => write?.(tx, world.clock.now()))
  expect(await told()).toEqual(['meter_stopped open'])
  await world.stripe.billing.meters.reactivate(id)
  await world.process.directory.refresh()
  expect(await told()).toEqual(['meter_stopped gone'])
})

async function errorReports() {
  await world.advance(MINUTE)
  for (const { id, type } of world.sim.simulator.world.all('v2.core.event')) {
    if (typeof id !== 'string' || typeof type !== 'string') continue
    const write = await world.process.news({ id, type, objectId: null })
    await own.db.tx(async (tx) => write?.(tx, world.clock.now()))
  }
}

test('an error report: gone when all that it marked is told', async () => {
  await world.meter()
  const { customer } = one
  const others = [await world.account(), await world.account()]
  for (const other of others) await world.use(other, 4 * CREDIT)
  await sealed()
  for (const other of others) await world.stripe.customers.del(other.customer)
  await drain()
  await errorReports()
  expect(await told()).toEqual(['meter_error_report open'])
  // Told for another customer.
  for (const [at, other] of others.entries()) {
    await own.db.query(
      `INSERT INTO meter_reports (id, sealing_id, identifier, account_id, customer_id, meter,
         event_name, dimensions, slot_at, rev, part, kind, value, overage_micros, at, sealed_at,
         state, sent_at)
       SELECT gen_random_uuid(), sealing_id, identifier || 'x', $2, $3, meter, event_name,
         dimensions, slot_at, 50 + $4, 0, kind, value, overage_micros, at, sealed_at, 'sent', at
       FROM meter_reports WHERE account_id = $1`,
      [other.id, one.id, customer, at],
    )
    await own.db.query(
      `UPDATE meter_reports SET state = 'replaced', successor = (
         SELECT id FROM meter_reports n WHERE n.identifier = r.identifier || 'x')
       FROM meter_reports r WHERE meter_reports.id = r.id AND r.account_id = $1`,
      [other.id],
    )
    const state = at === 0 ? 'open' : 'gone'
    expect(await told()).toEqual([`meter_error_report ${state}`])
  }
})

test('an hour that differed from the summaries is compared again, until it agrees', async () => {
  world.sim.simulator.world.note('meter_settings').samples = 0
  await world.meter()
  const other = await world.account()
  await world.use(other, 4 * CREDIT)
  await world.nextHour()
  await world.use(other, 3 * CREDIT, { reservedAtMs: world.clock.now() - HOUR })
  await world.use(other, 2 * CREDIT, { reservedAtMs: world.clock.now() - HOUR })
  await world.process.seal()
  await drain()
  // Stripe drops a part of one event, which no report of ours is.
  const use = world.sim.simulator.world.all('usage')[0]
  if (use === undefined) throw new Error('nothing was told')
  const value = use.value
  Object.assign(use, { value: 1 })
  await own.db.query(
    `INSERT INTO meter_checks (id, event_name, from_at, to_at, due_at)
     VALUES (gen_random_uuid(), 'ai_credits', $1, $1, $1)`,
    [new Date(world.clock.now())],
  )
  await world.advance(3 * HOUR)
  expect(await told()).toEqual(['meter_difference open'])
  await world.advance(2 * HOUR)
  expect(await told()).toEqual(['meter_difference open'])
  Object.assign(use, { value })
  await world.advance(2 * HOUR)
  expect(await told()).toEqual(['meter_difference gone'])
})
