import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Receipt } from '../support/admin.ts'
import {
  chatAnswer,
  chatStream,
  messagesAnswer,
  messagesStream,
  responseAnswer,
  responseStream,
  type Tokens,
} from './support/answers.ts'
import { chargeFor } from './support/money.ts'
import { bodyFor, expectSpent, post, requestIdOf, startWorld, type World } from './support/world.ts'

const Counts = z.record(z.string(), z.number())
const Cassette = z.object({
  protocol: z.enum([
    'openai-chat',
    'openai-responses',
    'openai-completions',
    'openai-embeddings',
    'anthropic-messages',
  ]),
  request: z.object({ body: z.looseObject({ model: z.string() }) }),
  response: z.object({
    status: z.number(),
    headers: z.record(z.string(), z.string()),
    body: z.string(),
  }),
  expected: z.object({
    complete: z.boolean(),
    usage: Counts.nullable(),
    alternatives: z.array(Counts).optional(),
    iterations: z
      .array(z.object({ type: z.string(), model: z.string().nullable(), usage: Counts }))
      .optional(),
  }),
})
type Recording = z.infer<typeof Cassette> & { readonly name: string }

const directory = process.env.FAREBOX_CASSETTES
const recorded = directory === undefined ? [] : readdirSync(directory)
const recordings = recorded
  .filter((name) => name.endsWith('.json'))
  .flatMap((name): Recording[] => {
    const text = readFileSync(join(directory ?? '', name), 'utf8')
    const parsed = Cassette.safeParse(JSON.parse(text))
    // Background responses go on after their request: background.test.ts replays those.
    if (!parsed.success || parsed.data.request.body.background === true) return []
    return [{ ...parsed.data, name }]
  })

const TOKENS: Tokens = { input: 40, cached: 10, output: 6 }
const USAGE = { input_tokens: 30, cache_read_tokens: 10, output_tokens: 6 }
const SSE = { 'content-type': 'text/event-stream' }
const JSON_TYPE = { 'content-type': 'application/json' }

const OWN = {
  'openai-chat': { family: 'openai', json: chatAnswer, stream: chatStream, cutAt: 5 },
  'openai-responses': { family: 'openai', json: responseAnswer, stream: responseStream, cutAt: 6 },
  'anthropic-messages': {
    family: 'anthropic',
    json: messagesAnswer,
    stream: messagesStream,
    cutAt: 5,
  },
} as const
const OWN_NAMES = ['openai-chat', 'openai-responses', 'anthropic-messages'] as const

/** Small answers of our own, which run everywhere. */
function ownFixtures(): Recording[] {
  const make = (
    name: string,
    protocol: (typeof OWN_NAMES)[number],
    response: Recording['response'],
    expected: Recording['expected'],
  ): Recording => {
    const body = bodyFor(OWN[protocol].family, `own-${name}`, { input: 'Hello?' })
    return {
      name,
      protocol,
      request: { body: { ...body, model: `own-${name}` } },
      response,
      expected,
    }
  }
  return OWN_NAMES.flatMap((name) => {
    const own = OWN[name]
    const model = `served-${name}`
    const json = JSON.stringify(own.json(model, 'Hi.', TOKENS))
    const events = own.stream(model, ['Hello', ' there'], TOKENS)
    const cut = events.slice(0, own.cutAt).join('')
    const error = '{"error":{"message":"Overloaded","type":"overloaded_error"}}'
    const whole = { complete: true, usage: USAGE }
    const seen = own.family === 'anthropic' ? { ...USAGE, output_tokens: 1 } : null
    const none = { complete: true, usage: null }
    const broken = { complete: false, usage: seen }
    return [
      make(`${name}-json`, name, { status: 200, headers: JSON_TYPE, body: json }, whole),
      make(`${name}-sse`, name, { status: 200, headers: SSE, body: events.join('') }, whole),
      make(`${name}-cut`, name, { status: 200, headers: SSE, body: cut.slice(0, -9) }, broken),
      make(`${name}-529`, name, { status: 529, headers: JSON_TYPE, body: error }, none),
    ]
  })
}

const PATH_OF = {
  'openai-chat': '/v1/chat/completions',
  'openai-responses': '/v1/responses',
  'openai-completions': '/v1/completions',
  'openai-embeddings': '/v1/embeddings',
  'anthropic-messages': '/v1/messages',
} as const

const isStream = ({ response }: Recording): boolean =>
  (response.headers['content-type'] ?? '').startsWith('text/event-stream')

const StreamOptions = z.object({ include_usage: z.boolean().optional() }).optional()

