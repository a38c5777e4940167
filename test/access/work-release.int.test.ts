import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Caller } from '../../src/access/access.ts'
import { makeWorkRows } from '../../src/access/work/rows.ts'
import { makeWork, type Work } from '../../src/access/work/work.ts'
import { UnknownOutcomeError } from '../../src/kernel/errors.ts'
import { WORK_ENDING_MS } from '../../src/kernel/limits/access.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import { aCustomer, makeWorld, type World } from '../admin/world.ts'

let world: World
let lateMs = 0
let work: Work
beforeAll(async () => {
  world = await makeWorld()
  const { db, engine, credits, clock, ids, book: prices } = world
  const clockOfWork = { ...clock, now: () => clock.now() + lateMs }
  const deps = { engine, credits, ids, prices, log: silentLog, clock: clockOfWork }
  work = makeWork({ ...deps, rows: makeWorkRows(db) })
})
afterAll(() => world.close())

test('a release that Redis did not hear is repeated until it is', async () => {
  const { accountId, keyId } = await aCustomer(world, '10')
  const anything = {
    ...{ models: null, endpoints: null, planModels: null, planEndpoints: null },
    accountStatus: 'active' as const,
  }
  const of = { accountId, keyId, keyKind: 'client', keySeq: 0, markup: null } as const
  const who: Caller = { ...of, ...anything }
  const asked = { amount: { micros: micros(4) }, price: null, ttlMs: 3_600_000, metadata: {} }
  const opened = await work.open(who, { ...asked, requestKey: null, requestHash: '' })
  if ('ok' in opened) throw new Error(opened.message)
  const { id } = opened.work
  const held = async () => (await world.engine.viewAccount(accountId))?.holds.length
  const release = vi.spyOn(world.engine, 'release')
  release.mockRejectedValueOnce(new UnknownOutcomeError('the answer was lost'))
  await work.release(who, id)
  expect(await held()).toBe(1)
  lateMs = WORK_ENDING_MS + 1_000
  await work.finish()
  expect(await held()).toBe(0)
  await work.finish()
  expect(release).toHaveBeenCalledTimes(2)
})
