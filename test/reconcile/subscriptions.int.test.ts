import { afterAll, beforeAll, expect, test } from 'vitest'
import { RECONCILE_SUBSCRIPTIONS_MAX } from '../../src/kernel/limits/books.ts'
import { checksOfSubscriptions } from '../../src/reconcile/check-subscriptions.ts'
import type { CheckPage } from '../../src/reconcile/check.ts'
import type { Drift } from '../../src/reconcile/drift.ts'
import { testDb, type TestDb } from '../store/databases.ts'

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres')
})
afterAll(() => own[Symbol.asyncDispose]())

const COUNT = 2 * RECONCILE_SUBSCRIPTIONS_MAX + 50

test('every subscription of ours is asked for once, however many began at once', async () => {
  // Pages end amid some that began in the same microsecond; the last ones are too young.
  await own.db.query(
    `INSERT INTO accounts (id, name, changed_at, created_at)
     SELECT 'acct_' || n, 'a', now(), now() FROM generate_series(1, ${COUNT + 3}) n;
     INSERT INTO subscriptions (id, account_id, customer_id, plan_id, quantity, status,
       cancel_at_period_end, is_collection_paused, ended_at, started_at, changed_at)
     SELECT 'sub_' || n, 'acct_' || n, 'cus_' || n, 'pro', 1,
       CASE WHEN n = ${COUNT + 3} THEN 'canceled' ELSE 'active' END, false, false,
       CASE WHEN n = ${COUNT + 3} THEN now() END,
       '2027-01-01T00:00:00.123456Z'::timestamptz + n / 7 * interval '0.1 ms',
       CASE WHEN n > ${COUNT} AND n < ${COUNT + 3} THEN '2027-03-01'::timestamptz
            ELSE '2027-02-01'::timestamptz END
     FROM generate_series(1, ${COUNT + 3}) n`,
  )
  const asked: string[] = []
  const [, held] = checksOfSubscriptions({
    db: own.db,
    planOf: () => 'pro',
    touched: () => Promise.resolve(new Set()),
    walk: {
      subscriptions: () => Promise.resolve({ items: [], next: null }),
      subscription: () => Promise.resolve(null),
      missing(ids, fromMs, toMs) {
        expect(fromMs).toBeLessThanOrEqual(toMs)
        expect(ids.length).toBeLessThanOrEqual(RECONCILE_SUBSCRIPTIONS_MAX)
        asked.push(...ids)
        return Promise.resolve(ids.filter((id) => id.endsWith('77')))
      },
    },
  })
  const untilMs = Date.UTC(2027, 1, 2)
  const drifts: Drift[] = []
  let cursor: string | null = null
  do {
    const page: CheckPage | undefined = await held?.page(cursor, { sinceMs: null, untilMs })
    drifts.push(...(page?.drifts ?? []))
    cursor = page?.next ?? null
  } while (cursor !== null)
  expect(asked.toSorted()).toEqual(
    Array.from({ length: COUNT }, (_, at) => `sub_${at + 1}`).toSorted(),
  )
  expect(drifts.map(({ subject }) => subject).toSorted()).toEqual(['sub_177', 'sub_77'])
  // Nothing is entitled by them: whose fault it is nobody can tell.
  expect(drifts[0]).toMatchObject({ kind: 'subscription_not_there', direction: null })
})
