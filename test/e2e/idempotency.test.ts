import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Customer } from '../support/admin.ts'
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
import { expectRefusal, TABLE } from './support/envelopes.ts'
import { answerJson, answerStream, openStream } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  chargedRequests,
  expectCharged,
  expectChargedSoon,
  expectSpent,
  FAMILIES,
  newModel,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const TOKENS: Tokens = { input: 12, output: 8 }
const USAGE = { input_tokens: 12, output_tokens: 8 }
const DUPLICATES = 100
const GRANT = 100

let world: World
beforeAll(async () => {
  world = await startWorld({ processes: 2 })
  await world.join({ idempotency_wait_ms: 200 })
})
afterAll(() => world.end())

const newKey = (): string => `order-${crypto.randomUUID()}`
const wire = {
  openai: { answer: chatAnswer, stream: chatStream },
  anthropic: { answer: messagesAnswer, stream: messagesStream },
}
const costOf = (response: Response): string | null => response.headers.get('x-farebox-cost')
const isReplayed = (response: Response): boolean =>
  response.headers.get('x-farebox-replayed') === 'true'

describe.each(FAMILIES)('requests of %s with an Idempotency-Key', (family) => {
  /** The n-th process; its requests carry the key. */
  const send = (
    customer: Customer,
    key: string,
    body: unknown,
    process = 0,
    signal?: AbortSignal,
  ): Promise<Response> => {
    const gateway = world.gateways[process] ?? world.gateway
    const init = { headers: { 'idempotency-key': key }, ...(signal ? { signal } : {}) }
    return ask(gateway, family, customer.apiKey, body, init)
  }

  it.each([false, true])(
    'a hundred at once over two processes are one call and one charge (stream: %s)',
    async (stream) => {
      const model = newModel()
      const customer = await world.customer(String(GRANT))
      const body = bodyFor(family, model, { stream })
      const key = newKey()
      const asked = Array.from({ length: DUPLICATES }, (_, n) => send(customer, key, body, n % 2))
      const call = await world.upstream.call(model)
      if (stream) answerStream(call, wire[family].stream(model, ['One.', ' Two.'], TOKENS))
      else answerJson(call, wire[family].answer(model, 'One. Two.', TOKENS))
      const responses = await Promise.all(asked)
      const texts = await Promise.all(responses.map((response) => response.text()))
      expect(responses.map(({ status }) => status)).toEqual(asked.map(() => 200))
      expect(new Set(texts).size).toBe(1)
      expect(texts[0]).toContain('One.')
      expect(responses.filter(isReplayed)).toHaveLength(DUPLICATES - 1)
      const types = responses.map((response) => response.headers.get('content-type'))
      expect(new Set(types).size).toBe(1)
      expect(world.upstream.calls(model)).toHaveLength(1)
      expect(call.headers['idempotency-key']).toBeUndefined()
      const ids = new Set(responses.map(requestIdOf))
      expect(ids.size).toBe(1)
      expect(await chargedRequests(world, customer)).toEqual([...ids])
      const receipt = await expectCharged(world, [...ids][0] ?? '', { usage: USAGE })
      await expectSpent(world, customer, GRANT, receipt.cost.micros)
      const costs = responses.filter((one) => !stream || isReplayed(one)).map(costOf)
      expect(new Set(costs)).toEqual(new Set([receipt.cost.credits]))
      // And the same again, later.
      const later = await send(customer, key, body, 2)
      expect(isReplayed(later)).toBe(true)
      expect(costOf(later)).toBe(receipt.cost.credits)
      expect(await later.text()).toBe(texts[0])
      expect(world.upstream.calls(model)).toHaveLength(1)
    },
  )

  it('400 for another body; the key of another account is another key', async () => {
    const model = newModel()
    world.upstream.on(model, (call) => {
      answerJson(call, wire[family].answer(model, 'Yes.', TOKENS))
    })
    const [one, two] = [await world.customer('10'), await world.customer('10')]
    const key = newKey()
    const body = bodyFor(family, model)
    expect((await send(one, key, body)).status).toBe(200)
    const other = await send(one, key, { ...body, temperature: 0 }, 1)
    await expectRefusal(other, family, TABLE.keyReused)
    const theirs = await send(two, key, { ...body, temperature: 0 }, 1)
    expect(theirs.status).toBe(200)
    expect(isReplayed(theirs)).toBe(false)
    expect(world.upstream.calls(model)).toHaveLength(2)
    expect(await chargedRequests(world, one)).toHaveLength(1)
  })

  it('a request that ended without a charge frees its key', async () => {
    const model = newModel()
    const customer = await world.customer(String(GRANT))
    const key = newKey()
    const body = bodyFor(family, model)
    world.upstream.on(model, (call) => {
      answerJson(call, { error: { message: 'busy' } }, 500)
    })
    expect((await send(customer, key, body)).status).toBe(500)
    await expectRefusal(
      await send(customer, key, { ...body, model: newModel('unpriced') }),
      family,
      TABLE.noModel,
    )
    world.upstream.on(model, (call) => {
      answerJson(call, wire[family].answer(model, 'Yes.', TOKENS))
    })
    const second = await send(customer, key, body, 1)
    expect(second.status).toBe(200)
    expect(isReplayed(second)).toBe(false)
    expect(world.upstream.calls(model)).toHaveLength(2)
    const receipt = await expectCharged(world, requestIdOf(second), { usage: USAGE })
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('409 for a duplicate once it has waited long enough', async () => {
    const model = newModel()
    const customer = await world.customer(String(GRANT))
    const key = newKey()
    const body = bodyFor(family, model)
    const first = send(customer, key, body)
    const call = await world.upstream.call(model)
    const impatient = await send(customer, key, body, 2)
    expect(impatient.headers.get('retry-after')).toBe('1')
    await expectRefusal(impatient, family, TABLE.inProgress)
    answerJson(call, wire[family].answer(model, 'Yes.', TOKENS))
    const whole = await (await first).text()
    const again = await send(customer, key, body, 2)
    expect(await again.text()).toBe(whole)
    expect(isReplayed(again)).toBe(true)
  })

  it('410 with the receipt where the stream was cut off', async () => {
    const model = newModel()
    const customer = await world.customer(String(GRANT))
    const key = newKey()
    const body = bodyFor(family, model, { stream: true })
    const leaving = new AbortController()
    const first = send(customer, key, body, 0, leaving.signal)
    const call = await world.upstream.call(model)
    const text = 'A long story begins.'
    const opening =
      family === 'openai'
        ? [chatDelta(model, { content: text })]
        : [messageStart(model, TOKENS), textStart, textDelta(text)]
    openStream(call, opening)
    const response = await first
    const requestId = requestIdOf(response)
    leaving.abort()
    await until(() => call.cut)
    const receipt = await expectChargedSoon(world, requestId, { estimated: true })
    const told = await expectRefusal(await send(customer, key, body, 1), family, TABLE.resultGone)
    expect(told.receiptId).toBe(requestId)
    expect(told.message).toContain(requestId)
    expect(world.upstream.calls(model)).toHaveLength(1)
    await expectSpent(world, customer, GRANT, receipt.cost.micros)
  })

  it('410 for an answer too large to be kept, which its first caller gets whole', async () => {
    const model = newModel()
    const customer = await world.customer(String(GRANT))
    const key = newKey()
    const body = bodyFor(family, model)
    const text = 'x'.repeat(1_100_000)
    world.upstream.on(model, (call) => {
      answerJson(call, wire[family].answer(model, text, TOKENS))
    })
    const first = await send(customer, key, body)
    expect(await first.text()).toContain(text)
    await expectCharged(world, requestIdOf(first), { usage: USAGE })
    const told = await expectRefusal(await send(customer, key, body, 1), family, TABLE.resultGone)
    expect(told.receiptId).toBe(requestIdOf(first))
  })

  it('400 for a key that is too long or not printable', async () => {
    const customer = await world.customer('1')
    const body = bodyFor(family, newModel())
    for (const key of ['k'.repeat(256), 'kéy', '']) {
      await expectRefusal(await send(customer, key, body), family, TABLE.invalidRequest)
    }
  })
})
