import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { Db } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openPglite } from '../../src/store/pglite.ts'
import { RULES } from './broken.ts'
import { runHistory, type Plan } from './history.ts'

/** How to replay, and to run more: test/sim/README.md. */
const seed = Number(process.env.SIM_SEED ?? 0)
const runs = Number(process.env.SIM_RUNS ?? 25)
const searched = Number(process.env.SIM_BROKEN_RUNS ?? 0)

/** Histories on one database: all happen at the same hour, so sweeps see earlier ones' accounts. */
const HISTORIES_MAX = 100

let db: Db

async function openAnew(): Promise<void> {
  db = await openPglite({ memory: true })
  await migrate(db, { clock: systemClock, log: silentLog })
}
beforeAll(openAnew)
afterAll(() => db.close())

async function expectSound(from: number, plan: Plan): Promise<void> {
  const seeds = seed > 0 ? [seed] : Array.from({ length: runs }, (_, index) => from + index)
  for (const [index, each] of seeds.entries()) {
    if (index > 0 && index % HISTORIES_MAX === 0) {
      await db.close()
      await openAnew()
    }
    const verdict = await runHistory(each, db, plan).catch((error: unknown) => {
      throw new Error(`replay with SIM_SEED=${each}`, { cause: error })
    })
    if (seed > 0) console.log(verdict.log.join('\n'))
    expect(verdict.breaches, `replay with SIM_SEED=${each}`).toEqual([])
  }
}

const FAIR = { stormy: false, disasters: 0, requests: 8, deeds: 6 }
const STORM = { stormy: true, disasters: 0, requests: 8, deeds: 6 }
const WRECK = { stormy: true, disasters: 6, requests: 10, deeds: 4 }

describe('the life of holds on two gateways', { timeout: 3_600_000 }, () => {
  it('keeps every invariant in fair weather', () => expectSound(1, FAIR))

  it('keeps them when answers are lost, late or dropped', () => expectSound(10_001, STORM))

  it('keeps them when gateways crash, Redis is emptied or rolled back and Postgres is away', () =>
    expectSound(20_001, WRECK))
})

describe.runIf(searched > 0)('the simulator misses', { timeout: 3_600_000 }, () => {
  it.each(RULES)('%s', async (without) => {
    const plan = { ...WRECK, without }
    let found = 0
    for (let at = 1; at <= searched && found === 0; at++) {
      const { breaches } = await runHistory(30_000 + at, db, plan).catch((error: unknown) => ({
        breaches: [String(error)],
      }))
      if (breaches.length > 0) found = at
      if (breaches.length > 0) console.log(`${without}: history ${at}: ${breaches[0] ?? ''}`)
    }
    expect(found, `${searched} histories`).toBeGreaterThan(0)
  })
})
