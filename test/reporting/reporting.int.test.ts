import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { CREDIT, HOUR, makeWorld, type MeterWorld } from './world.ts'

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

async function flush(process = world.process) {
  await world.nextHour()
  await process.seal()
  await process.reporter.drain()
}

test('included credits come first; what is beyond them is reported, by the hour', async () => {
  const one = await world.account()
  await world.grant(one, 10 * CREDIT)
  await world.use(one, 8 * CREDIT)
  await world.use(one, 5 * CREDIT)
  await world.use(one, 4 * CREDIT)
  await flush()
  expect(await world.reports(one)).toMatchObject([{ value: 7, state: 'sent' }])
  expect(world.taken(one.customer)).toBe(7)
})

test('a free account and covered usage report nothing', async () => {
  const [free, covered] = [await world.account(null), await world.account()]
  await world.grant(covered, 10 * CREDIT)
  await world.use(free, 5 * CREDIT)
  await world.use(covered, 5 * CREDIT)
  await flush()
  expect([await world.reports(free), await world.reports(covered)]).toEqual([[], []])
})

test('parts of a credit are carried on until they are whole', async () => {
  const one = await world.account()
  for (let hour = 0; hour < 4; hour += 1) {
    await world.use(one, 0.4 * CREDIT)
    await flush()
  }
  expect(await world.reports(one)).toMatchObject([
    { value: 0, state: 'nothing' },
    { value: 0, state: 'nothing' },
    { value: 1, state: 'sent' },
    { value: 0, state: 'nothing' },
  ])
  expect(world.taken(one.customer)).toBe(1)
})

test('late usage is another revision of its hour', async () => {
  const one = await world.account()
  const at = world.clock.now()
  await world.use(one, 2 * CREDIT)
  await flush()
  await world.use(one, 3 * CREDIT, { reservedAtMs: at })
  await flush()
  expect(await world.reports(one)).toMatchObject([
    { value: 2, rev: 1 },
    { value: 3, rev: 2 },
  ])
  const compared = await world.compare(one)
  expect(compared).toMatchObject([{ owed: 5, accepted: 5, stripe: 5 }])
})

test('a reversal within a day cancels the event and tells the rest; later it lowers it', async () => {
  const one = await world.account()
  await world.use(one, 2 * CREDIT)
  const [first, second] = [await world.use(one, 3 * CREDIT), await world.use(one, 4 * CREDIT)]
  await flush()
  await world.books.reverse(first, 'wrong', world.clock.now())
  await flush()
  expect(world.taken(one.customer)).toBe(6)
  expect(await world.reports(one)).toMatchObject([
    { kind: 'usage', value: 9, state: 'sent' },
    { kind: 'cancel', value: -9, state: 'sent' },
    { kind: 'usage', value: 6, state: 'sent' },
  ])
  await world.advance(25 * HOUR)
  await world.books.reverse(second, 'wrong too', world.clock.now())
  await flush()
  expect((await world.reports(one)).at(-1)).toMatchObject({ kind: 'usage', value: -4 })
  expect(world.taken(one.customer)).toBe(2)
})
