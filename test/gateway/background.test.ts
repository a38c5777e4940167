import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Agent } from 'undici'
import { cancel, lookAt } from '../../src/gateway/background/look.ts'
import { chargeOf } from '../../src/gateway/background/poller.ts'
import { stateOf, stateOfWhole } from '../../src/gateway/background/state.ts'
import { makeBodyReader } from '../../src/gateway/reading/body-reader.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { micros } from '../../src/kernel/money.ts'
import { answerHead, eventHead } from '../../src/protocols/answer-head.ts'

const MB = 1024 * 1024
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const large = (more: Record<string, unknown>, bytes: number, after: Record<string, unknown> = {}) =>
  json({ ...more, instructions: 'x"\\'.repeat(bytes / 5), ...after })

describe('what an answer says of a background response', () => {
  it('is read from its first members, whatever comes after them', () => {
    const queued = large({ id: 'resp_1', object: 'response', status: 'queued', model: 'm' }, 2 * MB)
    for (const bytes of [100, 70_000, MB, queued.length]) {
      const state = stateOf(answerHead(queued.subarray(0, bytes)))
      expect(state).toEqual({ kind: 'under_way', responseId: 'resp_1' })
    }
    expect(stateOfWhole(queued)).toEqual({ kind: 'under_way', responseId: 'resp_1' })
    const late = large({ id: 'resp_1' }, MB, { status: 'in_progress' })
    expect(stateOfWhole(late)).toEqual({ kind: 'under_way', responseId: 'resp_1' })
    expect(stateOf(answerHead(late.subarray(0, MB / 2)))).toEqual({
      kind: 'unread',
      responseId: 'resp_1',
    })
  })

  it('is not read from what was cut off, nested or quoted', () => {
    const kinds = (text: string) => stateOf(answerHead(Buffer.from(text)))
    const none = { kind: 'unread', responseId: null }
    expect(kinds('{"id":"resp_1')).toEqual(none)
    expect(kinds('{"id":"resp_1"')).toEqual(none)
    expect(kinds('{"x":{"id":"resp_1","status":"queued"},')).toEqual(none)
    expect(kinds('{"x":"\\"id\\":\\"resp_1\\"",')).toEqual(none)
    expect(kinds('{"toString":"x","id":7,')).toEqual(none)
    expect(kinds('')).toEqual(none)
  })

  it('is that it has ended only where it says so, or keeps nothing', () => {
    for (const status of ['completed', 'failed', 'incomplete', 'cancelled']) {
      expect(stateOfWhole(json({ id: 'r', status })).kind).toBe('ended')
    }
    expect(stateOfWhole(json({ error: 'x' })).kind).toBe('ended')
    expect(stateOfWhole(json({ id: 'r', usage: {} })).kind).toBe('ended')
    expect(stateOfWhole(json({ id: 'r', status: 'of tomorrow' })).kind).toBe('under_way')
    const unread = { kind: 'unread', responseId: 'r' }
    expect(stateOfWhole(json({ id: 'r' }))).toEqual(unread)
    expect(stateOfWhole(Buffer.from('{"id":"r","usage":{}'))).toEqual(unread)
    expect(stateOfWhole(Buffer.from('It is begun.')).kind).toBe('unread')
  })

  it('is read inside an event of a stream, cut off or not', () => {
    const response = { id: 'resp_1', object: 'response', status: 'queued', y: 'z'.repeat(2 * MB) }
    const event = json({ type: 'response.created', sequence_number: 0, response })
    for (const bytes of [200, MB, event.length]) {
      const head = eventHead(event.subarray(0, bytes))
      expect(head).toEqual({ id: 'resp_1', status: 'queued', model: null })
    }
    const late = eventHead(json({ type: 'x'.repeat(70_000), response: { id: 'resp_1' } }))
    expect(late).toMatchObject({ id: 'resp_1' })
    expect(eventHead(json({ type: 'response.output_text.delta', delta: 'response' }))).toBeNull()
    expect(eventHead(Buffer.from('[DONE]'))).toBeNull()
  })
})

