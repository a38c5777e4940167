import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Anthropic from '@anthropic-ai/sdk'
import { GoogleGenAI } from '@google/genai'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'

const FILE = fileURLToPath(new URL('../../src/demo/upstream.ts', import.meta.url))

async function startDemo(): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [FILE], { stdio: ['pipe', 'pipe', 'inherit'] })
  const line = await new Promise<string>((resolve) => {
    createInterface({ input: child.stdout }).once('line', resolve)
  })
  const { port } = z.object({ port: z.int().positive() }).parse(JSON.parse(line))
  return { child, url: `http://127.0.0.1:${port}` }
}

let demo: Awaited<ReturnType<typeof startDemo>>
let openai: OpenAI
let anthropic: Anthropic

beforeAll(async () => {
  demo = await startDemo()
  openai = new OpenAI({ apiKey: 'none', baseURL: `${demo.url}/v1`, maxRetries: 0 })
  anthropic = new Anthropic({ apiKey: 'none', baseURL: demo.url, maxRetries: 0 })
})

afterAll(() => {
  demo.child.kill()
})

const hello = [{ role: 'user' as const, content: 'hello' }]
const weather = { type: 'object' as const, properties: {} }
const fault = (name: string) => ({ headers: { 'x-demo-fault': name } })

test('names itself as a demo and echoes the model', async () => {
  const answer = await openai.chat.completions.create({ model: 'gpt-4o', messages: hello })
  expect(answer.model).toBe('gpt-4o')
  expect(answer.id).toMatch(/^chatcmpl-demo-/)
  expect(answer.choices[0]?.message.content).toMatch(/demo upstream of Farebox.*hello/)
})

test('the openai SDK reads a stream whose usage is that of the whole answer', async () => {
  const whole = await openai.chat.completions.create({ model: 'demo-1', messages: hello })
  const stream = await openai.chat.completions.create({
    model: 'demo-1',
    messages: hello,
    stream: true,
    stream_options: { include_usage: true },
  })
  let text = ''
  const usages: unknown[] = []
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? ''
    if (chunk.usage !== null && chunk.usage !== undefined) usages.push(chunk.usage)
  }
  expect(text).toBe(whole.choices[0]?.message.content)
  expect(usages).toEqual([whole.usage])
})

test('a stream that did not ask for usage has none', async () => {
  const stream = await openai.chat.completions.create({
    model: 'demo-1',
    messages: hello,
    stream: true,
  })
  for await (const chunk of stream) expect(chunk.usage ?? null).toBeNull()
})

test('a stream that asked for usage can be made to leave it out', async () => {
  const options = { include_usage: true }
  const stream = await openai.chat.completions.create(
    { model: 'demo-1', messages: hello, stream: true, stream_options: options },
    fault('no-usage'),
  )
  let finish: string | null = null
  for await (const chunk of stream) {
    expect(chunk.usage ?? null).toBeNull()
    finish = chunk.choices[0]?.finish_reason ?? finish
  }
  expect(finish).toBe('stop')
})

test('the anthropic SDK reads the same message from JSON and from a stream', async () => {
  const body = { model: 'demo-1', max_tokens: 100, messages: hello }
  const whole = await anthropic.messages.create(body)
  const streamed = await anthropic.messages.stream(body).finalMessage()
  expect(streamed.content).toEqual(whole.content)
  expect(streamed.usage).toMatchObject({
    input_tokens: whole.usage.input_tokens,
    output_tokens: whole.usage.output_tokens,
  })
  expect(whole.stop_reason).toBe('end_turn')
})

test('stops at the output limit', async () => {
  const answer = await anthropic.messages.create({
    model: 'demo-1',
    max_tokens: 3,
    messages: hello,
  })
  expect(answer).toMatchObject({ stop_reason: 'max_tokens', usage: { output_tokens: 3 } })
})

test('calls a tool when asked to', async () => {
  const asked = [{ role: 'user' as const, content: 'use the tool' }]
  const fromOpenai = await openai.chat.completions.create({
    model: 'demo-1',
    messages: asked,
    tools: [{ type: 'function', function: { name: 'weather', parameters: weather } }],
  })
  expect(fromOpenai.choices[0]).toMatchObject({
    finish_reason: 'tool_calls',
    message: { tool_calls: [{ function: { name: 'weather' } }] },
  })
  const fromAnthropic = await anthropic.messages
    .stream({
      model: 'demo-1',
      max_tokens: 100,
      messages: asked,
      tools: [{ name: 'weather', input_schema: weather }],
    })
    .finalMessage()
  expect(fromAnthropic.content).toMatchObject([{ type: 'tool_use', name: 'weather', input: {} }])
})

