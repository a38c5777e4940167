import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Customer, Receipt } from '../support/admin.ts'
import {
  chatAnswer,
  chatDelta,
  chatStream,
  chatUsageBeside,
  chatUsageChunk,
  DONE,
  sse,
  type Tokens,
} from './support/answers.ts'
import { answerJson, answerStream } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  expectCharged,
  expectSpent,
  newModel,
  requestIdOf,
  startWorld,
  type Expected,
  type World,
} from './support/world.ts'

const TOKENS: Tokens = { input: 30, output: 7 }
const USAGE = { input_tokens: 30, output_tokens: 7 }
const TEXT = 'It rains in Bern and will go on raining.'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

interface Streamed {
  readonly customer: Customer
  readonly text: string
  readonly options: unknown
  readonly sent: string
  charged(expected: Expected): Promise<Receipt['usage']>
}

/** One raw stream through the gateway: the events that came in, the bytes that came out. */
async function stream(
  events: (model: string) => string[],
  more: Record<string, unknown> = {},
): Promise<Streamed> {
  const model = newModel()
  const customer = await world.customer('10')
  world.upstream.on(model, (call) => {
    answerStream(call, events(model))
  })
  const body = bodyFor('openai', model, { stream: true, ...more })
  const response = await ask(world.gateway, 'openai', customer.apiKey, body)
  const text = await response.text()
  const call = await world.upstream.call(model)
  return {
    customer,
    text,
    options: call.json.stream_options,
    sent: events(model).join(''),
    async charged(expected) {
      const receipt = await expectCharged(world, requestIdOf(response), expected)
      await expectSpent(world, customer, 10, receipt.cost.micros)
      return receipt.usage
    },
  }
}

it('asks for the usage chunk and takes it out again, every other byte as it came', async () => {
  const done = await stream((model) => chatStream(model, [TEXT], TOKENS))
  expect(done.options).toEqual({ include_usage: true })
  const [model] = /model-\d+/.exec(done.text) ?? ['']
  expect(done.text).toBe(done.sent.replace(chatUsageChunk(model, TOKENS), ''))
  expect(done.text).not.toContain('"usage"')
  await done.charged({ usage: USAGE })
})

it('merges into stream_options that are there, also where the flag says false', async () => {
  const done = await stream((model) => chatStream(model, [TEXT], TOKENS), {
    stream_options: { include_obfuscation: false, include_usage: false },
  })
  expect(done.options).toEqual({ include_obfuscation: false, include_usage: true })
  expect(done.text).not.toContain('"usage"')
  await done.charged({ usage: USAGE })
})

it('leaves request and answer alone where the client asked itself', async () => {
  const done = await stream((model) => chatStream(model, [TEXT], TOKENS), {
    max_tokens: 100,
    stream_options: { include_usage: true },
  })
  expect(done.text).toBe(done.sent)
  await done.charged({ usage: USAGE })
})

it('meters and forwards usage that rides on a chunk with choices', async () => {
  const done = await stream((model) => [
    chatDelta(model, { content: TEXT }),
    chatUsageBeside(model, TOKENS),
    DONE,
  ])
  expect(done.text).toBe(done.sent)
  await done.charged({ usage: USAGE })
})

it('finds the usage chunk where it is not the last one', async () => {
  const done = await stream((model) => [
    chatDelta(model, { content: 'It ' }),
    chatUsageChunk(model, TOKENS),
    chatDelta(model, { content: 'rains.' }, 'stop'),
    DONE,
  ])
  expect(done.text).not.toContain('"usage"')
  expect(done.text).toContain('rains.')
  await done.charged({ usage: USAGE })
})

it('keeps a chunk without choices that carries something of its own', async () => {
  const moderated = (model: string): string =>
    sse({
      model,
      choices: [],
      usage: { prompt_tokens: 30, completion_tokens: 7 },
      moderation: { flagged: false },
    })
  const azure = (model: string): string =>
    sse({ model, choices: [], prompt_filter_results: [{ prompt_index: 0 }] })
  const done = await stream((model) => [
    azure(model),
    chatDelta(model, { content: TEXT }, 'stop'),
    moderated(model),
    DONE,
  ])
  expect(done.text).toBe(done.sent)
  await done.charged({ usage: USAGE })
})

