import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  chatAnswer,
  chatDelta,
  chatStream,
  chatToolStream,
  messagesAnswer,
  messagesStream,
  messagesToolStream,
  messageStart,
  textDelta,
  textStart,
  type Tokens,
} from './support/answers.ts'
import { CLIENTS, type ClientKind } from './support/clients.ts'
import { makeCountingFetch, type CountingFetch } from './support/counting-fetch.ts'
import { answerJson, answerStream, openStream } from './support/upstream.ts'
import {
  expectCharged,
  expectChargedSoon,
  expectSpent,
  newModel,
  OPERATOR_KEYS,
  PATHS,
  startWorld,
  type FamilyName,
  type World,
} from './support/world.ts'
import { until } from '../support/until.ts'

const TOKENS: Tokens = { input: 45, cached: 20, output: 17 }
const USAGE = { input_tokens: 25, cache_read_tokens: 20, output_tokens: 17 }
const WORDS = ['It is ', 'sunny ', 'in Bern, 22 °C. 🌞']
const TEXT = WORDS.join('')
const GRANT = 100

const wire = {
  openai: { answer: chatAnswer, stream: chatStream, tool: chatToolStream },
  anthropic: { answer: messagesAnswer, stream: messagesStream, tool: messagesToolStream },
}

/** Text of a stream that goes on, for clients to leave. */
const opening = (family: FamilyName, model: string): string[] =>
  family === 'openai'
    ? [chatDelta(model, { role: 'assistant', content: TEXT })]
    : [messageStart(model, TOKENS), textStart, textDelta(TEXT)]

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

describe.each(CLIENTS)('$name', (kind: ClientKind) => {
  const { family } = kind
  const prepare = async () => {
    const customer = await world.customer(String(GRANT))
    const counting: CountingFetch = makeCountingFetch()
    const { apiKey } = customer
    const client = kind.make({ url: world.gateway.url, apiKey, fetch: counting.fetch })
    return { customer, counting, client, model: newModel() }
  }
  /** One call of the SDK, one of the gateway, with the operator's key in place of the client's. */
  const expectOneCall = (model: string, counting: CountingFetch, apiKey: string): void => {
    expect(counting.calls).toHaveLength(1)
    const [call, ...more] = world.upstream.calls(model)
    expect(more).toEqual([])
    expect(call?.path.split('?')[0]).toBe(PATHS[family])
    const sent = JSON.stringify(call?.rawHeaders)
    expect(sent).toContain(OPERATOR_KEYS[family])
    expect(sent).not.toContain(apiKey)
  }

  it('gets a whole answer and is charged what it reports', async () => {
    const { customer, counting, client, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerJson(call, wire[family].answer(model, TEXT, TOKENS))
    })
    const said = await client.json(model)
    expect(said.text).toBe(TEXT)
    expectOneCall(model, counting, customer.apiKey)
    const receipt = await expectCharged(world, counting.requestId(), { usage: USAGE })
    expect(receipt.stream).toBe(false)
    expect(receipt.model).toBe(model)
    const cost = counting.calls[0]?.response?.headers.get('x-farebox-cost')
    expect(cost).toBe(receipt.cost.credits)
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('reads a stream to its end and is charged what it reports', async () => {
    const { customer, counting, client, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerStream(call, wire[family].stream(model, WORDS, TOKENS))
    })
    const said = await client.stream(model)
    expect(said.text).toBe(TEXT)
    expectOneCall(model, counting, customer.apiKey)
    const receipt = await expectCharged(world, counting.requestId(), { usage: USAGE })
    expect(receipt.stream).toBe(true)
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('calls a tool, whole and streamed', async () => {
    const { customer, counting, client, model } = await prepare()
    const called = { name: 'weather', args: { city: 'Bern' } }
    world.upstream.on(model, (call) => {
      if (call.json.stream === true) answerStream(call, wire[family].tool(model, TOKENS))
      else answerJson(call, wire[family].answer(model, null, TOKENS))
    })
    expect((await client.json(model, true)).tool).toEqual(called)
    const whole = await expectCharged(world, counting.requestId(), { usage: USAGE })
    expect((await client.stream(model, true)).tool).toEqual(called)
    const streamed = await expectCharged(world, counting.requestId(), { usage: USAGE })
    expect(counting.calls).toHaveLength(2)
    expect(world.upstream.calls(model)).toHaveLength(2)
    await expectSpent(world, customer, GRANT, whole.cost.micros + streamed.cost.micros)
  })

  it('leaves in mid-stream: the upstream is cut off and what was said is charged', async () => {
    const { customer, counting, client, model } = await prepare()
    world.upstream.on(model, (call) => {
      openStream(call, opening(family, model))
    })
    expect(await client.leave(model)).toBe(TEXT)
    const call = await world.upstream.call(model)
    await until(() => call.cut)
    const receipt = await expectChargedSoon(world, counting.requestId(), { estimated: true })
    expectOneCall(model, counting, customer.apiKey)
    const { input_tokens: input, output_tokens: output, ...rest } = receipt.usage
    if (family === 'anthropic') {
      expect(input).toBe(USAGE.input_tokens)
      expect(rest).toEqual({ cache_read_tokens: USAGE.cache_read_tokens })
    } else {
      expect(input).toBeGreaterThan(5)
      expect(rest).toEqual({})
    }
    expect(output).toBeGreaterThan(6)
    expect(output).toBeLessThan(40)
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })
})
