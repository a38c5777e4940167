import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { micros } from '../../src/kernel/money.ts'
import { expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { histories } from './acts.ts'
import { startHistory, type History } from './history.ts'
import { CREDIT, HOUR, makeWorld, settings, type MeterWorld } from './world.ts'

const LIMIT = micros(100_000 * CREDIT)
let own: TestDb
let world: MeterWorld
let price: string
beforeAll(async () => {
  own = await testDb('postgres', 12)
  const plans = [
    { id: 'hybrid', overage: { meter: 'ai_credits', limit: LIMIT } },
    { id: 'payg', usage: { meters: ['ai_credits'], credit_limit: LIMIT } },
  ]
  world = await makeWorld(own.db, settings(plans))
  world.sim.simulator.world.note('meter_settings').lag_s = 300
  const meter = await world.meter()
  const made = await world.stripe.prices.create({
    currency: 'usd',
    unit_amount: 1,
    recurring: { interval: 'week', usage_type: 'metered', meter: meter.id },
    product_data: { name: 'Overage' },
  })
  price = made.id
})
afterAll(async () => {
  await expectSound(own.db)
  await world.stop()
  await own[Symbol.asyncDispose]()
})

async function settle(history: History): Promise<void> {
  await history.calm()
  for (let round = 0; round < 6; round += 1) {
    await world.advance(2 * HOUR)
    await history.run()
    await history.look()
  }
}

/** Everything that Stripe was not told, or does not have, is what a finding says. */
async function expectTold(history: History): Promise<void> {
  const [reports, told] = [await history.reports(), await history.findings()]
  const apart = reports.filter(({ state }) => !['sent', 'nothing', 'replaced'].includes(state))
  const untold = apart.filter(({ identifier }) => !told.includes(identifier))
  expect(untold).toEqual([])
  expect(await history.unsealed()).toBe(0)
  expect(apart.filter(({ state }) => state === 'ready')).toEqual([])
  if (apart.some(({ state }) => state === 'unclear')) return
  const missing = apart.reduce((sum, { value }) => sum + value, 0)
  const owed = Math.floor((await history.owedMicros()) / CREDIT)
  expect(world.taken(history.customer) + missing).toBe(owed)
}

/** Each final invoice bills what its reports say, and closes their overage, once. */
async function expectClosed(history: History): Promise<void> {
  const reports = await history.reports()
  for (const { id, quantity } of await history.finals()) {
    const on = reports.filter(({ billed_by, state }) => billed_by === id && state !== 'refused')
    expect([id, on.reduce((sum, { value }) => sum + value, 0)]).toEqual([id, quantity])
  }
}

/** Random histories; FAREBOX_METER_HISTORIES asks for more, FAREBOX_METER_SHRINK for smaller ones. */
const numRuns = Number(process.env.FAREBOX_METER_HISTORIES ?? 4)

test(
  'whatever happens in whatever order, Stripe has what is owed, or a finding says what not',
  async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (history) => {
        await using it = await startHistory(world, price)
        for (const act of history) {
          await it.act(act)
          // At no moment do the overage line and what is told of it differ.
          expect([act, await it.differences()]).toEqual([act, []])
        }
        await settle(it)
        await expectTold(it)
        await expectClosed(it)
        expect(await it.differences()).toEqual([])
      }),
      { numRuns, endOnFailure: process.env.FAREBOX_METER_SHRINK === undefined },
    )
  },
  numRuns * 15_000,
)
