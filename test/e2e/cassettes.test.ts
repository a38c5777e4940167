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
  type Tokens,
} from './support/answers.ts'
import { chargeFor } from './support/money.ts'
import {
  ask,
  bodyFor,
  expectSpent,
  PATHS,
  requestIdOf,
  startWorld,
  type FamilyName,
  type World,
} from './support/world.ts'

const Counts = z.record(z.string(), z.number())
const Cassette = z.object({
  protocol: z.enum(['openai-chat', 'anthropic-messages']),
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
    return parsed.success ? [{ ...parsed.data, name }] : []
  })

const TOKENS: Tokens = { input: 40, cached: 10, output: 6 }
const USAGE = { input_tokens: 30, cache_read_tokens: 10, output_tokens: 6 }
const SSE = { 'content-type': 'text/event-stream' }
const JSON_TYPE = { 'content-type': 'application/json' }

/** Small answers of our own, which run everywhere. */
function ownFixtures(): Recording[] {
  const make = (
    name: string,
    family: FamilyName,
    response: Recording['response'],
    expected: Recording['expected'],
  ): Recording => ({
    name,
    protocol: family === 'openai' ? 'openai-chat' : 'anthropic-messages',
    request: { body: { ...bodyFor(family, `own-${name}`), model: `own-${name}` } },
    response,
    expected,
  })
  return (['openai', 'anthropic'] as const).flatMap((family) => {
    const isChat = family === 'openai'
    const model = `served-${family}`
    const json = JSON.stringify((isChat ? chatAnswer : messagesAnswer)(model, 'Hi.', TOKENS))
    const events = (isChat ? chatStream : messagesStream)(model, ['Hello', ' there'], TOKENS)
    const cut = events.slice(0, 5).join('')
    const error = '{"error":{"message":"Overloaded","type":"overloaded_error"}}'
    const whole = { complete: true, usage: USAGE }
    const broken = { complete: false, usage: isChat ? null : { ...USAGE, output_tokens: 1 } }
    const none = { complete: true, usage: null }
    return [
      make(`${family}-json`, family, { status: 200, headers: JSON_TYPE, body: json }, whole),
      make(`${family}-sse`, family, { status: 200, headers: SSE, body: events.join('') }, whole),
      make(`${family}-cut`, family, { status: 200, headers: SSE, body: cut.slice(0, -9) }, broken),
      make(`${family}-529`, family, { status: 529, headers: JSON_TYPE, body: error }, none),
    ]
  })
}

const isStream = ({ response }: Recording): boolean =>
  (response.headers['content-type'] ?? '').startsWith('text/event-stream')

const StreamOptions = z.object({ include_usage: z.boolean().optional() }).optional()

/** What the client must get: the recorded bytes, less the chunk that the gateway asked for. */
function expectedBytes(recording: Recording): string {
  const { protocol, request, response } = recording
  const asked = StreamOptions.parse(request.body.stream_options)?.include_usage === true
  const injected = protocol === 'openai-chat' && request.body.stream === true && !asked
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
  const family: FamilyName = protocol === 'openai-chat' ? 'openai' : 'anthropic'
  const customer = await world.customer('10000')
  const before = world.upstream.calls(model).length
  world.upstream.on(model, (call) => {
    call.out.writeHead(response.status, response.headers)
    if (how === 'end') call.out.end(response.body)
    else call.out.write(response.body, () => call.out.destroy())
  })
  const answer = await ask(world.gateway, family, customer.apiKey, request.body)
  const text = await answer.text()
  const sent = world.upstream.calls(model).slice(before)
  expect(sent.map((call) => call.path)).toEqual([PATHS[family]])
  replayed += 1
  return { customer, answer, text, family }
}

function expectUsage(receipt: Receipt, { expected }: Recording): void {
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
    expect(seen.output_tokens).toBeGreaterThan(0)
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
    const event = protocol === 'openai-chat' ? /^\n*data: \{"error":\{.*\n\n$/s : ANTHROPIC_ERROR
    expect(text.slice(kept.length)).toMatch(event)
  }
  const receipt = await world.gateway.admin.receipt(requestIdOf(answer))
  expect(receipt.status).toBe('posted')
  expectUsage(receipt, recording)
  await expectSpent(world, customer, 10_000, receipt.cost.micros)
}

const ANTHROPIC_ERROR = /^\n*event: error\ndata: \{"type":"error","error":\{.*\n\n$/s

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
