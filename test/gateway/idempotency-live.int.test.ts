import { afterAll, beforeAll, expect, it } from 'vitest'
import { makeIdempotency } from '../../src/gateway/idempotency/idempotency.ts'
import { makeIsLive } from '../../src/gateway/idempotency/live.ts'
import { makeKeyRows } from '../../src/gateway/idempotency/rows.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { IDEMPOTENCY_LEASE_MS } from '../../src/kernel/limits/idempotency.ts'
import { aCustomer, makeWorld, openHold, type World } from '../admin/world.ts'

let world: World
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(async () => {
  await world.close()
})

/** Claims as a process does whose clock is ahead by so much; it waits for nobody. */
const claimAt = (aheadMs: number) =>
  makeIdempotency({
    rows: makeKeyRows(world.db),
    isLive: makeIsLive({ engine: world.engine, loads: world.credits.loads }),
    clock: { ...systemClock, now: () => systemClock.now() + aheadMs },
    log: world.log,
    waitMs: () => 0,
  })
const LAPSED = IDEMPOTENCY_LEASE_MS + 1_000

it('a key of a request that died with the credit engine can be used again', async () => {
  const { accountId, keyId } = await aCustomer(world)
  const named = { accountId, keyId, key: 'once', bodyHash: Buffer.from('body') }
  const died = await claimAt(0).claim({ ...named, holdId: world.ids.uuid() })
  expect(died).toMatchObject({ kind: 'claimed' })
  await world.redis.send('FLUSHALL') // and nobody has asked for the account since
  expect(await world.engine.viewAccount(accountId)).toBeNull()
  const early = await claimAt(0).claim({ ...named, holdId: world.ids.uuid() })
  expect(early).toMatchObject({ code: 'idempotency_in_progress' })
  const retry = await claimAt(LAPSED).claim({ ...named, holdId: world.ids.uuid() })
  expect(retry).toMatchObject({ kind: 'claimed' })
  if ('done' in died) died.done()
  if ('done' in retry) retry.done()
})

it('while its hold is there it cannot', async () => {
  const { accountId, keyId } = await aCustomer(world)
  const named = { accountId, keyId, key: 'once', bodyHash: Buffer.from('body') }
  const { hold, holdId } = await openHold(world, { accountId, keyId }, 1_000)
  const first = await claimAt(0).claim({ ...named, holdId })
  const retry = await claimAt(LAPSED).claim({ ...named, holdId: world.ids.uuid() })
  expect(retry).toMatchObject({ code: 'idempotency_in_progress' })
  if ('done' in first) first.done()
  await hold.release()
})
