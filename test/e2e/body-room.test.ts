import { afterAll, beforeAll, expect, it } from 'vitest'
import { metric } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { chatAnswer } from './support/answers.ts'
import { openRaw, type RawClient } from './support/raw.ts'
import { answerJson, type Call } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  newModel,
  PATHS,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

/** What bodies take of the memory that they share, from their first bytes to their requests’ end. */
let world: World
let key: string
beforeAll(async () => {
  world = await startWorld()
  key = (await world.customer('100000')).apiKey
})
afterAll(() => world.end())

const BYTES = 300_000
const TOKENS = { input: 12, output: 8 }

const taken = (): Promise<number> => metric(world.gateway, 'farebox_request_bodies_bytes')
const isEmpty = (): Promise<boolean> => taken().then((bytes) => bytes === 0)

const large = (model: string): Record<string, unknown> =>
  bodyFor('openai', model, { metadata: { filler: 'a'.repeat(BYTES) } })

function begin(length: number, text: string): RawClient {
  const client = openRaw(world.gateway)
  const head = [`POST ${PATHS.openai} HTTP/1.1`, 'host: gateway', `authorization: Bearer ${key}`]
  const lines = [...head, 'content-type: application/json', `content-length: ${length}`, '', text]
  client.write(lines.join('\r\n'))
  return client
}

it.each([
  ['small', 50_000],
  ['large', 5_000_000],
])('is given back where the client leaves in the midst of a %s one', async (_what, length) => {
  const client = begin(length, `{"model":"${'a'.repeat(length / 2)}`)
  await until(async () => (await taken()) >= length / 2)
  client.socket.destroy()
  await until(isEmpty)
})

it('is kept while its upstream is at work, and given back with its answer', async () => {
  const model = newModel()
  const calls: Call[] = []
  world.upstream.on(model, (call) => {
    calls.push(call)
  })
  const asked = ask(world.gateway, 'openai', key, large(model))
  const call = await until(() => calls[0])
  expect(await taken()).toBeGreaterThan(BYTES)
  answerJson(call, chatAnswer(model, 'Yes.', TOKENS))
  const answer = await asked
  expect([answer.status, (await answer.text()).length > 0]).toEqual([200, true])
  await until(isEmpty)
})

it('is taken by a large answer, too, while it comes', async () => {
  const model = newModel()
  const calls: Call[] = []
  world.upstream.on(model, (call) => {
    calls.push(call)
  })
  const asked = ask(world.gateway, 'openai', key, bodyFor('openai', model))
  const { out } = await until(() => calls[0])
  const text = JSON.stringify(chatAnswer(model, 'a'.repeat(BYTES), TOKENS))
  out.writeHead(200, { 'content-type': 'application/json' })
  out.write(text.slice(0, -100))
  await until(async () => (await taken()) >= BYTES)
  out.end(text.slice(-100))
  expect(await (await asked).text()).toBe(text)
  await until(isEmpty)
})

it('is taken by a large answer of a named API whose units are in it, too', async () => {
  const api = { protocol: 'http', base_url: world.upstream.url, units: { json: 'n', max: 9 } }
  const prices = [{ upstream: 'api', per_unit_usd: '0.01' }]
  const gateway = await world.join({ upstreams: { api }, prices })
  const takenThere = (): Promise<number> => metric(gateway, 'farebox_request_bodies_bytes')
  const model = newModel()
  const asked = fetch(`${gateway.url}/up/api/x`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify({ model }),
  })
  const { out } = await world.upstream.call(model)
  out.writeHead(200, { 'content-type': 'application/json' })
  out.write(`{"filler":"${'a'.repeat(BYTES)}",`)
  await until(async () => (await takenThere()) >= BYTES)
  out.end('"n":3}')
  const answer = await asked
  await answer.text()
  const { usage } = await gateway.admin.receipt(requestIdOf(answer))
  expect(usage).toMatchObject({ units: 3 })
  await until(async () => (await takenThere()) === 0)
})

it.each([
  ['by what is in it', () => ({ ...large(newModel()), max_tokens: -1 })],
  ['for want of a price', () => large(newModel('unpriced'))],
])('is given back where it is refused %s', async (_why, body) => {
  const answer = await ask(world.gateway, 'openai', key, body())
  expect(answer.status).toBeGreaterThanOrEqual(400)
  await answer.text()
  await until(isEmpty)
})

it('is given back where its upstream cannot be reached', async () => {
  const answer = await ask(world.gateway, 'openai', key, large(newModel('dead')))
  expect(answer.status).toBe(502)
  await answer.text()
  await until(isEmpty)
})
