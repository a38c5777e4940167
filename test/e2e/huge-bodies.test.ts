import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../support/until.ts'
import { chatAnswer } from './support/answers.ts'
import { openRaw, parseAnswer, rawRequest } from './support/raw.ts'
import { answerJson, type Call } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  expectCharged,
  expectSpent,
  newModel,
  OUTPUT_DEFAULT,
  PATHS,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const TOKENS = { input: 12, output: 8 }
const ROUNDS_MAX = 10

let world: World
beforeAll(async () => {
  world = await startWorld({ config: { shutdown_ms: 60_000 } })
})
afterAll(() => world.end())

function answering(): string {
  const model = newModel()
  world.upstream.on(model, (call: Call) => {
    answerJson(call, chatAnswer(model, 'Yes.', TOKENS))
  })
  return model
}

/** Nearly as many members as a body may have: they take a while, on whatever thread. */
const members = (): string =>
  Array.from({ length: 190_000 }, (_, at) => `"member number ${at}":${at}`).join(',')

it('keep no small one from being answered meanwhile', async () => {
  const model = answering()
  const [flood, other] = [await world.customer('10'), await world.customer('10')]
  const body = `{"model":"a","messages":[{"content":"hi"}],"metadata":{${members()}},"model":"b"}`
  const headers = [`authorization: Bearer ${flood.apiKey}`, 'content-type: application/json']
  const request = rawRequest(`POST ${PATHS.openai}`, [...headers, 'connection: close'], body)

  /** How many small requests, one after another, were answered while a huge one was read. */
  async function answeredMeanwhile(): Promise<number> {
    const huge = openRaw(world.gateway)
    huge.write(request)
    await until(() => huge.socket.bytesWritten === Buffer.byteLength(request))
    let answered = 0
    while (huge.received() === '') {
      const small = await ask(world.gateway, 'openai', other.apiKey, bodyFor('openai', model))
      expect(small.status).toBe(200)
      await small.arrayBuffer()
      if (huge.received() === '') answered += 1
    }
    await until(() => huge.socket.closed)
    const refused = parseAnswer(huge.received())
    expect(refused.status).toBe(400)
    expect(await refused.text()).toContain('is there twice')
    return answered
  }

  let most = 0
  for (let round = 0; round < ROUNDS_MAX && most < 5; round += 1) {
    most = Math.max(most, await answeredMeanwhile())
  }
  expect(most).toBeGreaterThanOrEqual(5)
  await expectSpent(world, flood, 10, 0)
})

it('reach the provider as they came but for the limit, and once for each key', async () => {
  const model = answering()
  const customer = await world.customer('100000')
  const messages = [{ role: 'user', content: 'Grüezi 🜁 '.repeat(50_000) }]
  const sent = JSON.stringify({ model, messages, metadata: { a: 1 } })
  const again = { headers: { 'idempotency-key': 'huge' } }
  const first = await ask(world.gateway, 'openai', customer.apiKey, sent, again)
  expect(first.status).toBe(200)
  const answer = await first.text()
  const second = await ask(world.gateway, 'openai', customer.apiKey, sent, again)
  expect([second.headers.get('x-farebox-replayed'), await second.text()]).toEqual(['true', answer])
  const other = sent.replace('"a":1', '"a":2')
  expect((await ask(world.gateway, 'openai', customer.apiKey, other, again)).status).toBe(400)
  const [call, ...more] = world.upstream.calls(model)
  expect(more).toEqual([])
  const expected = sent.replace(/}$/, `,"max_tokens":${OUTPUT_DEFAULT}}`)
  expect(call?.raw.equals(Buffer.from(expected))).toBe(true)
  expect(call?.headers['content-length']).toBe(String(Buffer.byteLength(expected)))
  const usage = { input_tokens: TOKENS.input, output_tokens: TOKENS.output }
  await expectCharged(world, requestIdOf(first), { usage, estimated: false })
})

it('are metered to the token where they are answers', async () => {
  const model = newModel()
  const customer = await world.customer('1000')
  const logprobs = { content: Array.from({ length: 50_000 }, () => ({ token: 'a', bytes: [97] })) }
  const whole: unknown = JSON.parse(JSON.stringify(chatAnswer(model, 'Yes.', TOKENS)))
  const text = JSON.stringify({ logprobs, ...Object(whole) })
  world.upstream.on(model, (call: Call) => {
    answerJson(call, text)
  })
  const answer = await ask(world.gateway, 'openai', customer.apiKey, bodyFor('openai', model))
  expect(await answer.text()).toBe(text)
  const usage = { input_tokens: TOKENS.input, output_tokens: TOKENS.output }
  await expectCharged(world, requestIdOf(answer), { usage, estimated: false })
})

it('are read to their end when the process is told to stop', async () => {
  const { gateway } = world
  const model = answering()
  const customer = await world.customer('100000')
  const body = `{"model":"${model}","max_tokens":5,"messages":[{"content":"hi"}],"metadata":{${members()}}}`
  const headers = [`authorization: Bearer ${customer.apiKey}`, 'content-type: application/json']
  const request = rawRequest(`POST ${PATHS.openai}`, headers, body)
  const huge = openRaw(gateway)
  huge.write(request.slice(0, -1))
  await until(() => huge.socket.writableLength === 0)
  expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200) // it came before this
  huge.write('}')
  expect(await gateway.end()).toBe(0)
  await until(() => huge.socket.closed)
  expect(parseAnswer(huge.received()).status).toBe(200)
  expect(world.upstream.calls(model)).toHaveLength(1)
})
