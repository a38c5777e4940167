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

test('overage that was told and is on no invoice when its period is over is found', async () => {
  const one = await world.account()
  await world.use(one, 5 * CREDIT)
  const rest = await world.use(one, 2 * CREDIT)
  await send()
  const endMs = world.clock.now() + 20 * DAY
  await own.db.query(
    `INSERT INTO subscriptions (id, account_id, customer_id, quantity, status,
       current_period_start, current_period_end, cancel_at_period_end, is_collection_paused,
       started_at, changed_at)
     VALUES ('sub_1', $1, $2, 1, 'active', $3, $4, false, false, $3, $3)`,
    [one.id, one.customer, new Date(world.clock.now() - 10 * DAY), new Date(endMs)],
  )
  const goTo = (ms: number) => world.advance(ms - world.clock.now())
  await goTo(endMs + 3 * DAY) // Stripe may take that long to make its invoice final
  expect(await found(one)).toEqual([])
  await goTo(endMs + 5 * DAY)
  const said = async () =>
    (await found(one)).map(([kind, severity, , , stake]) => [kind, severity, stake])
  expect(await said()).toEqual([['overage_unbilled', 'urgent', 7]])
  expect(String((await found(one))[0]?.at(-1))).toContain('no invoice of that time is known')

  // A draft that nobody made final is named.
  const period = (finalMs: number | null) =>
    own.db.query(
      `INSERT INTO meter_periods VALUES ('in_1', 'ai_credits', $1, $2, $3, $4)
       ON CONFLICT (invoice_id, event_name) DO UPDATE SET finalized_at = excluded.finalized_at`,
      [one.id, new Date(endMs - 30 * DAY), new Date(endMs), finalMs && new Date(finalMs)],
    )
  await period(null)
  expect((await found(one))[0]?.at(-1)).toBe('in_1 is not final, or was deleted')
  // Final it closes it; what it leaves out is told of the invoice.
  await period(endMs + HOUR)
  expect(await found(one)).toEqual([])

  const [report] = await world.reports(one)
  const move = () => world.process.resend(String(report?.identifier), true)
  // Final it may be on it, and a draft may still become so.
  expect(await move()).toBe(false)
  await own.db.query('UPDATE meter_periods SET finalized_at = NULL')
  expect(await move()).toBe(false)
  await own.db.query('DELETE FROM meter_periods')
  await world.books.reverse(rest, 'wrong', world.clock.now())
  await send()
  expect(await said()).toEqual([['overage_unbilled', 'urgent', 5]])
  // A person moves it to the period that goes on, and what was given back of it.
  expect(await move()).toMatchObject({ value: 7, overageMicros: 7 * CREDIT })
  expect(await move()).toBe(false)
  await send()
  const check = await checkOfUsageOut(own.db).page(null, {
    ...{ sinceMs: null, untilMs: world.clock.now() },
  })
  const [left] = check.drifts.filter(({ evidence }) => evidence.account_id === one.id)
  expect(left).toMatchObject({
    ...{ kind: 'overage_unbilled', severity: 'urgent', direction: null },
    ...{ atStakeMicros: 2 * CREDIT, evidence: { value: '-2' } },
  })
  const names = left?.evidence.names as string[]
  expect(names).toHaveLength(1)
  expect(await world.process.resend(names.join(), true)).toMatchObject({ value: -2 })
  await send()
  expect(world.taken(one.customer)).toBe(5)
  expect(await found(one)).toEqual([])
  await own.db.query('DELETE FROM subscriptions')
})

test('the period of a subscription that was over before ends nothing of the next one', async () => {
  const one = await world.account()
  const startMs = world.clock.now() - DAY
  const subscribed = (id: string, fromMs: number, endedMs: number | null) =>
    own.db.query(
      `INSERT INTO subscriptions (id, account_id, customer_id, quantity, status,
         current_period_start, current_period_end, cancel_at_period_end, is_collection_paused,
         started_at, changed_at, ended_at)
       VALUES ($1, $2, $3, 1, $4, $5, $6, false, false, $5, $5, $7)`,
      [
        ...[id, one.id, one.customer, endedMs === null ? 'active' : 'canceled'],
        ...[new Date(fromMs), new Date(fromMs + 30 * DAY), endedMs && new Date(endedMs)],
      ],
    )
  // Left at once for another plan: Stripe keeps the end that its period would have had.
  await subscribed('sub_1', startMs - 20 * DAY, startMs)
  await subscribed('sub_2', startMs, null)
  await world.use(one, 5 * CREDIT)
  await send()
  const [report] = await world.reports(one)
  await world.advance(startMs + 20 * DAY - world.clock.now())
  expect(await found(one)).toEqual([])
  expect(await world.process.resend(String(report?.identifier), true)).toBe(false)
  await world.advance(startMs + 35 * DAY - world.clock.now())
  expect((await found(one)).map(([kind]) => kind)).toEqual(['overage_unbilled'])
  await own.db.query('DELETE FROM subscriptions')
})

test('where nothing says when a period ends, overage is given a month and its draft', async () => {
  const one = await world.account()
  await world.use(one, 5 * CREDIT)
  await send()
  await world.advance(30 * DAY)
  await world.advance(9 * DAY)
  expect(await found(one)).toEqual([])
  await world.advance(2 * DAY)
  expect((await found(one)).map(([kind]) => kind)).toEqual(['overage_unbilled'])
})
