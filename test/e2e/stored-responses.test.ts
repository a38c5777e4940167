import { setTimeout as delay } from 'node:timers/promises'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Customer } from '../support/admin.ts'
import { until } from '../support/until.ts'
import { responseAnswer, responseStream, type Tokens } from './support/answers.ts'
import { answerJson, answerStream, openStream } from './support/upstream.ts'
import {
  expectCharged,
  expectSpent,
  newModel,
  post,
  requestIdOf,
  startWorld,
  type World,
} from './support/world.ts'

const TOKENS: Tokens = { input: 45, output: 17 }
const PATH = '/v1/responses'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

let ids = 0
const newId = (kind = 'resp'): string => `${kind}_stored_${(ids += 1)}`

async function person() {
  const customer = await world.customer('100')
  const baseURL = `${world.gateway.url}/v1`
  return { customer, client: new OpenAI({ baseURL, apiKey: customer.apiKey, maxRetries: 0 }) }
}

/** An answer with an id of its own, kept by the provider unless `more` says otherwise. */
const answerOf = (model: string, id: string, more: object = {}) => ({
  ...responseAnswer(model, 'Hi.', TOKENS),
  id,
  ...more,
})

/** What the provider does with a stored response; answers the calls it got. */
function keeps(id: string) {
  world.upstream.on('', (call) => {
    const status = call.path.includes(id) ? 200 : 404
    answerJson(call, { id, object: 'response', output: [], data: [] }, status)
  })
  return () => world.upstream.all.filter((call) => call.path.includes(id))
}

async function stored(customer: Customer, more: object = {}, id = newId()) {
  const model = newModel()
  world.upstream.on(model, (call) => {
    answerJson(call, answerOf(model, id, more))
  })
  const answer = await post(world.gateway, PATH, customer.apiKey, { model, input: 'Hello' })
  expect(answer.status).toBe(200)
  await answer.arrayBuffer()
  return { id, model, requestId: requestIdOf(answer) }
}

const call = (customer: Customer, method: string, path: string): Promise<Response> =>
  fetch(`${world.gateway.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${customer.apiKey}`, 'content-type': 'application/json' },
  })

const BY_ID = { type: 'input_file', file_id: 'file-1' }

