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
  await world.meter()
  one = await world.account()
})
afterEach(() => world.stop())
afterAll(() => own[Symbol.asyncDispose]())

const EVENTS = 'POST /v1/billing/meter_events'
const send = async (process = world.process) => {
  await process.seal()
  await process.reporter.drain()
}
async function sealed(amount: number) {
  await world.use(one, amount)
  await world.nextHour()
  await world.process.seal()
}
const last = async () => (await world.reports(one)).at(-1)
const timeoutAfter = (times = 1) =>
  world.control('api-fault', { kind: 'timeout', operation: EVENTS, after: true, times })
const lagBy = (lag_s: number) => {
  world.sim.simulator.world.note('meter_settings').lag_s = lag_s
}

test('a timeout after it was taken: the same name again is delivered, not doubled', async () => {
  await sealed(5 * CREDIT)
  await timeoutAfter()
  await world.process.reporter.drain()
  expect(await last()).toMatchObject({ state: 'ready' })
  await world.advance(MINUTE)
  await world.process.reporter.drain()
  expect(await last()).toMatchObject({ state: 'sent' })
  expect((await world.calls()).map(({ status }) => status)).toEqual([200, 400])
  expect(world.taken(one.customer)).toBe(5)
})

test.each([
  ['taken', 23],
  ['taken', 25],
  ['not taken', 23],
  ['not taken', 25],
])('%s, in doubt, and looked at %i hours later: it counts once', async (what, hours) => {
  lagBy(300)
  await sealed(5 * CREDIT)
  if (what === 'taken') await timeoutAfter()
  else await world.control('api-fault', { kind: 'timeout', operation: EVENTS })
  await world.process.reporter.drain()
  await world.advance(hours * HOUR)
  await send(world.makeProcess())
  expect(await last()).toMatchObject({ state: 'sent' })
  expect(world.taken(one.customer)).toBe(5)
  // What Stripe has was found without telling it again.
  expect(await world.calls()).toHaveLength(what === 'taken' ? 1 : 2)
  expect(await world.findings()).toEqual([])
})

test('in doubt where somebody else told the meter too: told to a person, not sent', async () => {
  await sealed(5 * CREDIT)
  await timeoutAfter()
  await world.process.reporter.drain()
  const [report] = await world.reports(one)
  await world.stripe.billing.meterEvents.create({
    event_name: 'ai_credits',
    payload: { stripe_customer_id: one.customer, value: '3' },
    timestamp: Number(report?.at) / 1000,
  })
  await world.advance(25 * HOUR)
  await send()
  expect(await last()).toMatchObject({ state: 'unclear' })
  expect(await world.findings()).toEqual(['meter_unclear'])
  expect(world.taken(one.customer)).toBe(8)
})

test('a storm of 429: nothing is lost, doubled, or in doubt', async () => {
  await sealed(5 * CREDIT)
  await world.control('api-fault', { kind: 'rate_limit', operation: EVENTS, times: 30 })
  for (let round = 0; round < 40 && (await last())?.state !== 'sent'; round += 1) {
    await world.process.reporter.drain()
    await world.advance(11 * MINUTE)
  }
  expect(await last()).toMatchObject({ state: 'sent' })
  expect(world.taken(one.customer)).toBe(5)
  expect(await world.findings()).toEqual([])
})

test('usage of 36 days ago is a finding; of 34 days it is told', async () => {
  await world.use(one, 7 * CREDIT)
  await world.advance(2 * DAY)
  await world.use(one, 5 * CREDIT)
  await world.advance(34 * DAY)
  await send()
  expect(await world.reports(one)).toMatchObject([
    { value: 7, state: 'late' },
    { value: 5, state: 'sent' },
  ])
  expect(await world.findings()).toEqual(['meter_late'])
  expect(world.taken(one.customer)).toBe(5)
})

test('a customer that is gone: what it owes is refused by an error report, and told', async () => {
  await sealed(5 * CREDIT)
  await world.stripe.customers.del(one.customer)
  await world.process.reporter.drain()
  expect(await last()).toMatchObject({ state: 'sent' })
  await world.advance(MINUTE)
  await readNews('v1.billing.meter.error_report_triggered')
  expect(await last()).toMatchObject({ state: 'refused', note: 'meter_event_customer_not_found' })
  expect(await world.findings()).toEqual(['meter_error_report'])
  // The event itself: from now on nothing is told.
  await look('customer', one.customer)
  const calls = (await world.calls()).length
  await sealed(3 * CREDIT)
  await world.process.reporter.drain()
  expect((await world.calls()).length).toBe(calls)
  expect(await last()).toMatchObject({ state: 'refused', value: 3 })
  expect(await world.findings()).toContain('meter_customer_gone')
})

test('a customer that is gone: sent again by hand, it goes to the one that pays by then', async () => {
  await sealed(5 * CREDIT)
  await world.stripe.customers.del(one.customer)
  await look('customer', one.customer)
  await world.process.reporter.drain()
  const { identifier, state } = (await last()) ?? {}
  expect(state).toBe('refused')
  const { id: customer } = await world.stripe.customers.create({})
  await own.db.query('UPDATE accounts SET stripe_customer_id = $2 WHERE id = $1', [
    ...[one.id, customer],
  ])
  expect(await world.process.resend(String(identifier), true)).toMatchObject({
    customerId: customer,
  })
  await world.process.reporter.drain()
  expect(await last()).toMatchObject({ state: 'sent', value: 5 })
  expect([world.taken(customer), world.taken(one.customer)]).toEqual([5, 0])
})

