import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createOpenAI } from '@ai-sdk/openai'
import { ChatOpenAI } from '@langchain/openai'
import { streamText } from 'ai'
import type { Customer } from '../support/admin.ts'
import {
  responseAnswer,
  responseDelta,
  responseEnd,
  responseStart,
  responseStream,
  responseToolStream,
  TOOL_ARGUMENTS,
  type Tokens,
} from './support/answers.ts'
import { PRICES } from './support/money.ts'
import { makeCountingFetch } from './support/counting-fetch.ts'
import { answerJson, answerStream, openStream } from './support/upstream.ts'
import {
  expectCharged,
  expectChargedSoon,
  expectSpent,
  newModel,
  onlyRequestOf,
  OPERATOR_KEYS,
  OUTPUT_DEFAULT,
  post,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const TOKENS: Tokens = { input: 45, cached: 20, output: 17 }
const USAGE = { input_tokens: 25, cache_read_tokens: 20, output_tokens: 17 }
const WORDS = ['It is ', 'sunny ', 'in Bern, 22 °C. 🌞']
const TEXT = WORDS.join('')
const GRANT = 100
const PATH = '/v1/responses'
const WEATHER = {
  type: 'function' as const,
  name: 'weather',
  strict: true,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
}

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

async function prepare(prefix?: string) {
  const customer = await world.customer(String(GRANT))
  const counting = makeCountingFetch()
  const { apiKey } = customer
  const options = { apiKey, fetch: counting.fetch, maxRetries: 0 }
  const client = new OpenAI({ ...options, baseURL: `${world.gateway.url}/v1` })
  return { customer, counting, client, model: newModel(prefix) }
}

async function spent(customer: Customer, requestId: string, usage = USAGE): Promise<void> {
  const receipt = await expectCharged(world, requestId, { usage })
  expect(receipt).toMatchObject({ protocol: 'openai-responses', endpoint: 'responses' })
  await expectSpent(world, customer, GRANT, receipt.cost.micros)
}

describe('the openai SDK', () => {
  it('gets a response, charged by its usage and bounded by an injected limit', async () => {
    const { customer, client, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerJson(call, responseAnswer(model, TEXT, TOKENS))
    })
    const { data, response } = await client.responses
      .create({ model, input: 'What is the weather in Bern?' })
      .withResponse()
    expect(data.output_text).toBe(TEXT)
    expect(response.headers.get('x-farebox-cost')).not.toBeNull()
    const [call] = world.upstream.calls(model)
    expect(call?.path).toBe(PATH)
    expect(call?.json.max_output_tokens).toBe(OUTPUT_DEFAULT)
    expect(call?.headers.authorization).toBe(`Bearer ${OPERATOR_KEYS.openai}`)
    await spent(customer, requestIdOf(response))
  })

  it('streams, to the end that the terminal event is', async () => {
    const { customer, client, model, counting } = await prepare()
    world.upstream.on(model, (call) => {
      answerStream(call, responseStream(model, WORDS, TOKENS))
    })
    const final = await client.responses.stream({ model, input: 'Weather?' }).finalResponse()
    expect(final.output_text).toBe(TEXT)
    expect(final.usage?.output_tokens).toBe(TOKENS.output)
    expect(counting.calls).toHaveLength(1)
    await spent(customer, await onlyRequestOf(world, customer))
  })

  it('runs a tool loop as agents do: call, output, answer', async () => {
    const { customer, client, model } = await prepare()
    world.upstream.on(model, (call) => {
      const turns = world.upstream.calls(model).length
      answerStream(
        call,
        turns === 1
          ? responseToolStream(model, TOKENS)
          : responseStream(model, WORDS, TOKENS, { id: 'resp_2' }),
      )
    })
    const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: 'Weather in Bern?' }]
    const tools = [WEATHER]
    const first = await client.responses
      .stream({ model, input, tools, store: false })
      .finalResponse()
    const [called] = first.output
    if (called?.type !== 'function_call') throw new Error('no call')
    expect(called.arguments).toBe(TOOL_ARGUMENTS)
    const output = JSON.stringify({ sky: 'sunny' })
    input.push(called, { type: 'function_call_output', call_id: called.call_id, output })
    const second = await client.responses
      .stream({ model, input, tools, store: false })
      .finalResponse()
    expect(second.output_text).toBe(TEXT)
    await expectSpent(world, customer, GRANT, 2 * (25 * 120 + 20 * 12 + 17 * 480))
  })

  it('leaves in the middle and is charged for what it got', async () => {
    const { customer, client, model } = await prepare()
    world.upstream.on(model, (call) => {
      openStream(call, [...responseStart(model), responseDelta(TEXT)])
    })
    const stream = await client.responses.create({ model, input: 'Weather?', stream: true })
    for await (const event of stream) {
      if (event.type === 'response.output_text.delta') break
    }
    const requestId = await onlyRequestOf(world, customer)
    const receipt = await expectChargedSoon(world, requestId, { estimated: true })
    expect(receipt.usage.output_tokens).toBeGreaterThan(5)
  })

  it('leaves a drained upstream and is charged exactly', async () => {
    const { customer, client, model } = await prepare('drain')
    world.upstream.on(model, (call) => {
      openStream(call, [...responseStart(model), responseDelta(TEXT)])
    })
    const stream = await client.responses.create({ model, input: 'Weather?', stream: true })
    for await (const event of stream) {
      if (event.type === 'response.output_text.delta') break
    }
    const call = await world.upstream.call(model)
    call.out.end(responseEnd(model, TEXT, TOKENS))
    const requestId = await onlyRequestOf(world, customer)
    await expectChargedSoon(world, requestId, { usage: USAGE })
  })

  it('is told of an upstream that broke off, as an error of its own', async () => {
    const { customer, client, model } = await prepare()
    world.upstream.on(model, (call) => {
      openStream(call, [...responseStart(model), responseDelta(TEXT)])
      call.out.write(responseDelta('half').slice(0, 40), () => call.out.destroy())
    })
    const stream = await client.responses.create({ model, input: 'Weather?', stream: true })
    const read = async (): Promise<void> => {
      for await (const event of stream) expect(event.type).toMatch(/^response\./)
    }
    await expect(read()).rejects.toThrow(/could not be reached/)
    const requestId = await onlyRequestOf(world, customer)
    await expectChargedSoon(world, requestId, { estimated: true })
  })
})

