import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Customer } from '../support/admin.ts'
import { until } from '../support/until.ts'
import { openRaw, parseAnswer } from './support/raw.ts'
import { expectSpent, startWorld, type World } from './support/world.ts'

let world: World
let customer: Customer
beforeAll(async () => {
  world = await startWorld()
  customer = await world.customer('10')
})
afterAll(() => world.end())

type Envelope = 'openai' | 'anthropic' | 'gemini'
const REFUSED: readonly [string, string, Envelope][] = [
  ['POST', '/v1/batches', 'openai'],
  ['GET', '/v1/batches/batch_1', 'openai'],
  ['POST', '/v1/batches/batch_1/cancel', 'openai'],
  ['POST', '/v1/files', 'openai'],
  ['GET', '/v1/files', 'openai'],
  ['GET', '/v1/files/file-1/content', 'openai'],
  ['DELETE', '/v1/files/file-1', 'openai'],
  ['POST', '/v1/uploads', 'openai'],
  ['POST', '/v1/fine_tuning/jobs', 'openai'],
  ['GET', '/v1/fine_tuning/jobs/ftjob-1/events', 'openai'],
  ['POST', '/v1/fine-tunes', 'openai'],
  ['POST', '/v1/assistants', 'openai'],
  ['POST', '/v1/threads', 'openai'],
  ['POST', '/v1/threads/runs', 'openai'],
  ['POST', '/v1/threads/thread_1/messages', 'openai'],
  ['POST', '/v1/realtime/sessions', 'openai'],
  ['POST', '/v1/realtime/client_secrets', 'openai'],
  ['GET', '/v1/realtime?model=gpt-realtime', 'openai'],
  ['POST', '/v1/messages/batches', 'anthropic'],
  ['GET', '/v1/messages/batches/msgbatch_1/results', 'anthropic'],
  ['POST', '/v1beta/models/gemini-3-pro:batchGenerateContent', 'gemini'],
  ['POST', '/v1beta/models/gemini-3-pro:asyncBatchEmbedContent', 'gemini'],
  ['GET', '/v1beta/batches/1', 'gemini'],
  ['POST', '/upload/v1beta/files', 'gemini'],
  ['GET', '/v1beta/files/1', 'gemini'],
  ['POST', '/v1beta/tunedModels', 'gemini'],
]

const OpenaiError = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.literal('invalid_request_error'),
    param: z.null(),
    code: z.literal('unsupported'),
  }),
})
const AnthropicError = z.strictObject({
  type: z.literal('error'),
  error: z.strictObject({ type: z.string(), message: z.string() }),
  request_id: z.string(),
})
const GeminiError = z.object({
  error: z.object({
    code: z.number(),
    message: z.string(),
    status: z.string(),
    details: z.tuple([z.object({ reason: z.literal('UNSUPPORTED') })]),
  }),
})
const ENVELOPES = { openai: OpenaiError, anthropic: AnthropicError, gemini: GeminiError }

describe('what cannot be metered is refused in the envelope of who asks', () => {
  it.each(REFUSED)('%s %s', async (method, path, envelope) => {
    const answer = await fetch(`${world.gateway.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${customer.apiKey}`, 'content-type': 'application/json' },
      ...(method === 'POST' ? { body: '{"model":"m"}' } : {}),
    })
    expect(answer.status).toBe(404)
    expect(answer.headers.get('x-farebox-request-id')).not.toBeNull()
    const { error } = ENVELOPES[envelope].parse(await answer.json())
    expect(error.message).toMatch(/cannot be metered/)
  })

  it('whatever its body is', async () => {
    const body = new FormData()
    body.set('purpose', 'batch')
    body.set('file', new Blob(['{}']), 'a.jsonl')
    const headers = { authorization: `Bearer ${customer.apiKey}` }
    const answer = await fetch(`${world.gateway.url}/v1/files`, { method: 'POST', headers, body })
    expect(answer.status).toBe(404)
    expect(OpenaiError.parse(await answer.json()).error.message).toMatch(/cannot be metered/)
  })

  it('and nothing of it reaches an upstream or a balance', async () => {
    expect(world.upstream.all).toEqual([])
    await expectSpent(world, customer, 10, 0)
  })
})

describe('a WebSocket is refused over HTTP at once, and the connection goes on', () => {
  const UPGRADE = [
    'connection: Upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
  ]
  it.each([
    ['/v1/realtime?model=m', 404, 'openai'],
    ['/v1/responses', 400, 'openai'],
    ['/v1/models', 400, 'openai'],
    ['/v1/nothing', 400, 'openai'],
    ['/up/weather/socket', 400, 'openai'],
    [
      '/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent',
      404,
      'gemini',
    ],
  ] as const)('%s', async (path, status, envelope) => {
    const client = openRaw(world.gateway)
    const key = `authorization: Bearer ${customer.apiKey}`
    client.write([`GET ${path} HTTP/1.1`, 'host: gateway', key, ...UPGRADE, '', ''].join('\r\n'))
    const whole = await until(() => client.received().includes('\r\n\r\n{') && client.received())
    const answer = parseAnswer(whole)
    expect(answer.status).toBe(status)
    ENVELOPES[envelope].parse(await answer.json())
    client.socket.destroy()
  })

  it('also of a client that asks with a body', async () => {
    const client = openRaw(world.gateway)
    const key = `authorization: Bearer ${customer.apiKey}`
    const head = ['POST /v1/responses HTTP/1.1', 'host: gateway', key, ...UPGRADE]
    client.write([...head, 'content-length: 2', '', '{}'].join('\r\n'))
    const whole = await until(() => client.received().includes('\r\n\r\n{') && client.received())
    expect(parseAnswer(whole).status).toBe(400)
    client.socket.destroy()
  })
})
