import { afterAll, beforeAll, expect, test } from 'vitest'
import { micros } from '../../src/kernel/money.ts'
import { receiptText } from '../../src/credits/receipt-text.ts'
import { aCustomer, makeWorld, openHold, textAt, type World } from '../admin/world.ts'

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

test('a hold that recovery posted and a renewal put back counts once in its key', async () => {
  const { accountId } = await aCustomer(world, '10')
  const budget = { credits: '5', period: 'month' }
  const made = await world.admin('POST', `/accounts/${accountId}/keys`, { name: 'b', budget })
  const keyId = textAt(made, 'id')
  const { holdId, hold, draft, settle } = await openHold(world, { accountId, keyId }, 100)
  const ref = { accountId, keyId, holdId }
  const load = () =>
    Promise.all([
      world.credits.loads.account(accountId, 'drift'),
      world.credits.loads.key(accountId, keyId, 'drift'),
    ])
  // Recovery, while this gateway is frozen: posts the progress, takes the hold out, loads.
  const { day, reservedAtMs } = hold
  const receipt = { ...draft, rev: 1 as const, micros: micros(30), day, reservedAtMs }
  await world.poster.submit({ receipt, unbacked: false, answer: null }).outcome
  await world.engine.release(ref)
  await load()
  const renewed = { ...ref, micros: micros(100), progressMicros: micros(30), day, reservedAtMs }
  const lease = { tokens: 1, leaseMs: 60_000, owner: 'test', draft: receiptText(draft) }
  expect(await world.engine.renew({ ...renewed, ...lease })).toEqual({ kind: 'ok', putBack: true })
  await load()
  await settle(100)
  await world.credits.settledAll()
  expect((await world.engine.viewAccount(accountId))?.availableMicros).toBe(FULL - 100)
  expect((await world.engine.viewKey(accountId, keyId))?.spendMicros).toBe(100)
})
