import { afterAll, beforeAll, expect, it } from 'vitest'
import { makeIdempotency } from '../../src/gateway/idempotency/idempotency.ts'
import { makeKeyRows } from '../../src/gateway/idempotency/rows.ts'
import { DUPLICATES_WAITING_MAX } from '../../src/kernel/limits/idempotency.ts'
import { aCustomer, makeWorld, type World } from '../admin/world.ts'
import { makeManualClock, settle } from '../ledger/memory-clock.ts'
import { until } from '../support/until.ts'

let world: World
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.close())

const IN_PROGRESS = { code: 'idempotency_in_progress' }

/** A process whose duplicates wait so long, by a clock that stands still until it is moved. */
function waiting(waitMs: number) {
  const clock = makeManualClock(Date.now())
  const rows = makeKeyRows(world.db)
  let [looks, open] = [0, 0]
  const idempotency = makeIdempotency({
    rows: {
      ...rows,
      async read(accountId, key) {
        const row = await rows.read(accountId, key)
        looks += 1
        return row
      },
    },
    isLive: () => Promise.resolve(true),
    ...{ clock, log: world.log, waitMs: () => waitMs },
  })
  return {
    clock,
    get open() {
      return open
    },
    claim(accountId: string) {
      open += 1
      const named = { accountId, key: 'once', bodyHash: Buffer.from('body') }
      return idempotency.claim({ ...named, holdId: world.ids.uuid() }).finally(() => {
        open -= 1
      })
    },
    async looked(times: number) {
      await until(() => looks >= times)
      await settle()
    },
  }
}

it('a duplicate waits for the first no longer than it may', async () => {
  const { accountId } = await aCustomer(world)
  const process = waiting(60)
  expect(await process.claim(accountId)).toMatchObject({ kind: 'claimed' })
  const duplicate = process.claim(accountId)
  await process.looked(1)
  await process.clock.pass(50)
  await process.looked(2)
  await process.clock.pass(10)
  await until(() => process.open === 0)
  expect(await duplicate).toMatchObject(IN_PROGRESS)
})

it('an account whose duplicates fill half of the places waits for no more, and others do', async () => {
  const [{ accountId }, { accountId: other }] = [await aCustomer(world), await aCustomer(world)]
  const process = waiting(60_000)
  for (const each of [accountId, other]) {
    expect(await process.claim(each)).toMatchObject({ kind: 'claimed' })
  }
  const all = Array.from({ length: DUPLICATES_WAITING_MAX / 2 + 1 }, () => process.claim(accountId))
  await process.looked(all.length)
  expect(await Promise.race(all)).toMatchObject(IN_PROGRESS)
  all.push(process.claim(other))
  await process.looked(all.length)
  expect(process.open).toBe(all.length - 1)
  while (process.open > 0) await process.clock.pass(1_000)
  for (const each of await Promise.all(all)) expect(each).toMatchObject(IN_PROGRESS)
  const again = process.claim(accountId)
  await settle()
  expect(process.open).toBe(1)
  while (process.open > 0) await process.clock.pass(1_000)
  expect(await again).toMatchObject(IN_PROGRESS)
})
