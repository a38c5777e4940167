import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { Db } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openPglite } from '../../src/store/pglite.ts'
import { runHistory, type Plan } from './history.ts'

/** SIM_SEED=n replays one history with its log, SIM_RUNS=n runs more of them. */
const seed = Number(process.env.SIM_SEED ?? 0)
const runs = Number(process.env.SIM_RUNS ?? 60)

let db: Db

beforeAll(async () => {
  db = await openPglite({ memory: true })
  await migrate(db, { clock: systemClock, log: silentLog })
})
afterAll(() => db.close())

async function expectSound(from: number, plan: Plan): Promise<void> {
  const seeds = seed > 0 ? [seed] : Array.from({ length: runs }, (_, index) => from + index)
  for (const each of seeds) {
    const verdict = await runHistory(each, db, plan)
    if (seed > 0) console.log(verdict.log.join('\n'))
    expect(verdict.breaches, `replay with SIM_SEED=${each}`).toEqual([])
  }
}

describe('the life of holds on two gateways', { timeout: 300_000 }, () => {
  it('keeps every invariant in fair weather', () =>
    expectSound(1, { stormy: false, disasters: 0, requests: 5 }))

  it('keeps them when answers are lost, late or dropped', () =>
    expectSound(10_001, { stormy: true, disasters: 0, requests: 5 }))

  it('keeps them when gateways crash, Redis is emptied or rolled back and Postgres is away', () =>
    expectSound(20_001, { stormy: true, disasters: 3, requests: 5 }))
})
