import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Db, Tx } from '../../src/store/db.ts'
import { expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { CREDIT, makeWorld, MINUTE, type MeterWorld } from './world.ts'

let own: TestDb
let world: MeterWorld
beforeAll(async () => {
  own = await testDb('postgres', 12)
  world = await makeWorld(own.db)
  await world.meter()
})
afterAll(async () => {
  await expectSound(own.db)
  await world.stop()
  await own[Symbol.asyncDispose]()
})

class EndedError extends Error {}

/** A database whose process ends at the n-th statement, before it or after it; dead from then on. */
function endingAt(n: number, when: 'before' | 'after') {
  const state = { left: n, ended: false }
  async function at<T>(run: () => Promise<T>): Promise<T> {
    if (state.ended) throw new EndedError()
    state.left -= 1
    const isLast = state.left === 0
    if (isLast) state.ended = true
    if (isLast && when === 'before') throw new EndedError()
    const answer = await run()
    if (isLast) throw new EndedError()
    return answer
  }
  const wrapTx = (tx: Tx): Tx => ({ query: (...args) => at(() => tx.query(...args)) })
  const wrap = (db: Db): Db => ({
    ...db,
    query: (...args) => at(() => db.query(...args)),
    tx: (run, options) => at(() => db.tx((tx) => run(wrapTx(tx)), options)),
  })
  return { wrap, state }
}

async function runOnce(process: MeterWorld['process']): Promise<void> {
  await process.seal()
  await process.reporter.drain()
}

test.each(['before', 'after'] as const)(
  'ended %s any statement, the next process tells exactly what is owed',
  async (when) => {
    for (let n = 1; ; n += 1) {
      const one = await world.account()
      await world.use(one, 3 * CREDIT)
      await world.nextHour()
      const { wrap, state } = endingAt(n, when)
      await runOnce(world.makeProcess({ db: wrap })).catch((error: unknown) => {
        expect(error).toBeInstanceOf(EndedError)
      })
      await world.advance(10 * MINUTE)
      await runOnce(world.process)
      expect([n, world.taken(one.customer)]).toEqual([n, 3])
      if (!state.ended) break
    }
    expect(await world.findings()).toEqual([])
  },
  60_000,
)
