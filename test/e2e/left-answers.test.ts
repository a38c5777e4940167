import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../support/until.ts'
import { chatAnswer, chatDelta } from './support/answers.ts'
import type { Call } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  expectCharged,
  expectChargedSoon,
  expectSpent,
  newModel,
  onlyRequestOf,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const PRELOAD = pathToFileURL(join(import.meta.dirname, '../support/short-drains.ts')).href
const GRANT = 10
const TOKENS = { input: 31, output: 123 }
const USAGE = { input_tokens: 31, output_tokens: 123 }
/** A piece for each kind of answer that a client may leave, and what it begins with. */
const TEXT = 'Clouds gather over the mountains. '
const JSON_HEAD = '{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"'

let world: World
beforeAll(async () => {
  world = await startWorld({ env: { NODE_OPTIONS: `--import ${PRELOAD}`, TEST_DRAIN_MS: '400' } })
})
afterAll(() => world.end())

/** Sends something now and then for as long as it is read: silence has a bound of its own. */
function trickle(call: Call, status: number, type: string, head: string, piece: string): void {
  call.out.writeHead(status, { 'content-type': type })
  call.out.write(head)
  const timer = setInterval(() => call.out.write(piece), 50)
  call.out.on('close', () => {
    clearInterval(timer)
  })
}

async function leave(model: string, more: Record<string, unknown> = {}) {
  const customer = await world.customer(String(GRANT))
  const client = new AbortController()
  const body = bodyFor('openai', model, more)
  const asked = ask(world.gateway, 'openai', customer.apiKey, body, { signal: client.signal })
  const left = asked.then(
    (answer) => answer.text(),
    () => 'left',
  )
  const call = await world.upstream.call(model)
  return { customer, call, leave: () => (client.abort(), left) }
}

describe('an answer that trickles on for nobody is cut', () => {
  it.each([
    ['a short one', 'model', 'application/json', JSON_HEAD + TEXT.repeat(9)],
    ['one that is passed on', 'model', 'application/json', JSON_HEAD + TEXT.repeat(40_000)],
    ['a stream', 'drain', 'text/event-stream', chatDelta('m', { content: TEXT.repeat(9) })],
  ])('%s, and charged once', async (_name, prefix, type, head) => {
    const model = newModel(prefix)
    const { customer, call, leave: go } = await leave(model, { stream: prefix === 'drain' })
    trickle(call, 200, type, head, prefix === 'drain' ? ': on\n\n' : 'x')
    await go()
    await until(() => call.cut)
    const request = await onlyRequestOf(world, customer)
    const { cost, usage } = await expectChargedSoon(world, request, { estimated: true })
    expect(usage.output_tokens).toBeGreaterThan(40)
    await expectSpent(world, customer, GRANT, cost.micros)
  })

  it('an error, and is free', async () => {
    const model = newModel()
    const { customer, call, leave: go } = await leave(model)
    trickle(call, 500, 'application/json', '{"error":{"message":"', 'x')
    await go()
    await until(() => call.cut)
    await expectSpent(world, customer, GRANT, 0)
  })

  it('an error of a named API, and is free', async () => {
    const api = { protocol: 'http', base_url: world.upstream.url, seconds_max: 86_400 }
    const { url } = await world.join({
      upstreams: { api },
      prices: [{ upstream: 'api', per_request_usd: '0.01' }],
    })
    const model = newModel()
    const customer = await world.customer(String(GRANT))
    const client = new AbortController()
    const left = fetch(`${url}/up/api/x`, {
      method: 'POST',
      headers: { authorization: `Bearer ${customer.apiKey}` },
      body: JSON.stringify({ model }),
      signal: client.signal,
    }).catch(() => 'left')
    const call = await world.upstream.call(model)
    trickle(call, 500, 'application/json', '{"error":{"message":"', 'x')
    client.abort()
    expect(await left).toBe('left')
    await until(() => call.cut)
    await expectSpent(world, customer, GRANT, 0)
  })

  it('not while its client waits', async () => {
    const [waited, model] = [newModel(), newModel()]
    const customer = await world.customer(String(GRANT))
    const answer = ask(world.gateway, 'openai', customer.apiKey, bodyFor('openai', waited))
    const slow = await world.upstream.call(waited)
    trickle(slow, 200, 'application/json', '', ' ')
    const { call, leave: go } = await leave(model)
    trickle(call, 200, 'application/json', JSON_HEAD, 'x')
    await go()
    await until(() => call.cut)
    slow.out.end(JSON.stringify(chatAnswer(waited, TEXT, TOKENS)))
    const response = await answer
    expect(await response.json()).toEqual(chatAnswer(waited, TEXT, TOKENS))
    await expectCharged(world, requestIdOf(response), { usage: USAGE })
  })
})