describe('other clients of the Responses API', () => {
  it('ai with @ai-sdk/openai, its default', async () => {
    const { customer, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerStream(call, responseStream(model, WORDS, TOKENS))
    })
    const baseURL = `${world.gateway.url}/v1`
    const provider = createOpenAI({ baseURL, apiKey: customer.apiKey })
    const result = streamText({ model: provider(model), prompt: 'Weather?', maxRetries: 0 })
    expect(await result.text).toBe(TEXT)
    expect((await result.usage).outputTokens).toBe(TOKENS.output)
    await spent(customer, await onlyRequestOf(world, customer))
  })

  it('@langchain/openai with useResponsesApi', async () => {
    const { customer, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerJson(call, responseAnswer(model, TEXT, TOKENS))
    })
    const configuration = { baseURL: `${world.gateway.url}/v1` }
    const { apiKey } = customer
    const chat = new ChatOpenAI({
      model,
      apiKey,
      maxRetries: 0,
      useResponsesApi: true,
      configuration,
    })
    expect((await chat.invoke('Weather?')).text).toBe(TEXT)
    await spent(customer, await onlyRequestOf(world, customer))
  })
})

describe('what the body does not bound', () => {
  const UNBOUNDED: [string, Record<string, unknown>][] = [
    ['web_search', { tools: [{ type: 'web_search' }] }],
    ['hosted_tools', { tools: [{ type: 'code_interpreter', container: { type: 'auto' } }] }],
    ['hosted_tools', { tools: [{ type: 'image_generation' }] }],
    ['mcp_servers', { tools: [{ type: 'mcp', server_label: 'x', server_url: 'https://x.y' }] }],
    ['conversation', { conversation: 'conv_1' }],
    ['stored_prompt', { prompt: { id: 'pmpt_1' } }],
    ['reasoning_pro', { reasoning: { mode: 'pro' } }],
    [
      'media_by_url',
      {
        input: [
          { role: 'user', content: [{ type: 'input_image', image_url: 'https://x.y/a.png' }] },
        ],
      },
    ],
    [
      'media_by_id',
      { input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'file-1' }] }] },
    ],
  ]

  it.each(UNBOUNDED)('is refused by a denying upstream, in words: %s', async (reason, more) => {
    const { customer, model } = await prepare('deny')
    const body = { model, input: 'hi', ...more }
    const answer = await post(world.gateway, PATH, customer.apiKey, body)
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({
      error: { code: 'unsupported', message: expect.stringContaining(reason) as string },
    })
    expect(world.upstream.calls(model)).toEqual([])
  })

  // These are nobody's here: stored-responses.test.ts.
  it.each(UNBOUNDED.filter(([reason]) => !['conversation', 'media_by_id'].includes(reason)))(
    'takes a capped reserve elsewhere, and its actual cost: %s',
    async (...row) => {
      const [, more] = row
      const { customer, model } = await prepare()
      const searched = { image_gen: {}, web_search: { num_requests: 2 } }
      world.upstream.on(model, (call) => {
        answerJson(call, responseAnswer(model, TEXT, TOKENS, { more: { tool_usage: searched } }))
      })
      const body = { model, input: 'hi', ...more }
      const answer = await post(world.gateway, PATH, customer.apiKey, body)
      expect(answer.status).toBe(200)
      await answer.arrayBuffer()
      const usage = { ...USAGE, web_search_requests: 2 }
      await expectCharged(world, requestIdOf(answer), { usage })
    },
  )

  it('takes the context for each call of a tool where the upstream says so', async () => {
    const heldFor = async (more: Record<string, unknown>): Promise<number> => {
      const customer = await world.customer('1000000')
      const model = newModel('window')
      const asked = post(world.gateway, PATH, customer.apiKey, { model, input: 'hi', ...more })
      const call = await world.upstream.call(model)
      const { held } = await world.gateway.admin.balance(customer.apiKey)
      answerJson(call, responseAnswer(model, TEXT, TOKENS))
      await (await asked).arrayBuffer()
      return held.micros
    }
    const tools = [{ type: 'code_interpreter', container: { type: 'auto' } }]
    const [plain, one, three, five, any, stored] = await Promise.all([
      heldFor({}),
      heldFor({ tools, max_tool_calls: 1 }),
      heldFor({ tools, max_tool_calls: 3 }),
      heldFor({ tools, max_tool_calls: 5 }),
      heldFor({ tools }),
      heldFor({ prompt: { id: 'pmpt_1' } }),
    ])
    const window = (three - one) / 2
    expect(window).toBeGreaterThanOrEqual(PRICES.context_tokens * 120)
    expect(five - three).toBe(2 * window)
    expect(plain).toBeLessThan(window)
    for (const [held, windows] of [
      [one, 1],
      [any, 10],
      [stored, 1],
    ] as const) {
      expect(Math.floor(held / window)).toBe(windows)
    }
  })

  it('charges what it really cost, into debt where the reserve was too small', async () => {
    const customer = await world.customer('20')
    const model = newModel()
    const huge: Tokens = { input: 400_000, output: 10 }
    world.upstream.on(model, (call) => {
      answerJson(call, responseAnswer(model, TEXT, huge))
    })
    const body = { model, input: 'hi', tools: [{ type: 'mcp', server_url: 'https://x.y' }] }
    const answer = await post(world.gateway, PATH, customer.apiKey, body)
    expect(answer.status).toBe(200)
    await answer.arrayBuffer()
    const { cost } = await expectCharged(world, requestIdOf(answer), {})
    const balance = await world.gateway.admin.balance(customer.apiKey)
    expect(balance.posted.micros).toBe(20_000_000 - cost.micros)
    expect(balance.debt.micros).toBe(cost.micros - 20_000_000)
  })
})

it('a failed response without usage is charged its input, marked estimated', async () => {
  const { customer, model } = await prepare()
  const error = { code: 'server_error', message: 'The model failed.' }
  world.upstream.on(model, (call) => {
    const failed = responseAnswer(model, null, null, { status: 'failed', more: { error } })
    answerJson(call, failed)
  })
  const answer = await post(world.gateway, PATH, customer.apiKey, { model, input: 'hello there' })
  expect(await answer.json()).toMatchObject({ status: 'failed', error })
  await expectCharged(world, requestIdOf(answer), { estimated: true })
})
