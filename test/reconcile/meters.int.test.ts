import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkOfMeters, judgeHour } from '../../src/reconcile/check-meters.ts'
import type { Drift } from '../../src/reconcile/drift.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { CREDIT, HOUR, makeWorld, type MeterWorld } from '../reporting/world.ts'

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

/** Some usage of an hour that Stripe has taken, long enough ago. */
async function reported(credits: number) {
  const one = await world.account()
  await world.use(one, credits * CREDIT)
  await world.nextHour()
  await world.process.seal()
  await world.process.reporter.drain()
  return one
}

/** As pages of a run, each as short as a page can be. */
async function compare(sinceMs: number | null = null) {
  // Time runs away at every look at it: each page has one customer.
  let readings = 0
  const clock = { ...world.clock, monotonicMs: () => (readings += 1) * 60_000 }
  const check = checkOfMeters({ clock, meters: world.process, pauseMs: 0 })
  const drifts: Drift[] = []
  let [cursor, pages]: [string | null, number] = [null, 0]
  do {
    const page = await check.page(cursor, { sinceMs, untilMs: world.clock.now() })
    drifts.push(...page.drifts)
    cursor = page.next
    pages += 1
  } while (cursor !== null)
  return { drifts, pages }
}

const tell = (customer: string, value: number, atMs: number) =>
  world.stripe.billing.meterEvents.create({
    event_name: 'ai_credits',
    payload: { stripe_customer_id: customer, value: String(value) },
    timestamp: Math.floor(atMs / 1000),
  })

describe('what Stripe took and its event summaries', () => {
  test('agree, are compared customer by customer, and are not judged while they move', async () => {
    const customers = [await reported(3), await reported(4)]
    // Sent minutes ago: summaries may lag behind.
    expect((await compare()).drifts).toEqual([])
    await world.advance(3 * HOUR)
    const { drifts, pages } = await compare()
    expect(drifts).toEqual([])
    expect(pages).toBeGreaterThanOrEqual(customers.length)
  })

  test('more than is owed is urgent, less is for review, each by its hour', async () => {
    const [over, under] = [await reported(5), await reported(10)]
    const [hour] = await world.compare(over)
    const atMs = hour?.startMs ?? world.clock.now() - HOUR
    await tell(over.customer, 2, atMs + 1_000)
    await world.db.query(
      `INSERT INTO meter_reports (id, sealing_id, identifier, account_id, customer_id, meter,
         event_name, dimensions, slot_at, rev, part, kind, value, overage_micros, at, sealed_at,
         state, sent_at)
       SELECT gen_random_uuid(), gen_random_uuid(), 'lost', account_id, customer_id, meter,
         event_name, dimensions, slot_at, 2, 0, 'usage', 4, 4000000, at, sealed_at, 'sent', sent_at
       FROM meter_reports WHERE account_id = $1`,
      [under.id],
    )
    await world.advance(3 * HOUR)
    const { drifts } = await compare()
    const told = drifts.map(({ kind, severity, direction, atStakeMicros, evidence }) => ({
      ...{ kind, severity, direction, atStakeMicros, account: evidence.account_id },
    }))
    const kind = 'meter_summary_differs'
    const expected = [
      { kind, severity: 'urgent', direction: null, atStakeMicros: 2 * CREDIT, account: over.id },
      {
        ...{ kind, severity: 'review', direction: 'unpaid_but_active', account: under.id },
        atStakeMicros: 4 * CREDIT,
      },
    ]
    expect(told.toSorted((a, b) => (a.severity < b.severity ? 1 : -1))).toEqual(expected)
    expect(new Set(drifts.map(({ subject }) => subject)).size).toBe(2)
    // Hours before the scope are left to longer runs.
    expect((await compare(world.clock.now() - HOUR)).drifts).toEqual([])
  })
})

describe('one hour', () => {
  const hour = {
    ...{ accountId: 'acct', customerId: 'cus', eventName: 'ai', startMs: 0, owed: 10 },
    ...{ accepted: 10, stripe: 10, overageMicros: 10_000_000, isMoving: false },
  }
  const judged = (fields: Partial<Parameters<typeof judgeHour>[0]>) => {
    const drift = judgeHour({ ...hour, ...fields })
    return (
      drift && `${drift.kind} ${drift.severity} ${drift.direction ?? '-'} ${drift.atStakeMicros}`
    )
  }
  test.each([
    [{}, null],
    [{ accepted: 0, stripe: 0 }, null],
    [{ stripe: 12 }, 'meter_summary_differs urgent - 2000000'],
    [{ stripe: 12, isMoving: true }, null],
    [{ stripe: 7 }, 'meter_summary_differs review unpaid_but_active 3000000'],
    // Stripe has more of what is owed than we know of: nobody is billed too much.
    [{ accepted: 4 }, 'meter_summary_differs review - 6000000'],
    [{ stripe: null }, 'meter_not_there review unpaid_but_active 10000000'],
    [{ owed: 0, accepted: 0, stripe: 3, overageMicros: 0 }, 'meter_summary_differs urgent - null'],
    [
      { overageMicros: 10, owed: 3, accepted: 3, stripe: 2 },
      `meter_summary_differs review unpaid_but_active 4`,
    ],
    [{ owed: -4, accepted: -4, stripe: 0 }, 'meter_summary_differs urgent - null'],
  ] as const)('%j: %s', (fields, expected) => {
    expect(judged(fields)).toBe(expected)
  })
})