/** What the client must get: the recorded bytes, less the chunk that the gateway asked for. */
function expectedBytes(recording: Recording): string {
  const { protocol, request, response } = recording
  const asked = StreamOptions.parse(request.body.stream_options)?.include_usage === true
  const asks = protocol === 'openai-chat' || protocol === 'openai-completions'
  const injected = asks && request.body.stream === true && !asked
  if (!injected || !isStream(recording)) return response.body
  return response.body
    .split(/(?<=\n\n)/)
    .filter((event) => !/"choices":\s*\[\],.*"usage":\s*\{/s.test(event))
    .join('')
}

let world: World
let replayed = 0
beforeAll(async () => {
  world = await startWorld({ config: { durability: 'posted' } })
})
afterAll(async () => {
  console.log(
    `cassettes end to end: ${replayed} answers replayed; ` +
      (directory === undefined
        ? 'FAREBOX_CASSETTES is not set, so only our own'
        : `${recordings.length} of ${recorded.length} recordings speak a metered protocol`),
  )
  await world.end()
})

/** Sends the recorded request to a gateway whose upstream sends the recorded answer. */
async function replay(recording: Recording, how: 'end' | 'destroy') {
  const { protocol, request, response } = recording
  const { model } = request.body
  const customer = await world.customer('10000')
  const before = world.upstream.calls(model).length
  world.upstream.on(model, (call) => {
    call.out.writeHead(response.status, response.headers)
    if (how === 'end') call.out.end(response.body)
    else call.out.write(response.body, () => call.out.destroy())
  })
  const answer = await post(world.gateway, PATH_OF[protocol], customer.apiKey, request.body)
  const text = await answer.text()
  const sent = world.upstream.calls(model).slice(before)
  expect(sent.map((call) => call.path)).toEqual([PATH_OF[protocol]])
  replayed += 1
  return { customer, answer, text }
}

/** A response that failed before its first word. */
const NOTHING_SAID = /^event: response\.created\n(?!.*\.delta)/s

function expectUsage(receipt: Receipt, { expected, response }: Recording): void {
  const { iterations = [], ...usage } = receipt.usage
  const seen = Counts.parse(usage)
  expect(iterations).toEqual(expected.iterations ?? [])
  expect(receipt.estimated).toBe(!expected.complete || expected.usage === null)
  if (!receipt.estimated) {
    expect([expected.usage, ...(expected.alternatives ?? [])]).toContainEqual(seen)
  } else {
    const reported = Object.entries(expected.usage ?? {})
    const input = reported.filter(([bucket]) => !bucket.startsWith('output_'))
    expect(seen).toMatchObject(Object.fromEntries(input))
    expect(seen.input_tokens).toBeGreaterThan(0)
    if (!NOTHING_SAID.test(response.body)) expect(seen.output_tokens).toBeGreaterThan(0)
  }
  const beside = expected.iterations ?? []
  const cost = beside.reduce((sum, each) => sum + chargeFor(each.usage), chargeFor(seen))
  expect(receipt.cost.micros).toBe(cost)
}

async function expectExact(recording: Recording, how: 'end' | 'destroy'): Promise<void> {
  const { customer, answer, text } = await replay(recording, how)
  const { response, expected, protocol } = recording
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe(response.headers['content-type'])
  const bytes = expectedBytes(recording)
  const saysError = /"type":\s?"error"|"error":\s?\{/.test(response.body)
  if (!isStream(recording) || expected.complete || saysError) expect(text).toBe(bytes)
  else {
    // Whole events as they came; half of one is dropped where the connection broke.
    const kept = how === 'end' ? bytes : bytes.slice(0, bytes.lastIndexOf('\n\n') + 2)
    expect(text.slice(0, kept.length)).toBe(kept)
    expect(text.slice(kept.length)).toMatch(protocol === 'openai-chat' ? CHAT_ERROR : NAMED_ERROR)
  }
  const receipt = await world.gateway.admin.receipt(requestIdOf(answer))
  expect(receipt.status).toBe('posted')
  expectUsage(receipt, recording)
  await expectSpent(world, customer, 10_000, receipt.cost.micros)
}

const CHAT_ERROR = /^\n*data: \{"error":\{.*\n\n$/s
const NAMED_ERROR = /^\n*event: error\ndata: \{"type":"error",.*"error":\{.*\n\n$/s

async function expectError(recording: Recording): Promise<void> {
  const { customer, answer, text } = await replay(recording, 'end')
  const { status, body } = recording.response
  if (body.includes('insufficient_quota')) {
    expect(answer.status).toBe(503)
    expect(answer.headers.get('x-should-retry')).toBe('false')
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'upstream_unavailable' } })
  } else {
    expect(answer.status).toBe(status)
    expect(text).toBe(body)
  }
  await expectSpent(world, customer, 10_000, 0)
}

describe('a recorded answer reaches the client as it was and is charged to the micro', () => {
  const all = [...ownFixtures(), ...recordings]
  it.each(all.filter(({ response }) => response.status === 200))('$name', async (recording) => {
    await expectExact(recording, 'end')
  })
  it.each(all.filter((each) => !each.expected.complete))(
    '$name, with the connection broken',
    async (recording) => {
      await expectExact(recording, 'destroy')
    },
  )
  it.each(all.filter(({ response }) => response.status !== 200))('$name', expectError)
})

it.skipIf(directory === undefined)('the recordings are there', () => {
  expect(recordings.length).toBeGreaterThan(25)
})
