import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../support/until.ts'
import {
  chatAnswer,
  chatDelta,
  chatStream,
  messagesAnswer,
  messagesStream,
  messageStart,
  textDelta,
  textStart,
  type Tokens,
} from './support/answers.ts'
import { CLIENTS } from './support/clients.ts'
import { makeCountingFetch } from './support/counting-fetch.ts'
import { expectRefusal, TABLE } from './support/envelopes.ts'
import { answerJson, answerStream, openStream } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  expectCharged,
  expectChargedSoon,
  expectSpent,
  FAMILIES,
  newModel,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const TOKENS: Tokens = { input: 45, cached: 20, output: 17 }
const USAGE = { input_tokens: 25, cache_read_tokens: 20, output_tokens: 17 }
const GRANT = 10
const TEXT = 'It is sunny in Bern.'

let world: World
beforeAll(async () => {
  world = await startWorld({ embedded: true })
})
afterAll(() => world.end())

const wire = {
  openai: { answer: chatAnswer, stream: chatStream },
  anthropic: { answer: messagesAnswer, stream: messagesStream },
}

describe.each(FAMILIES)('without Postgres and Redis, %s', (family) => {
  const [kind] = CLIENTS.filter((each) => each.family === family)

  it('answers, streams and charges', async () => {
    const model = newModel()
    world.upstream.on(model, (call) => {
      if (call.json.stream === true) answerStream(call, wire[family].stream(model, [TEXT], TOKENS))
      else answerJson(call, wire[family].answer(model, TEXT, TOKENS))
    })
    const customer = await world.customer(String(GRANT))
    const counting = makeCountingFetch()
    const { apiKey } = customer
    const client = kind?.make({ url: world.gateway.url, apiKey, fetch: counting.fetch })
    expect((await client?.json(model))?.text).toBe(TEXT)
    const first = await expectCharged(world, counting.requestId(), { usage: USAGE })
    expect((await client?.stream(model))?.text).toBe(TEXT)
    const second = await expectCharged(world, counting.requestId(), { usage: USAGE })
    await expectSpent(world, customer, GRANT, first.cost.micros + second.cost.micros)
  })

  it('charges what was said to a client that left', async () => {
    const model = newModel()
    const customer = await world.customer(String(GRANT))
    const leaving = new AbortController()
    const body = bodyFor(family, model, { stream: true })
    const asked = ask(world.gateway, family, customer.apiKey, body, { signal: leaving.signal })
    const call = await world.upstream.call(model)
    openStream(
      call,
      family === 'openai'
        ? [chatDelta(model, { content: TEXT })]
        : [messageStart(model, TOKENS), textStart, textDelta(TEXT)],
    )
    const requestId = requestIdOf(await asked)
    leaving.abort()
    await until(() => call.cut)
    const receipt = await expectChargedSoon(world, requestId, { estimated: true })
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('makes duplicates of one request one call', async () => {
    const model = newModel()
    const customer = await world.customer(String(GRANT))
    const headers = { 'idempotency-key': 'one' }
    const asked = Array.from({ length: 20 }, () =>
      ask(world.gateway, family, customer.apiKey, bodyFor(family, model), { headers }),
    )
    answerJson(await world.upstream.call(model), wire[family].answer(model, TEXT, TOKENS))
    const responses = await Promise.all(asked)
    const texts = await Promise.all(responses.map((response) => response.text()))
    expect(new Set(texts).size).toBe(1)
    const replayed = responses.filter((each) => each.headers.has('x-farebox-replayed'))
    expect(replayed).toHaveLength(19)
    expect(world.upstream.calls(model)).toHaveLength(1)
    const [first] = responses
    if (first === undefined) throw new Error('twenty answers')
    const receipt = await expectCharged(world, requestIdOf(first), { usage: USAGE })
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('refuses without credits, past the concurrency and with a revoked key', async () => {
    const poor = await world.customer('0')
    const body = bodyFor(family, newModel())
    await expectRefusal(
      await ask(world.gateway, family, poor.apiKey, body),
      family,
      TABLE.noCredits,
    )
    const single = await world.customer(String(GRANT), { max_concurrency: 1 })
    const model = newModel()
    const busy = bodyFor(family, model)
    const open = ask(world.gateway, family, single.apiKey, busy)
    const call = await world.upstream.call(model)
    await expectRefusal(await ask(world.gateway, family, single.apiKey, busy), family, TABLE.rate)
    answerJson(call, wire[family].answer(model, TEXT, TOKENS))
    expect((await open).status).toBe(200)
    await world.gateway.admin.call('DELETE', `/admin/v1/keys/${single.keyId}`)
    await until(async () => {
      const refused = await ask(world.gateway, family, single.apiKey, busy)
      await expectRefusal(refused, family, TABLE.invalidKey)
      return true
    })
  })
})
