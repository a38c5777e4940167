import { describe, expect, it, test } from 'vitest'
import type { Usage } from '../../src/kernel/usage.ts'
import { micros } from '../../src/kernel/money.ts'
import { makeMeterBook, METER_UNITS, metersSchema } from '../../src/reporting/config.ts'
import { measure } from '../../src/reporting/measure.ts'
import { CREDIT } from './world.ts'

/** What a receipt adds to the meters of a plan that bills all of its usage. */
function measured(
  meters: Record<string, object>,
  usage: Usage,
  fields: { model?: string; upstream?: string; total?: number; overage?: number } = {},
) {
  const plan = { id: 'payg', usage: { meters: Object.keys(meters), credit_limit: micros(0) } }
  const book = makeMeterBook({ meters: metersSchema.parse(meters), plans: [plan] })
  const found = book.planOf('payg')
  if (found === null) throw new Error('unreachable: the plan is there')
  const { model = 'gpt-5-mini', upstream = 'openai', total = 0, overage = 0 } = fields
  return measure(found, {
    receipt: {
      ...{ upstream, model, protocol: 'openai-chat', endpoint: '/v1/chat/completions' },
      ...{ keyId: 'key_1', usage },
    },
    deltaMicros: micros(total),
    overageMicros: micros(overage),
  })
}
const quantities = (...of: Parameters<typeof measured>) =>
  measured(...of).map(({ meter, quantity }) => [meter, Number(quantity) / 1e6])

const EVERYTHING: Usage = {
  ...{ input_tokens: 100, cache_read_tokens: 20, cache_write_5m_tokens: 3 },
  ...{ cache_write_1h_tokens: 4, cache_write_tokens: 5, input_audio_tokens: 6 },
  ...{ input_image_tokens: 7, output_tokens: 50, output_reasoning_tokens: 30 },
  ...{ output_audio_tokens: 8, web_search_requests: 2, images: 1, seconds: 1.5 },
  ...{ characters: 900, units: 12 },
}

describe('what a meter counts', () => {
  it.each([
    ['credits', 2.5],
    ['micro_credits', 2_500_000],
    ['requests', 1],
    ['tokens', 195],
    ['input_tokens', 100],
    ['output_tokens', 50],
    ['cache_read_tokens', 20],
    ['cache_write_tokens', 12],
    ['input_audio_tokens', 6],
    ['output_audio_tokens', 8],
    ['output_reasoning_tokens', 30],
    ['web_search_requests', 2],
    ['images', 1],
    ['seconds', 1.5],
    ['characters', 900],
    ['units', 12],
  ] as const)('%s: its own buckets and no other', (unit, quantity) => {
    const total = 2.5 * CREDIT
    expect(quantities({ m: { unit } }, EVERYTHING, { total })).toEqual([['m', quantity]])
  })

  it('has a case for each unit', () => {
    expect(METER_UNITS).toHaveLength(16)
  })

  it.each(METER_UNITS.filter((unit) => unit !== 'requests'))(
    '%s: absent and zero are both nothing to tell',
    (unit) => {
      expect(quantities({ m: { unit } }, {})).toEqual([])
      const zero = Object.fromEntries(Object.keys(EVERYTHING).map((bucket) => [bucket, 0]))
      expect(quantities({ m: { unit } }, zero)).toEqual([])
    },
  )

  it('counts a request where the receipt does not say how many, and none where it says none', () => {
    const meters = { m: { unit: 'requests' } }
    expect(quantities(meters, {})).toEqual([['m', 1]])
    expect(quantities(meters, { requests: 3 })).toEqual([['m', 3]])
    expect(quantities(meters, { requests: 0 })).toEqual([])
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('does not fail a posting over %s', (seconds) => {
    expect(quantities({ m: { unit: 'seconds' } }, { seconds })).toEqual([])
  })
})

describe('which usage a meter takes', () => {
  const meters = {
    mini: { unit: 'tokens', models: ['*-mini'] },
    rest: { unit: 'tokens', models: ['gpt-5', 'claude-*'] },
    local: { unit: 'tokens', upstreams: ['local'] },
    calls: { unit: 'requests' },
  }
  const usage = { input_tokens: 10, output_tokens: 5 }

  test.each([
    [
      { model: 'gpt-5-mini' },
      [
        ['mini', 15],
        ['calls', 1],
      ],
    ],
    [
      { model: 'claude-opus-5' },
      [
        ['rest', 15],
        ['calls', 1],
      ],
    ],
    [
      { model: 'gpt-5-mini', upstream: 'local' },
      [
        ['mini', 15],
        ['local', 15],
        ['calls', 1],
      ],
    ],
    [{ model: 'gpt-5.1' }, [['calls', 1]]],
  ])('%j: %j', (fields, expected) => {
    expect(quantities(meters, usage, fields)).toEqual(expected)
  })

  test('what another model did within a request is that model’s', () => {
    const inner = { type: 'advisor', model: 'claude-opus-5', usage: { output_tokens: 7 } }
    const whole = { ...usage, iterations: [inner] }
    expect(quantities(meters, whole)).toEqual([
      ['mini', 15],
      ['rest', 7],
      ['calls', 1],
    ])
  })
})

test('dimensions say what the request was, in one order', () => {
  const dimensions = {
    who: 'key_id',
    model: 'model',
    at: 'endpoint',
    api: 'protocol',
    up: 'upstream',
  }
  const [one] = measured({ m: { unit: 'requests', dimensions } }, {})
  expect(one?.dimensions).toBe(
    '{"api":"openai-chat","at":"/v1/chat/completions","model":"gpt-5-mini","up":"openai","who":"key_1"}',
  )
})

test('text that Postgres or Stripe would refuse is made fit', () => {
  const model = `${'x'.repeat(98)}\0\ud800tail`
  const [one] = measured({ m: { unit: 'requests', dimensions: { model: 'model' } } }, {}, { model })
  expect(JSON.parse(one?.dimensions ?? '')).toEqual({ model: `${'x'.repeat(98)}\ufffd\ufffd` })
})

describe('overage', () => {
  const two = { tokens: { unit: 'tokens', models: ['gpt-*'] }, calls: { unit: 'requests' } }
  const carried = (...of: Parameters<typeof measured>) =>
    measured(...of).map(({ meter, overageMicros }) => [meter, overageMicros])

  it('goes with one of several meters, so that it is closed once', () => {
    const fields = { total: CREDIT, overage: CREDIT }
    expect(carried(two, { input_tokens: 1 }, fields)).toEqual([
      ['tokens', CREDIT],
      ['calls', 0],
    ])
    const other = { ...fields, model: 'claude-opus-5' }
    expect(carried(two, { input_tokens: 1 }, other)).toEqual([['calls', CREDIT]])
  })

  it('goes with the first where none took anything', () => {
    const fields = { total: CREDIT, overage: CREDIT, model: 'claude-opus-5' }
    expect(carried(two, { requests: 0 }, fields)).toEqual([['tokens', CREDIT]])
  })
})

test('a dimension that says nothing is said to, for Stripe takes no empty text', () => {
  const meters = { m: { unit: 'requests', dimensions: { model: 'model', via: 'upstream' } } }
  const [one] = measured(meters, {}, { model: '', upstream: 'weather' })
  expect(one?.dimensions).toBe('{"model":"none","via":"weather"}')
})
