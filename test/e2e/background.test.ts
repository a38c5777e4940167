import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runSql } from '../support/stores.ts'
import { until } from '../support/until.ts'
import type { Gateway } from '../support/gateway.ts'
import {
  responseAnswer,
  responseDelta,
  responseEnd,
  responseStart,
  type Tokens,
} from './support/answers.ts'
import { chargeFor } from './support/money.ts'
import { answerJson } from './support/upstream.ts'
import {
  chargedRequests,
  expectChargedSoon,
  expectSpent,
  newModel,
  post,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const TOKENS: Tokens = { input: 45, cached: 20, output: 17 }
const USAGE = { input_tokens: 25, cache_read_tokens: 20, output_tokens: 17 }
const GRANT = 100

let world: World
beforeAll(async () => {
  world = await startWorld({ processes: 2 })
})
afterAll(() => world.end())

let ids = 0

/** A response that the provider makes in the background, as far as the test lets it. */
async function prepare(gateway: Gateway, headers: Record<string, string> = {}) {
  const customer = await world.customer(String(GRANT))
  const options = { apiKey: customer.apiKey, maxRetries: 0, defaultHeaders: headers }
  const client = new OpenAI({ ...options, baseURL: `${gateway.url}/v1` })
  const model = newModel('background')
  const id = `resp_background_${(ids += 1)}_${process.pid}`
  const provider: { answer: Record<string, unknown>; status: number } = {
    answer: { ...responseAnswer(model, '', TOKENS), id, status: 'queued', usage: null, output: [] },
    status: 200,
  }
  const polled = () => world.upstream.all.filter((call) => call.path.includes(id))
  answering.set(id, (call) => {
    answerJson(call, provider.answer, provider.status)
  })
  world.upstream.on('', (call) => {
    const script = [...answering].find(([each]) => call.path.includes(each))?.[1]
    if (script === undefined) answerJson(call, {}, 404)
    else script(call)
  })
  world.upstream.on(model, (call) => {
    answerJson(call, provider.answer)
  })
  const ask = () =>
    client.responses.create({ model, input: 'Think hard.', background: true }).withResponse()
  const complete = (more: object = {}): void => {
    provider.answer = { ...responseAnswer(model, 'Done.', TOKENS), id, ...more }
  }
  return { customer, client, model, id, provider, polled, complete, ask }
}

async function begin(gateway: Gateway = world.gateway, headers: Record<string, string> = {}) {
  const prepared = await prepare(gateway, headers)
  const { data, response } = await prepared.ask()
  expect([data.id, data.status]).toEqual([prepared.id, 'queued'])
  return { ...prepared, response }
}

/** One that is streamed, whose client has read its first event. `next` answers null at its end. */
async function beginStream(gateway: Gateway = world.gateway) {
  const prepared = await prepare(gateway)
  const { model, id, client } = prepared
  world.upstream.on(model, (call) => {
    call.out.writeHead(200, { 'content-type': 'text/event-stream' })
    call.out.write(responseStart(model, { id }).join(''))
  })
  const asked = { model, input: 'Think.', background: true, stream: true as const }
  const { data, response } = await client.responses.create(asked).withResponse()
  const events = data[Symbol.asyncIterator]()
  const next = async (): Promise<string | null> => {
    const event = await events.next()
    return event.done === true ? null : event.value.type
  }
  expect(await next()).toBe('response.created')
  return { begun: { ...prepared, response }, next, abort: data.controller }
}
const answering = new Map<string, Parameters<World['upstream']['on']>[1]>()
type Begun = Awaited<ReturnType<typeof begin>>

async function expectChargedOnce(begun: Begun, expected: Parameters<typeof expectChargedSoon>[2]) {
  const requestId = requestIdOf(begun.response)
  const receipt = await until(async () => {
    const found = await world.gateways.at(-1)?.admin.receipt(requestId)
    return found?.status === 'posted' && !found.late && found
  })
  expect(receipt.estimated).toBe(expected.estimated ?? false)
  if (expected.usage !== undefined) expect(receipt.usage).toEqual(expected.usage)
  await expectSpentAt(begun, receipt.cost.micros)
  return receipt
}

/** By the gateway that is alive. */
async function expectSpentAt({ customer }: Begun, micros: number): Promise<void> {
  const alive = world.gateways.at(-1)
  if (alive === undefined) throw new Error('no gateway')
  const there = { ...world, gateway: alive }
  await expectSpent(there, customer, GRANT, micros)
  expect(await chargedRequests(there, customer)).toHaveLength(1)
}

describe('a background response', () => {
  it('is followed to its end and charged once, though its client never asks again', async () => {
    const begun = await begin()
    const { customer, polled, complete } = begun
    await until(() => polled().length >= 2)
    const { held, posted } = await world.gateway.admin.balance(customer.apiKey)
    expect(held.micros).toBeGreaterThan(0)
    expect(posted.micros).toBe(GRANT * 1_000_000)
    for (const { headers } of polled()) {
      expect(headers.authorization).toBe('Bearer sk-operator-openai')
    }
    complete()
    await expectChargedOnce(begun, { usage: USAGE })
    const count = polled().length
    complete({ usage: { input_tokens: 1, output_tokens: 1 } })
    // All that is left to poll is due at once: what is polled twice shows that all of it was.
    const other = await begin()
    const before = other.polled().length
    await runSql(world.databaseUrl ?? '', ['UPDATE background_jobs SET due_at = now()'])
    await until(() => other.polled().length >= before + 2)
    expect(polled()).toHaveLength(count)
    other.complete()
    await expectChargedOnce(other, { usage: USAGE })
  })

  it('is read free of charge by its own account, at once and by nobody else', async () => {
    const begun = await begin()
    const { client, id, complete } = begun
    expect(await client.responses.retrieve(id)).toMatchObject({ id, status: 'queued' })
    const other = await world.customer('10')
    const foreign = new OpenAI({ apiKey: other.apiKey, baseURL: client.baseURL, maxRetries: 0 })
    await expect(foreign.responses.retrieve(id)).rejects.toMatchObject({ status: 404 })
    complete()
    expect(await client.responses.retrieve(id)).toMatchObject({ output_text: 'Done.' })
    await expectChargedOnce(begun, { usage: USAGE })
    await client.responses.retrieve(id)
    await expectSpentAt(begun, (await expectChargedOnce(begun, {})).cost.micros)
  })

  it('cannot be deleted before it is charged; cancelled it is charged what it used', async () => {
    const begun = await begin()
    const { client, id, complete } = begun
    await expect(client.responses.delete(id)).rejects.toMatchObject({ status: 409 })
    complete({ status: 'cancelled', usage: { input_tokens: 45, output_tokens: 3 } })
    await client.responses.cancel(id)
    await expectChargedOnce(begun, { usage: { input_tokens: 45, output_tokens: 3 } })
    await client.responses.delete(id)
  })

  it('is asked for again where polls fail, and estimated where it is gone', async () => {
    const [failing, gone] = await Promise.all([begin(), begin()])
    failing.provider.status = 500
    gone.provider.status = 404
    const { usage } = await expectChargedOnce(gone, { estimated: true })
    expect(usage.input_tokens).toBeGreaterThan(0)
    await until(() => failing.polled().length >= 2)
    failing.provider.status = 200
    failing.complete()
    await expectChargedOnce(failing, { usage: USAGE })
  })

  it('that has ended at once is an answer like any other', async () => {
    const customer = await world.customer(String(GRANT))
    const baseURL = `${world.gateway.url}/v1`
    const client = new OpenAI({ apiKey: customer.apiKey, baseURL, maxRetries: 0 })
    const model = newModel('background')
    world.upstream.on(model, (call) => {
      answerJson(call, responseAnswer(model, 'Done.', TOKENS))
    })
    const { response } = await client.responses
      .create({ model, input: 'Hello', background: true })
      .withResponse()
    await expectChargedSoon(world, requestIdOf(response), { usage: USAGE })
  })

  it('is begun once under one key', async () => {
    const begun = await begin(world.gateway, { 'idempotency-key': `key-${process.pid}` })
    begun.complete()
    await expectChargedOnce(begun, { usage: USAGE })
    const again = await begun.ask()
    expect(again.data.status).toBe('queued')
    expect(again.response.headers.get('x-farebox-replayed')).toBe('true')
    expect(world.upstream.calls(begun.model)).toHaveLength(1)
  })

  it('that is streamed passes as it comes and is charged once, at its end', async () => {
    const { begun, next } = await beginStream()
    const call = await world.upstream.call(begun.model)
    call.out.end([responseDelta('Do'), responseEnd(begun.model, 'Do', TOKENS, begun)].join(''))
    const types: string[] = []
    for (let event = await next(); event !== null; event = await next()) types.push(event)
    expect(types).toEqual([
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.completed',
    ])
    begun.complete()
    await expectChargedOnce(begun, { usage: USAGE })
    expect(await begun.client.responses.retrieve(begun.id)).toMatchObject({ status: 'completed' })
  })

  it('that is streamed is followed to its end when its client leaves or it breaks off', async () => {
    const [left, broken] = [await beginStream(), await beginStream()]
    left.abort.abort()
    const call = await world.upstream.call(broken.begun.model)
    call.out.destroy()
    await until(() => broken.begun.polled().length >= 1 && left.begun.polled().length >= 1)
    for (const { begun } of [left, broken]) {
      expect(
        (await world.gateway.admin.balance(begun.customer.apiKey)).held.micros,
      ).toBeGreaterThan(0)
      begun.complete()
      await expectChargedOnce(begun, { usage: USAGE })
    }
    expect((await world.upstream.call(left.begun.model)).cut).toBe(true)
  })

  it('is followed to its end also where its first answer is larger than what is kept', async () => {
    const prepared = await prepare(world.gateway)
    const { model, provider, client, id } = prepared
    const instructions = 'x'.repeat(1_300_000)
    provider.answer = { ...provider.answer, instructions }
    const whole = await prepared.ask()
    expect([whole.data.status, whole.data.instructions?.length]).toEqual(['queued', 1_300_000])
    const streamed = await prepare(world.gateway)
    world.upstream.on(streamed.model, (call) => {
      call.out.writeHead(200, { 'content-type': 'text/event-stream' })
      const more = { instructions, tools: new Array(40_000).fill({ type: 'one of many' }) }
      call.out.write(responseStart(streamed.model, { id: streamed.id, more }).join(''))
    })
    const asked = { model: streamed.model, input: 'x', background: true, stream: true as const }
    const stream = await streamed.client.responses.create(asked).withResponse()
    for await (const event of stream.data) if (event.type === 'response.created') break
    for (const each of [
      { ...prepared, ...whole },
      { ...streamed, ...stream },
    ]) {
      each.complete()
      await expectChargedOnce(each, { usage: USAGE })
    }
    expect(world.upstream.calls(model)).toHaveLength(1)
    expect(await client.responses.retrieve(id)).toMatchObject({ status: 'completed' })
  })

  it('that cannot be followed is cancelled: free where it was, else charged and not tried again', async () => {
    const asked = async (status: string, cut: boolean) => {
      const { customer, model, id, provider, polled } = await prepare(world.gateway)
      const text = JSON.stringify(provider.answer)
      world.upstream.on(model, (call) => {
        call.out.writeHead(200, { 'content-type': 'application/json' })
        if (!cut) call.out.end(text)
        else call.out.write(text.slice(0, -20), () => call.out.destroy())
      })
      provider.answer = { ...provider.answer, status }
      const body = { model, input: 'Think hard.', background: true }
      const answer = await post(world.gateway, '/v1/responses', customer.apiKey, body)
      expect(await answer.text()).not.toContain(id)
      expect(polled().map(({ method, path }) => [method, path])).toEqual([
        ['POST', `/v1/responses/${id}/cancel`],
      ])
      return { customer, answer }
    }
    const free = await asked('cancelled', true)
    expect(free.answer.status).toBe(503)
    await expectSpent(world, free.customer, GRANT, 0)
    const charged = await asked('in_progress', true)
    expect(charged.answer.status).toBe(410)
    const requestId = requestIdOf(charged.answer)
    const { cost } = await expectChargedSoon(world, requestId, { estimated: true })
    await expectSpent(world, charged.customer, GRANT, cost.micros)

    const rename = (from: string, to: string) =>
      runSql(world.databaseUrl ?? '', [`ALTER TABLE ${from} RENAME TO ${to}`])
    await rename('background_jobs', 'background_jobs_away')
    try {
      const unnoted = await asked('cancelled', false)
      expect(unnoted.answer.status).toBe(503)
      await expectSpent(world, unnoted.customer, GRANT, 0)
      expect((await asked('completed', false)).answer.status).toBe(410)
    } finally {
      await rename('background_jobs_away', 'background_jobs')
    }
  })

  it('of a gateway that was killed is polled on by another without its prices, and charged once', async () => {
    const [dying, heir] = world.gateways
    if (dying === undefined || heir === undefined) throw new Error('two gateways are needed')
    const streamed = await beginStream(dying)
    const begun = [streamed.begun, ...(await Promise.all([begin(dying), begin(dying)]))]
    await world.join({ prices: [] })
    await Promise.all([dying.end('SIGKILL'), heir.end('SIGKILL')])
    for (const each of begun) each.complete()
    // Whatever the dead were at comes due by itself, within these 20 s that nobody waits for here.
    await runSql(world.databaseUrl ?? '', [
      `DO $$ BEGIN ASSERT (SELECT max(due_at) FROM background_jobs) < now() + interval '20 s'; END $$`,
      'UPDATE background_jobs SET due_at = now()',
    ])
    for (const each of begun) {
      const { cost } = await expectChargedOnce(each, { usage: USAGE })
      expect(cost.micros).toBe(chargeFor(USAGE))
    }
  })
})
