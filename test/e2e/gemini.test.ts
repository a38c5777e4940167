import { GoogleGenAI } from '@google/genai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { until } from '../support/until.ts'
import { chargeFor, PRICES } from './support/money.ts'
import { answerJson, type Call } from './support/upstream.ts'
import {
  expectCharged,
  expectChargedSoon,
  expectSpent,
  newModel,
  onlyRequestOf,
  OPERATOR_KEYS,
  OUTPUT_DEFAULT,
  startWorld,
  type World,
} from './support/world.ts'

const GRANT = 100
const WORDS = ['Sunny', ' in', ' Bern.']
const METADATA = {
  promptTokenCount: 40,
  cachedContentTokenCount: 10,
  candidatesTokenCount: 6,
  thoughtsTokenCount: 20,
}
const USAGE = {
  input_tokens: 30,
  cache_read_tokens: 10,
  output_tokens: 26,
  output_reasoning_tokens: 20,
}

const chunkOf = (model: string, text: string, metadata: object, finishReason?: string): string =>
  JSON.stringify({
    candidates: [{ content: { role: 'model', parts: [{ text }] }, index: 0, finishReason }],
    usageMetadata: metadata,
    modelVersion: model,
  })
const chunksOf = (model: string): string[] =>
  WORDS.map((word, index) =>
    index < WORDS.length - 1
      ? chunkOf(model, word, { ...METADATA, candidatesTokenCount: index + 1 })
      : chunkOf(model, word, METADATA, 'STOP'),
  )

const answerEvents = (call: Call, chunks: readonly string[], end = true): void => {
  call.out.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const chunk of chunks) call.out.write(`data: ${chunk}\r\n\r\n`)
  if (end) call.out.end()
}
const answerArray = (call: Call, chunks: readonly string[], end = true): void => {
  call.out.writeHead(200, { 'content-type': 'application/json; charset=UTF-8' })
  call.out.write(`[${chunks.join('\n,\r\n')}`)
  if (end) call.out.end('\n]')
}

let world: World
beforeAll(async () => {
  const named = { upstream: 'gemini', model: 'gemini-named', ...PRICES }
  world = await startWorld({ prices: [named] })
})
afterAll(() => world.end())

async function prepare(prefix = 'gemini') {
  const customer = await world.customer(String(GRANT))
  const ai = new GoogleGenAI({
    apiKey: customer.apiKey,
    httpOptions: { baseUrl: world.gateway.url },
  })
  return { customer, ai, model: newModel(prefix) }
}

