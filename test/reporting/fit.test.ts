import { expect, test } from 'vitest'
import { silentLog } from '../../src/kernel/log.ts'
import { makeMeterBook, metersSchema } from '../../src/reporting/config.ts'
import type { StripeMeter } from '../../src/reporting/directory.ts'
import { expectedMeters, makeMeterFit } from '../../src/reporting/fit.ts'

const bookOf = (meters: object) => makeMeterBook({ meters: metersSchema.parse(meters), plans: [] })
const sum: StripeMeter = {
  ...{ id: 'mtr_1', eventName: 'calls', isActive: true, formula: 'sum', window: null },
  ...{ customerKey: 'stripe_customer_id', valueKey: 'value' },
}

function fitOf(found: Record<string, StripeMeter>, first: object) {
  const warned: unknown[] = []
  const state = { isAway: false, book: bookOf(first) }
  const log = { ...silentLog, warn: (fields: object) => void warned.push(fields) }
  const directory = {
    byEvent: (name: string) =>
      state.isAway ? Promise.reject(new Error('away')) : Promise.resolve(found[name] ?? null),
  }
  return { warned, state, fit: makeMeterFit({ directory, book: () => state.book, log }) }
}

test('warns of each meter that cannot be told, once for a configuration', async () => {
  const found = { calls: sum, off: { ...sum, isActive: false }, last: { ...sum, formula: 'last' } }
  const { fit, warned, state } = fitOf(found, { calls: {}, off: {}, last: {}, none: {} })
  await fit()
  await fit()
  expect(warned).toEqual([
    { meter: 'last', reason: 'the meter does not add up: its aggregation is last, not sum' },
    { meter: 'none', reason: 'Stripe has no meter of this event name' },
    { meter: 'off', reason: 'the meter is not active' },
  ])
  state.book = bookOf({ off: {} })
  await fit()
  expect(warned).toHaveLength(4)
})

test('looks again where Stripe was away', async () => {
  const { fit, warned, state } = fitOf({}, { none: {} })
  state.isAway = true
  await expect(fit()).rejects.toThrow('away')
  state.isAway = false
  await fit()
  expect(warned).toHaveLength(1)
})

test('meters of one event’s name are one, with the dimensions of all', () => {
  const model = { event_name: 'tokens', unit: 'tokens', dimensions: { model: 'model' } }
  const key = { event_name: 'tokens', unit: 'tokens', dimensions: { key: 'key_id' } }
  expect(expectedMeters(bookOf({ a: model, b: key, c: {} }))).toEqual([
    { eventName: 'c', dimensions: [] },
    { eventName: 'tokens', dimensions: ['model', 'key'] },
  ])
})