describe('a stored response', () => {
  it('is read, looked into, cancelled and deleted by its own account, free of charge', async () => {
    const { customer, client } = await person()
    const { id, requestId } = await stored(customer)
    const { cost } = await expectCharged(world, requestId, {})
    const calls = keeps(id)
    expect(await client.responses.retrieve(id)).toMatchObject({ id })
    await client.responses.inputItems.list(id)
    await client.responses.cancel(id)
    await client.responses.delete(id)
    expect(calls().map(({ method, path }) => [method, path.split('?')[0]])).toEqual([
      ['GET', `${PATH}/${id}`],
      ['GET', `${PATH}/${id}/input_items`],
      ['POST', `${PATH}/${id}/cancel`],
      ['DELETE', `${PATH}/${id}`],
    ])
    for (const { headers } of calls()) {
      expect(headers.authorization).toBe('Bearer sk-operator-openai')
      expect(JSON.stringify(headers)).not.toContain(customer.apiKey)
    }
    // Its id is removed behind the answer.
    const gone = { status: 404 }
    await until(() =>
      expect(client.responses.retrieve(id))
        .rejects.toMatchObject(gone)
        .then(() => true),
    )
    await expectSpent(world, customer, 100, cost.micros)
  })

  it('is nobody else’s, and what was not stored is nobody’s', async () => {
    const [{ customer }, other] = await Promise.all([person(), person()])
    const { id } = await stored(customer)
    const unstored = await stored(customer, { store: false })
    const calls = keeps(id)
    const tries = ['', '/input_items', '/cancel'].map((below) => `${PATH}/${id}${below}`)
    for (const path of tries) {
      const method = path.endsWith('cancel') ? 'POST' : 'GET'
      const answer = await call(other.customer, method, path)
      expect(answer.status).toBe(404)
      expect(await answer.json()).toMatchObject({ error: { code: 'not_found' } })
    }
    expect((await call(other.customer, 'DELETE', `${PATH}/${id}`)).status).toBe(404)
    expect((await call(customer, 'GET', `${PATH}/${unstored.id}`)).status).toBe(404)
    expect((await call(customer, 'GET', `${PATH}/..%2Fmodels`)).status).toBe(404)
    expect(calls()).toEqual([])
  })

  it('is read only while key and plan allow responses', async () => {
    const { customer } = await person()
    const { id } = await stored(customer)
    const calls = keeps(id)
    const read = () => call(customer, 'GET', `${PATH}/${id}`)
    expect((await read()).status).toBe(200)
    const exception = {
      endpoints: ['chat/*'],
      reason: 'test',
      expires_at: new Date(Date.now() + 3_600_000).toISOString(),
    }
    const path = `/admin/v1/accounts/${customer.accountId}/overrides`
    expect((await world.gateway.admin.call('POST', path, exception)).ok).toBe(true)
    await until(async () => (await read()).status === 403)
    const before = calls().length
    expect(await (await read()).json()).toMatchObject({ error: { code: 'model_not_allowed' } })
    expect(calls()).toHaveLength(before)
  })

  it('is known to be its account’s by its stream too, also one that the client left', async () => {
    const { customer, client } = await person()
    const model = newModel()
    const id = newId()
    const events = responseStream(model, ['Hi'], TOKENS).map((event) =>
      event.replace(/"id":"resp_[^"]*"/, `"id":"${id}"`),
    )
    expect(events[0]).toContain(id)
    world.upstream.on(model, (seen) => {
      answerStream(seen, events)
    })
    const stream = await client.responses.create({ model, input: 'Hello', stream: true })
    for await (const event of stream) expect(event.type).toMatch(/^response\./)
    keeps(id)
    expect((await call(customer, 'GET', `${PATH}/${id}`)).status).toBe(200)
  })

  it('streams when its reader asks for events', async () => {
    const { customer } = await person()
    const { id } = await stored(customer)
    world.upstream.on('', (seen) => {
      openStream(seen, [`event: response.created\ndata: {"q":"${seen.path}"}\n\n`])
      seen.out.end()
    })
    const answer = await call(customer, 'GET', `${PATH}/${id}?stream=true&starting_after=4`)
    expect(answer.headers.get('content-type')).toMatch(/event-stream/)
    expect(await answer.text()).toContain('?stream=true&starting_after=4')
  })

  it('is read no further when its reader has left, also before it was answered', async () => {
    const { customer } = await person()
    const { id } = await stored(customer)
    world.upstream.on('', () => undefined)
    const leaving = new AbortController()
    const reading = fetch(`${world.gateway.url}${PATH}/${id}?stream=true`, {
      headers: { authorization: `Bearer ${customer.apiKey}` },
      signal: leaving.signal,
    })
    const seen = await until(() => world.upstream.all.find((one) => one.path.includes(id)))
    leaving.abort()
    await expect(reading).rejects.toThrow()
    await delay(100) // for the gateway to hear of it
    openStream(seen, ['event: response.created\ndata: {}\n\n']) // and goes on for ever
    await until(() => seen.cut)
  })

  it('passes on what the provider says, but not about the operator', async () => {
    const { customer } = await person()
    const { id } = await stored(customer)
    world.upstream.on('', (seen) => {
      answerJson(seen, { error: { message: 'gone' } }, 404)
    })
    const gone = await call(customer, 'GET', `${PATH}/${id}`)
    expect([gone.status, await gone.json()]).toEqual([404, { error: { message: 'gone' } }])
    world.upstream.on('', (seen) => {
      // and goes on for ever
      seen.out.writeHead(401).write('{"error":{"message":"Incorrect API key provided: sk-oper')
    })
    const trouble = await call(customer, 'GET', `${PATH}/${id}`)
    expect(trouble.status).toBe(503)
    expect(await trouble.text()).not.toContain('sk-oper')
    await until(() => world.upstream.all.at(-1)?.cut)
  })
})

