import fc from 'fast-check'
import { expect, test } from 'vitest'
import { expectSound } from '../ledger/support.ts'
import { testDb } from '../store/databases.ts'
import { act, action, type Action } from './histories.ts'
import { replayOf } from './replay-support.ts'
import { makeSimWorld } from './sim-world.ts'

/** Random histories at Stripe's; FAREBOX_HISTORIES asks for more of them. */
const RUNS = Number(process.env.FAREBOX_HISTORIES ?? 2)
const ACTIONS_MAX = 12

/** So that every history has something to replay. */
const FIRST: readonly Action[] = [
  { do: 'buy', who: 0, card: 'pm_card_visa' },
  { do: 'subscribe', who: 1, plan: 'large', card: 'pm_card_visa' },
  { do: 'refund', which: 0, part: 3 },
]

test(
  'a replay of any history, with any of its events lost, grants and takes back the same',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { minLength: 4, maxLength: ACTIONS_MAX }),
        fc.integer({ min: 1, max: 5 }),
        fc.boolean(),
        async (actions, lost, isStripeTroubled) => {
          await using source = await testDb('postgres', 12)
          await using target = await testDb('postgres', 12)
          const sim = await makeSimWorld(source.db)
          try {
            const buyers = [(await sim.account()).id, (await sim.account()).id]
            for (const one of [...FIRST, ...actions]) {
              await act(sim, buyers, one).catch(() => undefined)
              await sim.stripe.control('advance', { seconds: 1 })
            }
            await sim.rest()
            await sim.books.turn(sim.clock.now(), 100)
            await source.db.query('DELETE FROM stripe_events WHERE seq % 5 < $1', [lost])
            const kind = 'rate_limit'
            if (isStripeTroubled) await sim.stripe.control('api-fault', { kind, times: 3 })
            const report = await replayOf(sim, source.db, target.db)
            expect(report.compared.differences).toEqual([])
            expect(report.events.unfinished).toEqual([])
            expect(report).toMatchObject({ ok: true, copied: { accounts: 2 } })
            expect(report.compared.sales).toBeGreaterThan(1)
            await expectSound(target.db)
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