const ask = (apiKey: string, path: string, body: unknown, query = ''): Promise<Response> =>
  fetch(`${world.gateway.url}/v1beta/${path}?key=${apiKey}${query}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
const contents = [{ role: 'user', parts: [{ text: 'What is the weather in Bern?' }] }]

describe('the Google SDK', () => {
  it('gets a whole answer and is charged what it reports', async () => {
    const { customer, ai, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerJson(call, chunkOf(model, WORDS.join(''), METADATA, 'STOP'))
    })
    const answer = await ai.models.generateContent({ model, contents: 'What is the weather?' })
    expect(answer.text).toBe('Sunny in Bern.')
    const [call, ...more] = world.upstream.calls(model)
    expect(more).toEqual([])
    expect(call?.path).toBe(`/v1/models/${model}:generateContent`)
    expect(call?.headers['x-goog-api-key']).toBe(OPERATOR_KEYS.gemini)
    expect(JSON.stringify(call?.rawHeaders)).not.toContain(customer.apiKey)
    expect(call?.json.generationConfig).toMatchObject({ maxOutputTokens: OUTPUT_DEFAULT })
    const id = await onlyRequestOf(world, customer)
    const receipt = await expectCharged(world, id, { usage: USAGE })
    expect(receipt).toMatchObject({ protocol: 'gemini', endpoint: 'generateContent', model })
    expect(receipt.cost.micros).toBe(chargeFor(USAGE))
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('reads a stream to its end and is charged what the last chunk says', async () => {
    const { customer, ai, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerEvents(call, chunksOf(model))
    })
    const texts: string[] = []
    for await (const chunk of await ai.models.generateContentStream({ model, contents: 'Hi' })) {
      texts.push(chunk.text ?? '')
    }
    expect(texts).toEqual(WORDS)
    expect(world.upstream.calls(model)[0]?.path).toContain(':streamGenerateContent?alt=sse')
    const receipt = await expectCharged(world, await onlyRequestOf(world, customer), {
      usage: USAGE,
    })
    expect(receipt.stream).toBe(true)
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('hears of a stream that broke off, and pays for what came', async () => {
    const { customer, ai, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerEvents(call, chunksOf(model).slice(0, 2), false)
      setTimeout(() => call.out.destroy(), 50)
    })
    const read = async () => {
      const stream = await ai.models.generateContentStream({ model, contents: 'Hi' })
      for await (const chunk of stream) expect(chunk.text).toBeTruthy()
    }
    await expect(read()).rejects.toMatchObject({ status: 502 })
    const id = await onlyRequestOf(world, customer)
    const receipt = await expectChargedSoon(world, id, { estimated: true })
    expect(receipt.usage).toMatchObject({ input_tokens: 30, output_tokens: 22 })
  })

  it('that leaves in mid-stream is charged exactly: the rest is read for its numbers', async () => {
    const { customer, ai, model } = await prepare()
    let finish = (): void => undefined
    world.upstream.on(model, (call) => {
      const [first = '', ...rest] = chunksOf(model)
      answerEvents(call, [first], false)
      finish = () => {
        for (const chunk of rest) call.out.write(`data: ${chunk}\r\n\r\n`)
        call.out.end()
      }
    })
    const leaving = new AbortController()
    const stream = await ai.models.generateContentStream({
      model,
      contents: 'Hi',
      config: { abortSignal: leaving.signal },
    })
    expect((await stream.next()).done).toBe(false)
    leaving.abort()
    setTimeout(() => {
      finish()
    }, 100)
    const id = await onlyRequestOf(world, customer)
    await expectChargedSoon(world, id, { usage: USAGE })
  })

  it('that leaves where the upstream is cut off is charged at least the running count', async () => {
    const { customer, ai, model } = await prepare('cut')
    world.upstream.on(model, (call) => {
      answerEvents(call, chunksOf(model).slice(0, 2), false)
    })
    const leaving = new AbortController()
    const stream = await ai.models.generateContentStream({
      model,
      contents: 'Hi',
      config: { abortSignal: leaving.signal },
    })
    for (const done of [false, false]) expect((await stream.next()).done).toBe(done)
    leaving.abort()
    await until(() => world.upstream.calls(model)[0]?.cut)
    const id = await onlyRequestOf(world, customer)
    const receipt = await expectChargedSoon(world, id, { estimated: true })
    expect(receipt.usage.output_tokens).toBe(22)
  })

  it('counts tokens without being charged, with a valid key only', async () => {
    const { customer, ai, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerJson(call, { totalTokens: 31 })
    })
    expect((await ai.models.countTokens({ model, contents: 'Hi' })).totalTokens).toBe(31)
    expect(world.upstream.calls(model)[0]?.path).toBe(`/v1/models/${model}:countTokens`)
    await expectSpent(world, customer, GRANT, 0)
    const stranger = new GoogleGenAI({
      apiKey: 'fb_test_nobody',
      httpOptions: { baseUrl: world.gateway.url },
    })
    const counting = stranger.models.countTokens({ model, contents: 'Hi' })
    await expect(counting).rejects.toMatchObject({ status: 401 })
    expect(world.upstream.calls(model)).toHaveLength(1)
  })

  it('without credits gets one 402 in Google’s envelope', async () => {
    const { ai, model } = await prepare()
    const config = { maxOutputTokens: 1_000_000 }
    const failed = ai.models.generateContent({ model, contents: 'Hi', config })
    await expect(failed).rejects.toMatchObject({ status: 402 })
    await expect(failed).rejects.toThrow(/INSUFFICIENT_QUOTA/)
    expect(world.upstream.calls(model)).toEqual([])
  })

  it('lists models, and only its own key may', async () => {
    const { ai, customer } = await prepare()
    const names: (string | undefined)[] = []
    for await (const model of await ai.models.list()) names.push(model.name)
    expect(names).toContain('models/gemini-named')
    const found = await ai.models.get({ model: 'gemini-named' })
    expect(found.name).toBe('models/gemini-named')
    const plain = await fetch(`${world.gateway.url}/v1beta/models?key=${customer.apiKey}`)
    expect(await plain.json()).toMatchObject({ models: [{ name: 'models/gemini-named' }] })
    const response = await fetch(`${world.gateway.url}/v1beta/models`)
    expect(response.status).toBe(401)
    expect(await response.json()).toMatchObject({ error: { status: 'UNAUTHENTICATED' } })
    await expect(ai.models.get({ model: 'nobody' })).rejects.toMatchObject({ status: 404 })
  })
})

describe('a plain client', () => {
  it('streams a JSON array, its key in the query, and is charged once', async () => {
    const { customer, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerArray(call, chunksOf(model))
    })
    const answer = await ask(customer.apiKey, `models/${model}:streamGenerateContent`, { contents })
    expect(answer.headers.get('content-type')).toContain('application/json')
    const parsed = z.array(z.looseObject({})).parse(await answer.json())
    expect(parsed).toEqual(chunksOf(model).map((chunk): unknown => JSON.parse(chunk)))
    const [call] = world.upstream.calls(model)
    expect(call?.path).toBe(`/v1beta/models/${model}:streamGenerateContent`)
    const id = answer.headers.get('x-farebox-request-id') ?? ''
    const receipt = await expectCharged(world, id, { usage: USAGE })
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('is refused a query or mask that hides what was used, in Google’s envelope', async () => {
    const { customer, model } = await prepare()
    const stream = `models/${model}:streamGenerateContent`
    for (const query of ['&$alt=sse', '&alt=json&alt=sse', '&fields=candidates(content)']) {
      const answer = await ask(customer.apiKey, stream, { contents }, query)
      expect(answer.status).toBe(400)
      expect(await answer.json()).toMatchObject({ error: { code: 400 } })
    }
    expect(world.upstream.calls(model)).toEqual([])
    await expectSpent(world, customer, GRANT, 0)
  })

  it('is charged for events that nobody asked for', async () => {
    const { customer, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerEvents(call, chunksOf(model))
    })
    const answer = await ask(customer.apiKey, `models/${model}:streamGenerateContent`, { contents })
    expect(await answer.text()).toContain('Sunny')
    const id = answer.headers.get('x-farebox-request-id') ?? ''
    await expectCharged(world, id, { usage: USAGE })
  })

  it('gets a JSON array in pieces as they come, and a whole one where it breaks off', async () => {
    const { customer, model } = await prepare()
    let breakOff = (): void => undefined
    world.upstream.on(model, (call) => {
      answerArray(call, chunksOf(model).slice(0, 2), false)
      breakOff = () => call.out.destroy()
    })
    const answer = await ask(customer.apiKey, `models/${model}:streamGenerateContent`, { contents })
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = (await reader?.read())?.value ?? ''
    expect(text).toContain('Sunny')
    breakOff()
    for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
      text += next.value
    }
    expect(JSON.parse(text)).toMatchObject([{}, {}, { error: { code: 502 } }])
    const id = answer.headers.get('x-farebox-request-id') ?? ''
    await expectChargedSoon(world, id, { estimated: true })
  })

  it('is refused what is not bounded where the upstream says so, and held more elsewhere', async () => {
    const { customer } = await prepare()
    const parts = [{ fileData: { fileUri: 'https://example.com/film.mp4', mimeType: 'video/mp4' } }]
    const body = { contents: [{ parts }], generationConfig: { maxOutputTokens: 10 } }
    const denied = newModel('deny')
    const refused = await ask(customer.apiKey, `models/${denied}:generateContent`, body)
    expect(refused.status).toBe(400)
    expect(await refused.json()).toMatchObject({ error: { status: 'INVALID_ARGUMENT' } })
    const capped = newModel('gemini')
    const held = ask(customer.apiKey, `models/${capped}:generateContent`, body)
    const call = await world.upstream.call(capped)
    const balance = await world.gateway.admin.balance(customer.apiKey)
    expect(balance.held.micros).toBeGreaterThan(16_384 * 120)
    answerJson(call, chunkOf(capped, 'x', METADATA, 'STOP'))
    expect((await held).status).toBe(200)
  })

  it('gets Google’s own errors as they came, and unknown methods refused', async () => {
    const { customer, model } = await prepare()
    world.upstream.on(model, (call) => {
      answerJson(call, { error: { code: 400, message: 'bad', status: 'INVALID_ARGUMENT' } }, 400)
    })
    const bad = await ask(customer.apiKey, `models/${model}:generateContent`, { contents })
    expect(bad.status).toBe(400)
    expect(await bad.json()).toEqual({
      error: { code: 400, message: 'bad', status: 'INVALID_ARGUMENT' },
    })
    const other = await ask(customer.apiKey, `models/${model}:batchGenerateContent`, { contents })
    expect(other.status).toBe(404)
    expect(await other.json()).toMatchObject({ error: { code: 404, status: 'NOT_FOUND' } })
    await expectSpent(world, customer, GRANT, 0)
  })
})