describe('a request goes on from what its own account had stored', () => {
  const referring = (id: string): Record<string, unknown>[] => [
    { input: 'more', previous_response_id: id },
    { input: [{ type: 'item_reference', id }] },
    { input: [{ id }] },
    { input: [{ type: 'reasoning', id, summary: [] }] },
    { input: 'more', conversation: id },
    { input: 'more', conversation: { id } },
  ]

  it('at the provider that keeps it', async () => {
    const { customer } = await person()
    const item = newId('msg')
    const output = [{ type: 'message', id: item, role: 'assistant', content: [] }]
    const { id } = await stored(customer, { output })
    for (const body of [...referring(id).slice(0, 1), ...referring(item).slice(1, 4)]) {
      const model = newModel()
      world.upstream.on(model, (seen) => {
        answerJson(seen, answerOf(model, newId()))
      })
      const answer = await post(world.gateway, PATH, customer.apiKey, { model, ...body })
      expect(answer.status).toBe(200)
      expect(world.upstream.calls(model)).toHaveLength(1)
    }
  })

  it('never from another’s, nor from a conversation', async () => {
    const [{ customer }, other] = await Promise.all([person(), person()])
    const { id } = await stored(customer)
    const model = newModel()
    for (const path of [PATH, `${PATH}/input_tokens`]) {
      for (const body of referring(id)) {
        const sent = { model, ...body }
        const answer = await post(world.gateway, path, other.customer.apiKey, sent)
        expect([JSON.stringify(body), answer.status]).toEqual([JSON.stringify(body), 404])
        expect(await answer.json()).toMatchObject({ error: { code: 'not_found' } })
      }
    }
    const own = { model, input: 'x', conversation: 'conv_1' }
    expect((await post(world.gateway, PATH, customer.apiKey, own)).status).toBe(404)
    expect(world.upstream.calls(model)).toEqual([])
    await expectSpent(world, other.customer, 100, 0)
  })

  it('save where the operator trusts all ids', async () => {
    const { url } = world.upstream
    const joined = await world.join({
      upstreams: { trusting: { protocol: 'openai', base_url: `${url}/v1`, stored_ids: 'any' } },
      prices: [{ model: '*', input_usd_per_mtok: '1', output_usd_per_mtok: '4' }],
    })
    const customer = await world.customer('100')
    const model = newModel()
    world.upstream.on(model, (seen) => {
      answerJson(seen, answerOf(model, newId()))
    })
    const body = { model, input: 'x', conversation: 'conv_1' }
    expect((await post(joined, PATH, customer.apiKey, body)).status).toBe(200)
    const file = { model, input: [{ role: 'user', content: [BY_ID] }] }
    expect((await post(joined, PATH, customer.apiKey, file)).status).toBe(200)
  })

  it('and a file by id is nobody’s: it cannot be told whose it is', async () => {
    const customer = await world.customer('100')
    const model = newModel()
    const refused = async (path: string, body: object): Promise<void> => {
      const answer = await post(world.gateway, path, customer.apiKey, { model, ...body })
      expect(answer.status).toBe(400)
      expect(JSON.stringify(await answer.json())).toContain('media_by_id')
    }
    const said = (part: object) => ({
      messages: [{ role: 'user', content: [part] }],
      max_tokens: 9,
    })
    await refused(PATH, { input: [{ role: 'user', content: [BY_ID] }] })
    await refused('/v1/chat/completions', said({ type: 'file', file: { file_id: 'file-1' } }))
    const image = { type: 'image', source: { type: 'file', file_id: 'file_1' } }
    await refused('/v1/messages', said(image))
    expect(world.upstream.calls(model)).toEqual([])
    await expectSpent(world, customer, 100, 0)
  })
})
