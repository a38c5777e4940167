import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Customer } from '../support/admin.ts'
import { responseAnswer } from './support/answers.ts'
import { answerJson } from './support/upstream.ts'
import { newModel, post, startWorld, type World } from './support/world.ts'

let world: World
let customer: Customer
beforeAll(async () => {
  world = await startWorld()
  customer = await world.customer('10')
})
afterAll(() => world.end())

const FORM = { 'content-type': 'multipart/form-data' }

/** Requests by the metrics. */
async function countOf(protocol: string, upstream: string, status: string): Promise<number> {
  const text = await (await fetch(`${world.gateway.url}/metrics`)).text()
  const labels = `protocol="${protocol}",upstream="${upstream}",status="${status}"`
  const name = `farebox_requests_total{${labels}} `
  const line = text.split('\n').find((one) => one.startsWith(name))
  return Number(line?.slice(name.length) ?? 0)
}

const ask = (method: string, path: string, headers: Record<string, string> = {}, body?: string) =>
  fetch(`${world.gateway.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${customer.apiKey}`, ...headers },
    ...(body === undefined ? {} : { body }),
  })

it.each([
  ['a wrong key', 401, 'none', '/v1/chat/completions', { authorization: 'Bearer fb_wrong' }],
  ['what is no JSON', 400, 'openai-chat', '/v1/chat/completions', {}],
  ['a query that hides usage', 400, 'openai-chat', '/v1/chat/completions?fields=id', {}],
  ['what is no form', 400, 'openai-transcriptions', '/v1/audio/transcriptions', FORM],
  ['a named API that is not there', 404, 'http', '/up/nothing', {}],
  ['what is not there', 404, 'none', '/v1/batches', {}],
])('%s is counted among the requests', async (_what, status, protocol, path, headers) => {
  const before = await countOf(protocol, 'none', '4xx')
  expect((await ask('POST', path, headers, 'no JSON')).status).toBe(status)
  expect((await countOf(protocol, 'none', '4xx')) - before).toBe(1)
})

describe('what costs nothing is counted, too:', () => {
  it.each([
    ['', '2xx'],
    ['/a-model-that-is-not-there', '4xx'],
  ])('the models that may be used%s', async (below, status) => {
    for (const path of ['/v1/models', '/v1beta/models']) {
      const before = await countOf('models', 'none', status)
      await (await ask('GET', `${path}${below}`)).arrayBuffer()
      expect((await countOf('models', 'none', status)) - before).toBe(1)
    }
  })

  it('what is done with a stored response', async () => {
    const [model, id] = [newModel(), 'resp_counted']
    const counted = (upstream: string, status: string) =>
      countOf('openai-stored-responses', upstream, status)
    world.upstream.on(model, (call) => {
      answerJson(call, { ...responseAnswer(model, 'Hi.', { input: 1, output: 1 }), id })
    })
    const body = { model, input: 'Hello' }
    await (await post(world.gateway, '/v1/responses', customer.apiKey, body)).arrayBuffer()
    const statuses = [200, 404, 401]
    world.upstream.on('', (call) => {
      answerJson(call, { id }, statuses.shift() ?? 200)
    })
    const path = `/v1/responses/${id}`
    for (const each of [path, path, path, '/v1/responses/resp_nobodys']) {
      await (await ask('GET', each)).arrayBuffer()
    }
    await (await ask('DELETE', path)).arrayBuffer()
    expect(await counted('openai', '2xx')).toBe(2)
    expect(await counted('openai', '4xx')).toBe(1)
    expect(await counted('none', '5xx')).toBe(1) // the operator's own trouble
    expect(await counted('none', '4xx')).toBe(1)
  })
})