test('given back what Stripe then refused: nothing is left to be taken back', async () => {
  const hold = await world.use(one, 2 * CREDIT)
  await sealed(5 * CREDIT)
  await world.process.reporter.drain()
  await world.books.reverse(hold, 'wrong', world.clock.now())
  await world.nextHour()
  await world.process.seal()
  const refused = "UPDATE meter_reports SET state = 'refused', sent_at = NULL WHERE value = 7"
  await own.db.query(refused)
  await world.process.reporter.drain()
  expect(await world.reports(one)).toMatchObject([
    { kind: 'usage', value: 7, state: 'replaced' },
    { kind: 'cancel', value: -7, state: 'replaced' },
    { kind: 'usage', value: 5, state: 'sent' },
  ])
  expect((await world.calls()).length).toBe(2)
  expect(await world.findings()).toEqual([])
})

test('a report that names only some of the errors: the rest is found in the summaries', async () => {
  world.sim.simulator.world.note('meter_settings').samples = 1
  const others = [await world.account(), await world.account()]
  await sealed(5 * CREDIT)
  for (const other of others) await world.use(other, 4 * CREDIT)
  await world.nextHour()
  await world.process.seal()
  for (const other of others) await world.stripe.customers.del(other.customer)
  await world.process.reporter.drain()
  await world.advance(MINUTE)
  await readNews('v1.billing.meter.error_report_triggered')
  await world.advance(2 * HOUR)
  await world.process.check()
  for (const other of others) {
    expect(await world.reports(other)).toMatchObject([{ state: 'refused', value: 4 }])
  }
  expect(await last()).toMatchObject({ state: 'sent' })
  expect((await world.findings()).toSorted()).toEqual(['meter_difference', 'meter_error_report'])
})

test('a meter that goes off and on: its events wait', async () => {
  const { data } = await world.stripe.billing.meters.list()
  const id = data[0]?.id ?? ''
  await world.stripe.billing.meters.deactivate(id)
  await news({ id: 'evt_1', type: 'billing.meter.deactivated', objectId: id })
  await sealed(5 * CREDIT)
  await world.process.reporter.drain()
  expect([await last(), await world.calls()]).toMatchObject([{ state: 'ready' }, []])
  await world.stripe.billing.meters.reactivate(id)
  await news({ id: 'evt_2', type: 'billing.meter.reactivated', objectId: id })
  await world.advance(MINUTE)
  await world.process.reporter.drain()
  expect(await last()).toMatchObject({ state: 'sent' })
  expect(world.taken(one.customer)).toBe(5)
})

test('more than 15 digits are told in parts', async () => {
  await world.use(one, 1 * CREDIT)
  const params = ['2000000000000001000000', one.id]
  await own.db.query('UPDATE meter_outbox SET quantity = $1 WHERE account_id = $2', params)
  await world.nextHour()
  await send()
  const most = 999_999_999_999_999
  expect(await world.reports(one)).toMatchObject([
    { value: most, state: 'sent' },
    { value: most, state: 'sent' },
    { value: 3, state: 'sent' },
  ])
})

test('a person sends again what was refused, under another name', async () => {
  await sealed(5 * CREDIT)
  await own.db.query("UPDATE meter_reports SET state = 'refused' WHERE account_id = $1", [one.id])
  const [{ id } = { id: '' }] = await own.db.query(
    'SELECT id FROM meter_reports WHERE account_id = $1',
    [one.id],
  )
  expect(await world.process.resend(String(id), false)).toMatchObject({ value: 5 })
  expect(await world.process.resend(String(id), false)).toBe(false)
  await world.process.reporter.drain()
  expect(await world.reports(one)).toMatchObject([{ state: 'replaced' }, { state: 'sent' }])
  expect(world.taken(one.customer)).toBe(5)
})

test('two processes at once tell nothing twice, and one customer one call at a time', async () => {
  const many = await Promise.all(Array.from({ length: 6 }, () => world.account()))
  for (const each of many) await world.use(each, 2 * CREDIT)
  await world.nextHour()
  const processes = [world.makeProcess(), world.makeProcess()]
  await Promise.all(processes.map((process) => process.seal()))
  await Promise.all(processes.map((process) => process.reporter.drain()))
  expect(many.map(({ customer }) => world.taken(customer))).toEqual(many.map(() => 2))
  expect(await world.calls()).toHaveLength(6)
})

async function news(event: { id: string; type: string; objectId: string | null }) {
  const write = await world.process.news(event)
  if (write === null) throw new Error(`no news: ${event.type}`)
  return own.db.tx((tx) => write(tx, world.clock.now()))
}
async function readNews(type: string) {
  const found = world.sim.simulator.world.all('v2.core.event').filter((e) => e.type === type)
  expect(found).not.toEqual([])
  for (const { id } of found) {
    if (typeof id === 'string') await news({ id, type, objectId: null })
  }
}
async function look(kind: string, id: string) {
  const write = await world.process.watch(kind, id)
  await own.db.tx(async (tx) => write?.(tx, world.clock.now()))
}