describe('fails on request', () => {
  const create = (name: string) =>
    openai.chat.completions.create({ model: 'demo-1', messages: hello }, fault(name))
  const read = async (name: string) => {
    const body = { model: 'demo-1', messages: hello, stream: true as const }
    const stream = await openai.chat.completions.create(body, fault(name))
    for await (const chunk of stream) expect(chunk.model).toBe('demo-1')
  }

  test('with 500 and 429', async () => {
    await expect(create('error')).rejects.toMatchObject({ status: 500 })
    await expect(create('rate-limit')).rejects.toMatchObject({ status: 429 })
  })
  test('by a reset', async () => {
    await expect(create('reset')).rejects.toBeInstanceOf(OpenAI.APIConnectionError)
  })
  test('by silence', async () => {
    const call = openai.chat.completions.create(
      { model: 'demo-1', messages: hello },
      { ...fault('hang'), timeout: 300 },
    )
    await expect(call).rejects.toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
  })
  test('in the middle of a stream, by a cut', async () => {
    await expect(read('cut')).rejects.toThrow()
  })
  test('in the middle of a stream, by an error event', async () => {
    await expect(read('error-midstream')).rejects.toThrow(/asked to fail/)
    const stream = anthropic.messages.stream(
      { model: 'demo-1', max_tokens: 100, messages: hello },
      fault('error-midstream'),
    )
    await expect(stream.finalMessage()).rejects.toThrow(/asked to fail/)
  })
})

test('answers what it cannot read with 400 and unknown paths with 404', async () => {
  const post = async (path: string, body: string) =>
    (await fetch(`${demo.url}${path}`, { method: 'POST', body })).status
  expect(await post('/v1/messages', '{')).toBe(400)
  expect(await post('/v1/chat/completions', '[]')).toBe(400)
  expect(await post('/v1/other', '{}')).toBe(404)
})

test('ends when its standard input closes', async () => {
  const { child } = await startDemo()
  const exited = once(child, 'exit')
  child.stdin?.end()
  expect(await exited).toEqual([0, null])
})

describe('the Gemini API', () => {
  const gemini = () =>
    new GoogleGenAI({ apiKey: 'none', httpOptions: { baseUrl: demo.url, apiVersion: 'v1beta' } })

  test('is read by the Google SDK, whole and streamed, with the usage of the whole answer', async () => {
    const ask = { model: 'demo-1', contents: 'hello', config: { maxOutputTokens: 12 } }
    const whole = await gemini().models.generateContent(ask)
    expect(whole.candidates?.[0]?.finishReason).toBe('MAX_TOKENS')
    expect(whole.usageMetadata).toMatchObject({ candidatesTokenCount: 12 })
    let text = ''
    let usage: unknown
    for await (const chunk of await gemini().models.generateContentStream(ask)) {
      text += chunk.text ?? ''
      usage = chunk.usageMetadata
    }
    expect(text).toBe(whole.text)
    expect(usage).toEqual(whole.usageMetadata)
    const counted = await gemini().models.countTokens({ model: 'demo-1', contents: 'hello' })
    expect(counted.totalTokens).toBe(whole.usageMetadata?.promptTokenCount)
  })

  test('streams a JSON array where no events are asked for', async () => {
    const answer = await fetch(`${demo.url}/v1beta/models/demo-1:streamGenerateContent`, {
      method: 'POST',
      body: JSON.stringify({ contents: [{ role: 'user', parts: [{ text: 'hello' }] }] }),
    })
    const chunks = z.array(z.looseObject({ modelVersion: z.string() })).parse(await answer.json())
    expect(chunks.length).toBeGreaterThan(3)
  })
})

test('the openai SDK reads a response, whole and as a stream, with the same usage', async () => {
  const whole = await openai.responses.create({ model: 'demo-1', input: 'hello' })
  expect(whole.output_text).toMatch(/demo upstream of Farebox.*hello/)
  expect(whole.usage?.output_tokens).toBeGreaterThan(5)
  const stream = openai.responses.stream({ model: 'demo-1', input: 'hello' })
  let text = ''
  for await (const event of stream)
    if (event.type === 'response.output_text.delta') text += event.delta
  const last = await stream.finalResponse()
  expect([text, last.output_text]).toEqual([whole.output_text, whole.output_text])
  expect(last.usage).toEqual(whole.usage)
  const cut = await openai.responses.create({ model: 'demo-1', input: 'hi', max_output_tokens: 3 })
  expect(cut).toMatchObject({ status: 'incomplete', usage: { output_tokens: 3 } })
})

test('the openai SDK reads embeddings, as numbers and packed, and moderations', async () => {
  const input = ['one', 'two']
  const packed = await openai.embeddings.create({ model: 'demo-1', input, dimensions: 32 })
  const plain = await openai.embeddings.create({
    ...{ model: 'demo-1', input, dimensions: 32, encoding_format: 'float' },
  })
  expect(packed.data).toHaveLength(2)
  expect(packed.usage).toEqual(plain.usage)
  for (const [at, { embedding }] of plain.data.entries()) {
    expect(embedding).toHaveLength(32)
    expect(Math.hypot(...embedding)).toBeCloseTo(1)
    const other = packed.data[at]?.embedding ?? []
    for (const [place, value] of embedding.entries()) expect(other[place]).toBeCloseTo(value)
  }
  const judged = await openai.moderations.create({ input: ['a violence', 'a flower'] })
  expect(judged.results.map(({ flagged }) => flagged)).toEqual([true, false])
  await expect(
    openai.embeddings.create({ model: 'demo-1', input: null as never }),
  ).rejects.toThrow()
})
