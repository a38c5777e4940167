import { afterAll, beforeAll, expect, test } from 'vitest'
import { micros } from '../../src/kernel/money.ts'
import { aCustomer, makeWorld, openHold, type World } from '../admin/world.ts'

let world: World
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.close())

async function opened() {
  const customer = await aCustomer(world, '10')
  const { holdId, hold, settle } = await openHold(world, customer, 100)
  const posted = async () => {
    await world.credits.settledAll()
    const view = await world.engine.viewAccount(customer.accountId)
    const balance = await world.books.balance(customer.accountId)
    const receipt = await world.books.receipt(holdId, null)
    return [view?.availableMicros, balance?.postedMicros, receipt?.micros ?? null]
  }
  return { hold, settle, posted }
}

const FULL = 10_000_000

test('a hold that is settled twice in one process is charged the first time', async () => {
  const { settle, posted } = await opened()
  await Promise.all([settle(40), settle(60)])
  await settle(90)
  expect(await posted()).toEqual([FULL - 40, FULL - 40, 40])
})

test('a hold that is released after it was settled stays charged', async () => {
  const { hold, settle, posted } = await opened()
  const settling = settle(40)
  await hold.release()
  await settling
  await hold.release()
  expect(await posted()).toEqual([FULL - 40, FULL - 40, 40])
})

test('a hold that is settled after its release is charged what it came to', async () => {
  const { hold, settle, posted } = await opened()
  await Promise.all([hold.release(), hold.release()])
  await settle(40)
  const [, ledger, charged] = await posted()
  expect([ledger, charged]).toEqual([FULL - 40, 40])
  expect(micros(40)).toBe(charged)
})
