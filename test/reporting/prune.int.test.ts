import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { testDb, type TestDb } from '../store/databases.ts'
import { CREDIT, DAY, HOUR, makeWorld, type MeterWorld } from './world.ts'

let own: TestDb
let world: MeterWorld
beforeAll(async () => {
  own = await testDb('postgres', 12)
  world = await makeWorld(own.db)
  await world.meter()
})
beforeEach(() =>
  own.db.query(
    'TRUNCATE meter_outbox, meter_series, meter_reports, meter_lanes, meter_periods, findings',
  ),
)
afterAll(async () => {
  await world.stop()
  await own[Symbol.asyncDispose]()
})

type Account = Awaited<ReturnType<MeterWorld['account']>>

async function flush(): Promise<void> {
  await world.nextHour()
  await world.process.seal()
  await world.process.reporter.drain()
}
/** As if an invoice of all until now was final, and had closed what was told of it. */
async function bill({ id }: Account, invoice = `in_${id}`): Promise<void> {
  const now = new Date(world.clock.now())
  await own.db.query(
    `INSERT INTO meter_periods (invoice_id, event_name, account_id, start_at, end_at, finalized_at)
     VALUES ($1, 'ai_credits', $2, $3::timestamptz - interval '31 days', $3, $3)`,
    [invoice, id, now],
  )
  await own.db.query('UPDATE meter_reports SET billed_by = $1 WHERE account_id = $2', [invoice, id])
}
const states = async (of: Account) => (await world.reports(of)).map(({ state }) => state)
const turn = (of: Account, state: string, more = '') =>
  own.db.query(`UPDATE meter_reports SET state = $2 ${more} WHERE account_id = $1`, [of.id, state])

test('what Stripe has, is closed and old goes, and nothing that is still needed', async () => {
  const done = await world.account()
  const unbilled = await world.account()
  const waiting = await Promise.all(
    ['ready', 'refused', 'late', 'unclear'].map(() => world.account()),
  )
  for (const one of [done, unbilled, ...waiting]) await world.use(one, 3 * CREDIT)
  await flush()
  for (const one of [done, ...waiting]) await bill(one)
  for (const [at, state] of ['ready', 'refused', 'late', 'unclear'].entries()) {
    await turn(waiting[at] ?? done, state, ', sent_at = NULL')
  }
  await world.advance(69 * DAY)
  expect(await world.process.prune()).toEqual({ receipts: 0, reports: 0 })
  await world.advance(2 * DAY)
  const fresh = await world.account()
  await world.use(fresh, CREDIT)
  await flush()
  expect(await world.process.prune()).toEqual({ receipts: 0, reports: 1 })
  expect([await states(done), await states(unbilled), await states(fresh)]).toEqual([
    ...[[], ['sent'], ['sent']],
  ])
  expect((await Promise.all(waiting.map(states))).flat()).toEqual(
    ...[['ready', 'refused', 'late', 'unclear']],
  )
})

test('what a year’s invoice may still bill stays until it is final, and a rest for 400 days', async () => {
  const [yearly, covered] = [await world.account(), await world.account()]
  for (const one of [yearly, covered]) await world.use(one, 3 * CREDIT)
  await flush()
  // Units whose overage another meter carries have nothing to be closed.
  await own.db.query('ALTER TABLE meter_reports DISABLE TRIGGER meter_reports_sealed')
  await own.db.query('UPDATE meter_reports SET overage_micros = 0 WHERE account_id = $1', [
    covered.id,
  ])
  await own.db.query('ALTER TABLE meter_reports ENABLE TRIGGER meter_reports_sealed')
  await world.advance(200 * DAY)
  expect((await world.process.prune()).reports).toBe(0)
  await world.advance(201 * DAY)
  expect(await world.process.prune()).toEqual({ receipts: 2, reports: 1 })
  expect([await states(yearly), await states(covered)]).toEqual([['sent'], []])
})

test('an event goes after the cancel that names it', async () => {
  const one = await world.account()
  const hold = await world.use(one, 3 * CREDIT)
  await flush()
  await world.books.reverse(hold, 'wrong', world.clock.now())
  await flush()
  expect(await states(one)).toEqual(['sent', 'sent'])
  await bill(one)
  await world.advance(71 * DAY)
  expect((await world.process.prune()).reports).toBe(1)
  expect((await world.process.prune()).reports).toBe(1)
})

test('usage that no customer pays for yet is never dropped', async () => {
  const one = await world.account()
  await own.db.query('UPDATE accounts SET stripe_customer_id = NULL WHERE id = $1', [one.id])
  await world.use(one, 3 * CREDIT)
  await world.advance(500 * DAY)
  expect(await world.process.prune()).toEqual({ receipts: 0, reports: 0 })
})

test('afterwards the books still agree, and a reversal is still told', async () => {
  const one = await world.account()
  const hold = await world.use(one, 3 * CREDIT)
  await flush()
  await bill(one)
  await world.advance(71 * DAY)
  await world.use(one, 5 * CREDIT)
  await flush()
  expect((await world.process.prune()).reports).toBe(1)
  await world.books.reverse(hold, 'wrong', world.clock.now())
  await flush()
  await world.advance(3 * HOUR)
  const hours = await world.compare(one)
  expect(hours.map(({ accepted, stripe }) => [accepted, stripe])).toEqual([
    [5, 5],
    [-3, -3],
  ])
  expect(world.taken(one.customer)).toBe(5)
})
