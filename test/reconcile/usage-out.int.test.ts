import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkOfUsageOut } from '../../src/reconcile/check-usage-out.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { CREDIT, DAY, HOUR, makeWorld, type MeterWorld } from '../reporting/world.ts'

let own: TestDb
let world: MeterWorld
beforeAll(async () => {
  own = await testDb('postgres', 4)
  world = await makeWorld(own.db)
  await world.meter()
})
afterAll(async () => {
  await world.stop()
  await own[Symbol.asyncDispose]()
})

/** What is found of one account. */
async function found({ id }: { readonly id: string }) {
  const check = checkOfUsageOut(own.db)
  const untilMs = world.clock.now()
  const { drifts } = await check.page(null, { sinceMs: null, untilMs })
  return drifts
    .filter(({ evidence }) => evidence.account_id === id)
    .map(({ kind, severity, direction, subject, atStakeMicros, evidence }) => [
      ...[kind, severity, direction, subject.replace(id, 'it')],
      ...[(atStakeMicros ?? 0) / CREDIT, evidence.reason],
    ])
}
const send = async () => {
  await world.nextHour()
  await world.process.seal()
  await world.process.reporter.drain()
}
const set = (id: string, column: string, to: string | null) =>
  own.db.query(`UPDATE accounts SET ${column} = $2 WHERE id = $1`, [id, to])

test('usage that is told in time is nothing to tell, at whatever stage', async () => {
  const one = await world.account()
  await world.use(one, 5 * CREDIT)
  expect(await found(one)).toEqual([])
  await world.advance(3 * HOUR)
  expect(await found(one)).toEqual([])
  await world.process.seal()
  expect(await found(one)).toEqual([])
  await world.process.reporter.drain()
  await world.advance(3 * DAY)
  expect(await found(one)).toEqual([])
})

test('usage of an account without a customer is told with its worth, later urgently', async () => {
  const one = await world.account()
  await set(one.id, 'stripe_customer_id', null)
  await world.use(one, 5 * CREDIT)
  const hold = await world.use(one, 3 * CREDIT)
  await world.process.seal()
  await world.advance(2 * DAY)
  const reason = 'the account has no Stripe customer'
  const subject = 'it ai_credits unsealed'
  const waits = (severity: string, stake: number) => [
    ['usage_not_reported', severity, 'unpaid_but_active', subject, stake, reason],
  ]
  expect(await found(one)).toEqual(waits('review', 8))
  await world.books.reverse(hold, 'wrong', world.clock.now())
  await world.advance(20 * DAY)
  await world.advance(7 * DAY)
  expect(await found(one)).toEqual(waits('urgent', 5))
  // Billed from now on: told, and gone.
  await set(one.id, 'stripe_customer_id', one.customer)
  await send()
  expect(await found(one)).toEqual([])
  expect(world.taken(one.customer)).toBe(5)
})

test('what comes to nothing is nothing to tell', async () => {
  const one = await world.account()
  await set(one.id, 'stripe_customer_id', null)
  await world.books.reverse(await world.use(one, 3 * CREDIT), 'wrong', world.clock.now())
  await world.advance(2 * DAY)
  expect(await found(one)).toEqual([])
})

test('usage of a meter that Stripe lacks, or that is stopped, is told with its worth', async () => {
  const one = await world.account()
  await world.use(one, 5 * CREDIT)
  await world.nextHour()
  await world.process.seal()
  await own.db.query('UPDATE meter_lanes SET due_at = NULL WHERE customer_id = $1', [one.customer])
  await world.advance(2 * DAY)
  const told = (reason: string) => [
    [...['usage_not_reported', 'review', 'unpaid_but_active', 'it ai_credits unsent', 5], reason],
  ]
  expect(await found(one)).toEqual(told('it was not sent'))
  await own.db.query("INSERT INTO meter_stops VALUES ('meter', 'ai_credits', 'off', $1)", [
    new Date(world.clock.now()),
  ])
  expect(await found(one)).toEqual(told('off'))
  await own.db.query('DELETE FROM meter_stops')
})

test('overage that no meter counts, and what was told of none, are found', async () => {
  const [untold, more] = [await world.account(), await world.account()]
  await set(untold.id, 'meter_plan', null)
  await world.use(untold, 5 * CREDIT)
  expect(await found(untold)).toEqual([
    ['overage_differs', 'review', 'unpaid_but_active', 'it', 5, undefined],
  ])
  await world.use(more, 5 * CREDIT)
  await own.db.query('UPDATE meter_outbox SET overage_micros = $2 WHERE account_id = $1', [
    ...[more.id, 7 * CREDIT],
  ])
  expect(await found(more)).toEqual([['overage_differs', 'urgent', null, 'it', 2, undefined]])
})