it('counts text by the tokenizer where no usage comes, and says so', async () => {
  const sentence = 'The quick brown fox jumps over the lazy dog. '
  const done = await stream(
    (model) => [
      ...(sentence.repeat(50).match(/.{1,7}/g) ?? []).map((content) =>
        chatDelta(model, { content }),
      ),
      chatDelta(model, {}, 'stop'),
      DONE,
    ],
    { messages: [{ role: 'user', content: sentence.repeat(20) }] },
  )
  expect(done.text).toBe(done.sent)
  // Ten tokens a sentence in cl100k and o200k, however it was cut; the input has its frame besides.
  const usage = await done.charged({ estimated: true })
  expect(usage.output_tokens).toBe(501)
  expect(usage.input_tokens).toBeGreaterThanOrEqual(201)
  expect(usage.input_tokens).toBeLessThan(230)
})

it('takes a reported zero for zero, and a null for nothing', async () => {
  const zero = await stream((model) => chatStream(model, [TEXT], { input: 30, output: 0 }))
  await zero.charged({ usage: { input_tokens: 30 } })
  const none = await stream((model) => [
    sse({ model, choices: [{ index: 0, delta: { content: TEXT } }], usage: null }),
    DONE,
  ])
  await none.charged({ estimated: true })
})

it('a stream without [DONE] whose every choice ended is whole; one cut before that is not', async () => {
  const whole = await stream((model) =>
    chatStream(model, ['Sun', 'ny.'], TOKENS).filter((event) => event !== DONE),
  )
  expect(whole.text).not.toContain('"error"')
  await whole.charged({ usage: USAGE })
  const cut = await stream((model) => [chatDelta(model, { content: 'Sun' })])
  expect(cut.text).toContain('"error"')
  await cut.charged({ estimated: true })
  const half = await stream((model) => [
    ...chatStream(model, ['Sunny.'], TOKENS).filter((event) => event !== DONE),
    'data: {"choices":[',
  ])
  expect(half.text).toContain('"error"')
  const twoOfThree = await stream(
    (model) => [chatDelta(model, { content: 'Sunny.' }), chatDelta(model, {}, 'stop')],
    { n: 3 },
  )
  expect(twoOfThree.text).toContain('"error"')
})

it.each([null, 'text/html; charset=utf-8', 'application/json'])(
  'streams events whose content type is %s, and charges them exactly',
  async (type) => {
    const model = newModel()
    const customer = await world.customer('10')
    const usage = chatUsageChunk(model, TOKENS)
    const events = [': hello\n\n', chatDelta(model, { content: TEXT }), usage, DONE].join('')
    let finish = (): void => undefined
    world.upstream.on(model, ({ out }) => {
      out.writeHead(200, type === null ? {} : { 'content-type': type })
      out.write(events.slice(0, -9))
      finish = () => out.end(events.slice(-9))
    })
    const body = bodyFor('openai', model, { stream: true })
    const response = await ask(world.gateway, 'openai', customer.apiKey, body)
    expect(response.headers.get('content-type')).toBe(type)
    finish() // the beginning is here before the end was sent
    expect(await response.text()).toBe(events.replace(usage, ''))
    const { cost } = await expectCharged(world, requestIdOf(response), { usage: USAGE })
    await expectSpent(world, customer, 10, cost.micros)
  },
)

it('passes a whole answer to a request for a stream as it came', async () => {
  const model = newModel()
  const customer = await world.customer('10')
  world.upstream.on(model, (call) => {
    answerJson(call, chatAnswer(model, TEXT, TOKENS))
  })
  const body = bodyFor('openai', model, { stream: true })
  const response = await ask(world.gateway, 'openai', customer.apiKey, body)
  expect(await response.json()).toEqual(chatAnswer(model, TEXT, TOKENS))
  await expectCharged(world, requestIdOf(response), { usage: USAGE })
})
