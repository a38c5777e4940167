import { describe, expect, it } from 'vitest'
import { measure, roughly, type Measured, type MeasuredRequest } from '../../src/gateway/measure.ts'
import { anthropicMessages } from '../../src/protocols/anthropic-messages.ts'
import { openaiResponses } from '../../src/protocols/openai-responses.ts'
import type { MeterReport } from '../../src/protocols/protocol.ts'
import { ask, bookOf, priceOf } from '../pricing/support.ts'

const prices = bookOf({
  prices: [{ upstream: 'local', model: '*', input_usd_per_mtok: '1', output_usd_per_mtok: '2' }],
})
const query = ask('local', 'llama')
const deps = { prices, tokens: { count: () => Promise.resolve(null) } }
const request: MeasuredRequest = {
  target: {
    price: priceOf(prices, query),
    query,
    bound: { inputTokensMax: 100, outputTokensMax: 100, webSearchesMax: 0, serviceTier: null },
  },
  view: { model: 'llama', serviceTier: null, inputText: () => [], inputTokensBeyondText: 0 },
}

/** What both ways of measuring keep of an answer; they must not differ. */
async function keptOf(report: MeterReport): Promise<Measured> {
  const exact = await measure(deps, request, report)
  expect(roughly(deps, request, report)).toEqual(exact)
  return exact
}

const iteration = { type: 'compaction\0', model: 'advisor\0\ud800', input_tokens: 5 }
const usage = { input_tokens: 3, output_tokens: 2, iterations: [iteration] }

describe('images that came beside the tokens of another model', () => {
  const drawn = bookOf({
    prices: [
      { upstream: 'local', model: '*', input_usd_per_mtok: '1', output_usd_per_mtok: '2' },
      { upstream: 'local', model: 'painter', per_image_usd: '0.25' },
    ],
  })
  const target = { ...request.target, price: priceOf(drawn, query) }
  const output = [{ type: 'image_generation_call', status: 'completed' }]
  const asked = (more: object) =>
    measure(
      { ...deps, prices: drawn },
      { ...request, target },
      openaiResponses.meterAnswer(
        Buffer.from(JSON.stringify({ model: 'llama', status: 'completed', output, ...more })),
      ),
    )
  const tools = [{ type: 'image_generation', model: 'painter' }]

  it('cost what the model costs that drew them, once', async () => {
    const counted = await asked({ usage, tools })
    expect(counted.usage).toEqual({ input_tokens: 3, output_tokens: 2, images: 1 })
    expect(counted.charge.costPicoUsd).toBe(7_000_000n + 250_000_000_000n)
    const none = await asked({ usage, tools, output: [] })
    expect(none.charge.costPicoUsd).toBe(7_000_000n)
  })

  it('are charged where an answer never tells its tokens', async () => {
    const cut = await asked({ tools })
    expect(cut).toMatchObject({ estimated: true, usage: { images: 1 } })
    expect(cut.charge.costPicoUsd).toBeGreaterThanOrEqual(250_000_000_000n)
  })
})

describe('what a provider writes into its answer', () => {
  it('reaches the receipt without what Postgres refuses, and is charged all the same', async () => {
    const model = `llama\0\u0007\udc00${'x'.repeat(9_000)}`
    const body = Buffer.from(JSON.stringify({ type: 'message', model, usage }))
    const measured = await keptOf(anthropicMessages.meterAnswer(body))
    expect(measured.model).toMatch(/^llama\ufffd\ufffd\ufffdx+$/)
    expect(measured.model).toHaveLength(256)
    expect(measured.usage).toEqual({
      input_tokens: 3,
      output_tokens: 2,
      iterations: [
        { type: 'compaction\ufffd', model: 'advisor\ufffd\ufffd', usage: { input_tokens: 5 } },
      ],
    })
    expect(measured.charge.costPicoUsd).toBe(12_000_000n)
  })

  it('keeps names as they are where nothing is wrong with them', async () => {
    const clean = { ...iteration, type: 'compaction', model: 'größer 🦙' }
    const body = { type: 'message', model: 'größer 🦙', usage: { ...usage, iterations: [clean] } }
    const report = anthropicMessages.meterAnswer(Buffer.from(JSON.stringify(body)))
    const measured = await keptOf(report)
    expect(measured.model).toBe('größer 🦙')
    expect(measured.usage.iterations).toMatchObject([{ type: 'compaction', model: 'größer 🦙' }])
  })

  it('is no id of a response where nobody could ask for it', async () => {
    const ids = ['resp_\0', 'resp_\ud800', 'r'.repeat(9_000), 'msg_1']
    const output = ids.map((id) => ({ type: 'message', id }))
    const body = { id: 'resp_1', status: 'completed', model: 'llama', output, usage }
    const report = openaiResponses.meterAnswer(Buffer.from(JSON.stringify(body)))
    expect(report.storedIds).toEqual(['resp_1', 'msg_1'])
    const measured = await keptOf({ ...report, storedIds: ['resp_1', ...ids] })
    expect(measured.storedIds).toEqual(['resp_1', 'msg_1'])
  })
})
