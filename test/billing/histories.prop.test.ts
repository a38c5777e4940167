import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { expectedAccess } from './sim-access.ts'
import { expectedSales } from './sim-expected.ts'
import { ledgerSales, sorted } from './sim-ledger.ts'
import { act, action } from './histories.ts'
import { makeSimWorld } from './sim-world.ts'

/** Random histories at Stripe's; FAREBOX_HISTORIES asks for more of them. */
const RUNS = Number(process.env.FAREBOX_HISTORIES ?? 6)
const ACTIONS_MAX = 14

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres', 12)
})
afterAll(() => own[Symbol.asyncDispose]())

test(
  'whatever happens at Stripe, ledger and access end as its final state says (I1, I3, I4, I5, I10)',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { minLength: 4, maxLength: ACTIONS_MAX }),
        async (actions) => {
          const { db } = own
          await db.query('DELETE FROM stripe_events', [])
          const sim = await makeSimWorld(db)
          try {
            const buyers = [(await sim.account()).id, (await sim.account()).id]
            for (const [index, one] of actions.entries()) {
              // What Stripe refuses (nothing to refund, no such dispute) did not happen.
              await act(sim, buyers, one).catch(() => undefined)
              // Periods are told apart by the second in which they begin.
              await sim.stripe.control('advance', { seconds: 1 })
              if (index % 7 !== 6 && index !== actions.length - 1) continue
              await sim.rest()
              await sim.turn()
              expect(sorted(await ledgerSales(db, buyers))).toEqual(sorted(expectedSales(sim)))
              await expectSound(db)
              for (const id of buyers) {
                const { entitlements } = await sim.entitle.read(id, sim.clock.now())
                expect(entitlements).toMatchObject(expectedAccess(sim, id))
                expect(await sim.breaches(id)).toEqual([])
              }
            }
            const dead = await db.query(
              "SELECT type, outcome FROM stripe_events WHERE state = 'dead'",
              [],
            )
            expect(dead).toEqual([])
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
  60_000 + RUNS * 10_000,
)