describe('a provider that is asked about a response', () => {
  let answer: { status: number; body: Buffer } = { status: 200, body: json({}) }
  const server = createServer((_request, out) => {
    out.writeHead(answer.status, { 'content-type': 'application/json' })
    out.end(answer.body)
  })
  const dispatcher = new Agent()
  const bodies = makeBodyReader({ clock: systemClock })
  let upstream: Parameters<typeof lookAt>[1]
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : null
    const own = { basePath: '', ownHeaders: [], ownHeaderNames: new Set<string>() }
    upstream = { ...own, origin: `http://127.0.0.1:${String(port)}`, dispatcher }
  })
  afterAll(async () => {
    await Promise.all([dispatcher.close(), bodies.close()])
    server.close()
  })
  const usage = { input_tokens: 45, output_tokens: 17 }
  const output = Array.from({ length: MB / 4 }, () => ({ type: 'message' }))
  const many = (length: number) => Array.from({ length }, (_, n) => ({ id: `m_${n}`, x: [0, 1] }))
  const buckets = { input_tokens: 45, output_tokens: 17 }
  const head = { id: 'resp_1', object: 'response', created_at: 1 }
  const look = (body: unknown, status = 200) => {
    answer = { status, body: Buffer.isBuffer(body) ? body : json(body) }
    return lookAt(bodies, upstream, 'resp_1')
  }

  it('tells its usage however large the response is', async () => {
    const small = await look({ ...head, status: 'completed', output: [], usage })
    expect(small).toMatchObject({ kind: 'ended', report: { usage: buckets } })
    const whole = { ...head, status: 'completed', model: 'm-1', output, usage, user: null }
    const found = await look(whole)
    expect(found).toMatchObject({
      kind: 'ended',
      report: { usage: buckets, model: 'm-1', storedIds: ['resp_1'] },
    })
    const failed = await look({ ...head, status: 'failed', output, usage: null })
    expect(failed).toMatchObject({ kind: 'ended', report: { usage: null } })
    expect(await look({ ...head, status: 'in_progress', output, usage: null })).toEqual({
      kind: 'open',
    })
    expect(await look({ ...head, output, status: 'in_progress', usage: null })).toEqual({
      kind: 'unknown',
      status: 200,
    })
    expect(await look({ output, status: 'completed', usage })).toMatchObject({ kind: 'ended' })
  })

  it('tells all of a response that is large by its pictures, and keeps nobody waiting', async () => {
    const picture = { id: 'ig_1', type: 'image_generation_call', result: 'A'.repeat(9 * MB) }
    const body = json({ ...head, output: [picture], status: 'completed', model: 'm-1', usage })
    const parse = vi.spyOn(JSON, 'parse')
    expect(await look(body)).toMatchObject({
      kind: 'ended',
      report: { usage: { ...buckets, images: 1 }, model: 'm-1', storedIds: ['resp_1', 'ig_1'] },
    })
    const parsed = parse.mock.calls.map(([text]) => text.length)
    parse.mockRestore()
    expect(Math.max(...parsed)).toBeLessThan(MB / 2)
  })

  it('tells the items of one with too much in it to be read at once', async () => {
    const whole = { ...head, status: 'completed', output: many(MB / 16), usage }
    expect(json(whole).length).toBeGreaterThan(MB)
    const found = await look(whole)
    expect(found).toMatchObject({ kind: 'ended', report: { usage: buckets } })
    expect(found.kind === 'ended' && found.report.storedIds?.slice(0, 3)).toEqual([
      'resp_1',
      'm_0',
      'm_1',
    ])
    const beyond = await look({ ...whole, output: many((8 * MB) / 20) })
    expect(beyond).toMatchObject({ report: { usage: buckets, storedIds: ['resp_1'] } })
  })

  it('is asked again where it does not tell', async () => {
    expect(await look('nothing')).toEqual({ kind: 'unknown', status: 200 })
    expect(await look({}, 500)).toEqual({ kind: 'unknown', status: 500 })
    expect(await look({}, 404)).toEqual({ kind: 'gone' })
    expect(await look({ id: 'resp_1', status: 'queued' })).toEqual({ kind: 'open' })
  })

  it('has cancelled it only where it says so and bills nothing', async () => {
    const cancelled = (body: unknown, status = 200): Promise<boolean> => {
      answer = { status, body: json(body) }
      return cancel(upstream, 'resp_1')
    }
    expect(await cancelled({ ...head, status: 'cancelled', usage: null })).toBe(true)
    expect(await cancelled({ ...head, status: 'cancelled', usage })).toBe(false)
    expect(await cancelled({ ...head, status: 'completed', usage })).toBe(false)
    expect(await cancelled({ ...head, status: 'in_progress' })).toBe(false)
    expect(await cancelled({ ...head, status: 'cancelled' }, 404)).toBe(false)
    expect(await cancel({ ...upstream, origin: 'http://127.0.0.1:1' }, 'r')).toBe(false)
  })
})

it('a response whose model lost its price waits for one, but not for ever', () => {
  const draft = {
    ...{ holdId: 'h', accountId: 'a', keyId: 'k', startedAtMs: 0, protocol: 'openai-responses' },
    ...{ endpoint: 'responses', upstream: 'u', model: 'm', stream: false, estimated: true },
    ...{ usage: { input_tokens: 9 }, providerCostPicoUsd: '900', priceVersion: 'v1' },
    ...{ httpStatus: 200, firstByteMs: 1, durationMs: 2 },
  }
  const terms = {
    ...{ upstream: 'u', model: 'm', serviceTier: null, markup: null, price: null },
    inputTokens: 9,
    ...{ outputTokensMax: 5, progressMicros: micros(77), answer: null },
  }
  const held = { micros: micros(500), day: 1, reservedAtMs: 0, createdAtMs: 0 }
  const job = { holdId: 'h', accountId: 'a', responseId: 'resp_1', ...held, draft, terms }
  expect(chargeOf(job, null, false, 9)).toBeNull()
  expect(chargeOf(job, null, true, 9)).toEqual({ draft, micros: 77, tokens: 0 })
})
