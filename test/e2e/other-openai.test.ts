import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { completionAnswer, completionStream, type Tokens } from './support/answers.ts'
import { PRICES } from './support/money.ts'
import { answerJson, answerStream, openStream } from './support/upstream.ts'
import {
  expectCharged,
  expectChargedSoon,
  expectSpent,
  newModel,
  onlyRequestOf,
  post,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const TOKENS: Tokens = { input: 45, output: 17 }
const USAGE = { input_tokens: 45, output_tokens: 17 }
const WORDS = ['once ', 'upon ', 'a time']
const GRANT = 100

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

async function prepare() {
  const customer = await world.customer(String(GRANT))
  const baseURL = `${world.gateway.url}/v1`
  const client = new OpenAI({ baseURL, apiKey: customer.apiKey, maxRetries: 0 })
  return { customer, client, model: newModel() }
}

describe('completions', () => {
  it('are charged by their usage and limited to what the default is', async () => {
    const { customer, client, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerJson(call, completionAnswer(model, WORDS.join(''), TOKENS))
    })
    const { data, response } = await client.completions
      .create({ model, prompt: ['a', 'b'] })
      .withResponse()
    expect(data.choices[0]?.text).toBe('once upon a time')
    const [call] = world.upstream.calls(model)
    expect(call?.path).toBe('/v1/completions')
    expect(call?.json.max_tokens).toBe(16)
    const receipt = await expectCharged(world, requestIdOf(response), { usage: USAGE })
    expect(receipt).toMatchObject({ protocol: 'openai-completions', endpoint: 'completions' })
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('stream without the usage chunk that only the gateway asked for', async () => {
    const { customer, client, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerStream(call, completionStream(model, WORDS, TOKENS))
    })
    const stream = await client.completions.create({ model, prompt: 'a', stream: true })
    const texts: string[] = []
    for await (const chunk of stream) {
      expect(chunk.choices).toHaveLength(1)
      texts.push(chunk.choices[0]?.text ?? '')
    }
    expect(texts.join('')).toBe('once upon a time')
    expect(world.upstream.calls(model)[0]?.json.stream_options).toEqual({ include_usage: true })
    await expectCharged(world, await onlyRequestOf(world, customer), { usage: USAGE })
  })

  it('left in the middle are charged for the text that came', async () => {
    const { customer, client, model } = await prepare()
    world.upstream.on(model, (call) => {
      openStream(call, completionStream(model, WORDS, TOKENS).slice(0, 3))
    })
    const body = { model, prompt: 'a', max_tokens: 100, stream: true as const }
    for await (const chunk of await client.completions.create(body)) {
      if (chunk.choices[0]?.text === 'a time') break
    }
    const requestId = await onlyRequestOf(world, customer)
    const receipt = await expectChargedSoon(world, requestId, { estimated: true })
    expect(receipt.usage.output_tokens).toBeGreaterThan(2)
  })

  it('hold credits for each prompt and choice', async () => {
    const { customer, client, model } = await prepare()
    const costly = { model, prompt: ['a', 'b', 'c', 'd'], best_of: 128, max_tokens: 1_000 }
    await expect(client.completions.create(costly)).rejects.toMatchObject({ status: 402 })
    expect(world.upstream.calls(model)).toEqual([])
    await expectSpent(world, customer, GRANT, 0)
  })
})

describe('embeddings', () => {
  const embeddingsOf = (model: string, embedding: unknown, tokens: number | null) => ({
    object: 'list',
    data: [{ object: 'embedding', index: 0, embedding }],
    model,
    ...(tokens === null ? {} : { usage: { prompt_tokens: tokens, total_tokens: tokens } }),
  })

  it('pass as the SDK asks for them, base64, and are charged their input', async () => {
    const { customer, client, model } = await prepare()
    const vector = Buffer.from(new Float32Array([0.5, -1]).buffer).toString('base64')
    world.upstream.on(model, (call) => {
      answerJson(call, embeddingsOf(model, vector, 9))
    })
    const { data, response } = await client.embeddings
      .create({ model, input: ['hello', 'world'] })
      .withResponse()
    expect(data.data[0]?.embedding).toEqual([0.5, -1])
    const [call] = world.upstream.calls(model)
    expect(call?.path).toBe('/v1/embeddings')
    expect(call?.json).toEqual({ model, input: ['hello', 'world'], encoding_format: 'base64' })
    const usage = { input_tokens: 9 }
    const receipt = await expectCharged(world, requestIdOf(response), { usage })
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('of tokens are bounded and charged as tokens', async () => {
    const { customer, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerJson(call, embeddingsOf(model, [0.5], null))
    })
    const body = { model, input: [[1, 2, 3], [4]] }
    const answer = await post(world.gateway, '/v1/embeddings', customer.apiKey, body)
    await answer.arrayBuffer()
    const usage = { input_tokens: 4 }
    await expectCharged(world, requestIdOf(answer), { usage, estimated: true })
  })

  it('of many megabytes pass and are charged exactly', async () => {
    const { customer, model } = await prepare()
    const vector = 'AAAA'.repeat(3 * 1024 * 1024)
    world.upstream.on(model, (call) => {
      answerJson(call, embeddingsOf(model, vector, 8_191))
    })
    const body = { model, input: 'x' }
    const answer = await post(world.gateway, '/v1/embeddings', customer.apiKey, body)
    expect((await answer.arrayBuffer()).byteLength).toBeGreaterThan(vector.length)
    const usage = { input_tokens: 8_191 }
    const receipt = await expectCharged(world, requestIdOf(answer), { usage })
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('of many megabytes that break off are charged no vectors as text', async () => {
    const { customer, model } = await prepare()
    world.upstream.on(model, (call) => {
      call.out.writeHead(200, { 'content-type': 'application/json' })
      call.out.write(`{"data":"${'AAAA'.repeat(3 * 1024 * 1024)}`, () => call.out.destroy())
    })
    const body = { model, input: 'hello' }
    const answer = await post(world.gateway, '/v1/embeddings', customer.apiKey, body)
    await expect(answer.arrayBuffer()).rejects.toThrow()
    const requestId = await onlyRequestOf(world, customer)
    const receipt = await expectChargedSoon(world, requestId, { estimated: true })
    expect(receipt.usage).toEqual({ input_tokens: 1 })
  })
})

describe('free endpoints', () => {
  it('moderations: a receipt of one request, no charge, also without credits', async () => {
    const customer = await world.customer('0')
    const baseURL = `${world.gateway.url}/v1`
    const client = new OpenAI({ baseURL, apiKey: customer.apiKey, maxRetries: 0 })
    const results = [{ flagged: false, categories: {}, category_scores: {} }]
    world.upstream.on('', (call) => {
      answerJson(call, { id: 'modr-1', model: 'omni-moderation-latest', results })
    })
    const { data, response } = await client.moderations.create({ input: 'hello' }).withResponse()
    expect(data.results[0]?.flagged).toBe(false)
    expect(response.headers.get('x-farebox-cost')).toBe('0')
    const receipt = await world.gateway.admin.receipt(requestIdOf(response))
    expect(receipt).toMatchObject({ status: 'posted', usage: { requests: 1 }, estimated: false })
    expect(receipt.cost.micros).toBe(0)
    expect(receipt.entries).toEqual([])
  })

  it('responses/input_tokens: forwarded, and no request that could have a price', async () => {
    const { customer, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerJson(call, { object: 'response.input_tokens', input_tokens: 11 })
    })
    const path = '/v1/responses/input_tokens'
    const answer = await post(world.gateway, path, customer.apiKey, { model, input: 'hello' })
    expect(await answer.json()).toMatchObject({ input_tokens: 11 })
    expect(world.upstream.calls(model)[0]?.path).toBe(path)
    await expectSpent(world, customer, GRANT, 0)
  })
})

describe('Azure', () => {
  const deployment = (): string => newModel('pictures')

  it('is served by its v1 API, a deployment priced as a model', async () => {
    const model = deployment()
    const gateway = await world.join({
      upstreams: {
        azure: {
          protocol: 'openai',
          base_url: `${world.upstream.url}/openai/v1`,
          api_key: 'azure-key',
          models: ['pictures-*'],
        },
      },
      prices: [{ upstream: 'azure', model: 'pictures-*', ...PRICES }],
    })
    const { customer } = await prepare()
    const usage = { total_tokens: 100, input_tokens: 50, output_tokens: 50 }
    world.upstream.on(model, (call) => {
      answerJson(call, { created: 1, data: [{ b64_json: 'QQ==' }], usage })
    })
    const baseURL = `${gateway.url}/v1`
    const client = new OpenAI({ baseURL, apiKey: customer.apiKey, maxRetries: 0 })
    const image = await toFile(Buffer.alloc(2_000_000, 'otter'), 'o.png', { type: 'image/png' })
    let spent = 0
    for (const asked of [
      client.images.generate({ model, prompt: 'an otter' }),
      client.images.edit({ model, prompt: 'a hat', image }),
    ]) {
      const { response } = await asked.withResponse()
      const buckets = { input_tokens: 50, output_tokens: 50, images: 1 }
      const receipt = await expectCharged(world, requestIdOf(response), { usage: buckets })
      expect(receipt).toMatchObject({ upstream: 'azure', model })
      spent += receipt.cost.micros
    }
    await expectSpent(world, customer, GRANT, spent)
    const calls = world.upstream.calls(model)
    expect(calls.map(({ path }) => path).sort()).toEqual([
      '/openai/v1/images/edits',
      '/openai/v1/images/generations',
    ])
    for (const { headers } of calls) expect(headers.authorization).toBe('Bearer azure-key')
  })

  it('is not served by the paths of its deployments', async () => {
    const { customer } = await prepare()
    const path = '/openai/deployments/pictures/images/generations?api-version=2025-04-01-preview'
    const headers = { authorization: `Bearer ${customer.apiKey}`, 'api-key': customer.apiKey }
    const asked = { method: 'POST', headers, body: '{"prompt":"an otter"}' }
    const answer = await fetch(`${world.gateway.url}${path}`, asked)
    expect(answer.status).toBe(404)
    expect(await answer.json()).toMatchObject({ error: { type: 'invalid_request_error' } })
    await expectSpent(world, customer, GRANT, 0)
  })
})
