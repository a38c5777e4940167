import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { act, action, type Action } from './histories.ts'
import { expectedSales } from './sim-expected.ts'
import { ledgerSales, sorted } from './sim-ledger.ts'
import { makeSimWorld } from './sim-world.ts'

/** Random histories at Stripe's; FAREBOX_HISTORIES asks for more of them. */
const RUNS = Number(process.env.FAREBOX_HISTORIES ?? 2)
const ACTIONS_MAX = 10
const DAY_MS = 86_400_000

/** So that every history has something to find. */
const FIRST: readonly Action[] = [
  { do: 'buy', who: 0, card: 'pm_card_visa' },
  { do: 'subscribe', who: 1, plan: 'large', card: 'pm_card_visa' },
  { do: 'refund', which: 0, part: 3 },
]

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres', 12)
})
afterAll(() => own[Symbol.asyncDispose]())

test(
  'whatever happened longer ago than Stripe has events of, a sync brings the ledger to it',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { maxLength: ACTIONS_MAX }),
        fc.integer({ min: 32, max: 70 }),
        async (actions, days) => {
          const { db } = own
          const sim = await makeSimWorld(db)
          try {
            const buyers = [(await sim.account()).id, (await sim.account()).id]
            const sinceMs = sim.clock.now()
            for (const one of [...FIRST, ...actions]) {
              await act(sim, buyers, one).catch(() => undefined)
              await sim.stripe.control('advance', { seconds: 1 })
            }
            await sim.stripe.control('advance', { seconds: days * 86_400 })
            await sim.stripe.control('clear-faults')
            await sim.stripe.control('release')
            await sim.stripe.control('idle')
            await db.query('DELETE FROM stripe_events', [])
            const first = await sim.billing.sync(sinceMs, null)
            expect(first).toMatchObject({ moreBeforeMs: null })
            expect(first.objects.added).toBeGreaterThan(2)
            await sim.drain()
            const again = await sim.billing.sync(sinceMs - DAY_MS, null)
            expect([again.added, again.objects.added]).toEqual([0, 0])
            await sim.rest()
            expect(sorted(await ledgerSales(db, buyers))).toEqual(sorted(expectedSales(sim)))
            await expectSound(db)
          } finally {
            await sim.stop()
          }
        },
      ),
      {
        numRuns: RUNS,
        ...(process.env.FAREBOX_SEED === undefined
          ? {}
          : { seed: Number(process.env.FAREBOX_SEED) }),
      },
    )
  },
  60_000 + RUNS * 15_000,
)
