import { afterAll, beforeAll, expect, test } from 'vitest'
import { micros } from '../../src/kernel/money.ts'
import { expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { CREDIT, makeWorld, settings, type MeterWorld } from './world.ts'

let own: TestDb
let world: MeterWorld
const meters = {
  small: { event_name: 'tokens_small', unit: 'tokens', models: ['*-mini'] },
  large: { event_name: 'tokens_large', unit: 'tokens', models: ['gpt-5'] },
  calls: { unit: 'requests', dimensions: { model: 'model', via: 'endpoint' } },
  talk: { event_name: 'audio_seconds', unit: 'seconds' },
}
beforeAll(async () => {
  own = await testDb('postgres', 12)
  const usage = { meters: Object.keys(meters), credit_limit: micros(1_000 * CREDIT) }
  world = await makeWorld(own.db, settings([{ id: 'payg', usage }], meters))
  for (const name of ['tokens_small', 'tokens_large', 'audio_seconds']) await world.meter(name)
  // Keys of its own choosing.
  await world.stripe.billing.meters.create({
    ...{ display_name: 'calls', event_name: 'calls', default_aggregation: { formula: 'sum' } },
    customer_mapping: { type: 'by_id', event_payload_key: 'who' },
    value_settings: { event_payload_key: 'how_many' },
  })
})
afterAll(async () => {
  await expectSound(own.db)
  await world.stop()
  await own[Symbol.asyncDispose]()
})

async function flush(): Promise<void> {
  await world.nextHour()
  await world.process.seal()
  await world.process.reporter.drain()
}
const names = ['tokens_small', 'tokens_large', 'calls', 'audio_seconds']
const taken = (customer: string) => names.map((name) => world.taken(customer, name))

test('one usage goes to several meters, each in its unit; what is absent goes to none', async () => {
  const one = await world.account('payg')
  const usage = { input_tokens: 10, output_tokens: 5 }
  await world.use(one, 2 * CREDIT, { usage })
  await world.use(one, 2 * CREDIT, { usage: { ...usage, seconds: 0 }, model: 'gpt-5' })
  await world.use(one, CREDIT, { usage: { seconds: 2.75 }, model: 'whisper' })
  await flush()
  expect(taken(one.customer)).toEqual([15, 15, 3, 2])
  // The rest of a unit is carried on.
  await world.use(one, CREDIT, { usage: { seconds: 0.25, requests: 0 }, model: 'whisper' })
  await flush()
  expect(taken(one.customer)).toEqual([15, 15, 3, 3])
})

test('the payload has the meter’s own keys, and a series for each of its dimensions', async () => {
  const one = await world.account('payg')
  for (const model of ['gpt-5', 'gpt-5', 'other']) await world.use(one, CREDIT, { model })
  await flush()
  const { calls } = await world.control('calls')
  const payloads = (calls as { input: { event_name?: string; payload?: { who?: string } } }[])
    .map(({ input }) => input)
    .filter(({ event_name, payload }) => event_name === 'calls' && payload?.who === one.customer)
    .map(({ payload }) => payload)
  const via = '/v1/chat/completions'
  expect(payloads).toHaveLength(2)
  expect(payloads).toContainEqual({ who: one.customer, how_many: '2', model: 'gpt-5', via })
  expect(payloads).toContainEqual({ who: one.customer, how_many: '1', model: 'other', via })
})

test('a corrected receipt counts its units once, and a reversal none', async () => {
  const one = await world.account('payg')
  const reservedAtMs = world.clock.now()
  const holdId = await world.use(one, 5 * CREDIT, { rev: 1, usage: { output_tokens: 9 } })
  await world.use(one, CREDIT, { holdId, reservedAtMs, usage: { output_tokens: 4 } })
  const other = await world.use(one, CREDIT, { usage: { output_tokens: 100, seconds: 7 } })
  await world.books.reverse(other, 'wrong', world.clock.now())
  await flush()
  expect(taken(one.customer)).toEqual([4, 0, 1, 0])
})
