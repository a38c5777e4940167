import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { testDb, type TestDb } from '../store/databases.ts'
import { CREDIT, HOUR, makeWorld, MINUTE, type MeterWorld } from './world.ts'

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
  await world.meter()
  one = await world.account()
  world.sim.simulator.world.note('meter_settings').lag_s = 300
})
afterEach(() => world.stop())
afterAll(() => own[Symbol.asyncDispose]())

const operation = 'POST /v1/billing/meter_events'
const last = async () => (await world.reports(one)).at(-1)
const drain = () => world.process.reporter.drain()

async function sealed() {
  await world.use(one, 5 * CREDIT)
  await world.nextHour()
  await world.process.seal()
}
/** A try that is never answered, taken or not. */
async function inDoubt(isTaken: boolean) {
  await sealed()
  await world.control('api-fault', { kind: 'timeout', operation, after: isTaken })
  await drain()
  await world.advance(MINUTE)
}
const refuse = () => world.control('api-fault', { kind: 'error', status: 400, operation })

test('in doubt, then refused with words nobody knows: the summaries say that Stripe has it', async () => {
  await inDoubt(true)
  await refuse()
  await drain()
  expect(await last()).toMatchObject({ state: 'ready' })
  expect(await world.findings()).toEqual([])
  await world.advance(2 * HOUR)
  await drain()
  expect(await last()).toMatchObject({ state: 'sent' })
  expect([world.taken(one.customer), (await world.calls()).length]).toEqual([5, 2])
  expect(await world.findings()).toEqual([])
})

test('in doubt, then refused, and the summaries lack it: refused, told to a person', async () => {
  await inDoubt(false)
  await refuse()
  await drain()
  // Another process asks as well before it says so.
  await world.makeProcess().reporter.drain()
  expect(await last()).toMatchObject({ state: 'ready' })
  await world.advance(2 * HOUR)
  await drain()
  expect(await last()).toMatchObject({ state: 'refused' })
  expect([world.taken(one.customer), await world.findings()]).toEqual([0, ['meter_refused']])
})

test('refused at the first try: Stripe has not got it, and nothing waits', async () => {
  await sealed()
  await refuse()
  await drain()
  expect(await last()).toMatchObject({ state: 'refused' })
})

test.each(['rate_limit', 'denied', 'error'])(
  'a later try that did nothing (%s) does not move the time at which Stripe took it',
  async (what) => {
    await inDoubt(true)
    const tried = async () => (await own.db.query('SELECT last_tried_at FROM meter_reports'))[0]
    const first = await tried()
    const status = what === 'denied' ? 403 : 400
    await world.control('api-fault', {
      ...{ kind: what === 'rate_limit' ? what : 'error', operation },
      ...(what === 'rate_limit' ? {} : { status }),
    })
    await drain()
    expect((await world.calls()).length).toBe(2)
    expect(await tried()).toEqual(first)
  },
)
