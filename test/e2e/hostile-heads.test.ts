import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ADMIN_TOKEN } from '../support/gateway.ts'
import { chatAnswer, messagesAnswer } from './support/answers.ts'
import { expectRefusal, TABLE } from './support/envelopes.ts'
import { rawRequest, sendRaw } from './support/raw.ts'
import { answerJson, type Call } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  expectCharged,
  expectSpent,
  FAMILIES,
  newModel,
  OPERATOR_KEYS,
  PATHS,
  requestIdOf,
  startWorld,
  type FamilyName,
  type World,
} from './support/world.ts'

const TOKENS = { input: 12, output: 8 }
let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.end())

const reply = (family: FamilyName, call: Call, headers: Record<string, string> = {}): void => {
  const make = family === 'openai' ? chatAnswer : messagesAnswer
  answerJson(call, make(String(call.json.model), 'Yes.', TOKENS), 200, headers)
}

const answering = (family: FamilyName, headers: Record<string, string> = {}): string => {
  const model = newModel()
  world.upstream.on(model, (call) => {
    reply(family, call, headers)
  })
  return model
}

const valuesOf = (call: Call, name: string): string[] =>
  call.rawHeaders.filter((_, n) => n % 2 === 1 && call.rawHeaders[n - 1]?.toLowerCase() === name)

describe.each(FAMILIES)('%s', (family) => {
  const path = PATHS[family]
  const own = family === 'openai' ? 'authorization' : 'x-api-key'
  const ownValue = family === 'openai' ? `Bearer ${OPERATOR_KEYS.openai}` : OPERATOR_KEYS.anthropic

  it('passes on what describes the request and nothing that authenticates or frames it', async () => {
    const model = answering(family)
    const customer = await world.customer('10')
    const secret = customer.apiKey
    const body = JSON.stringify(bodyFor(family, model, { max_tokens: 50 }))
    const response = await sendRaw(
      world.gateway,
      rawRequest(
        `POST ${path}?beta=true&key=${secret}`,
        [
          `authorization: Bearer ${secret}`,
          `x-api-key: ${secret}`,
          `x-goog-api-key: ${secret}`,
          `cookie: session=${secret}`,
          `proxy-authorization: Basic ${secret}`,
          'connection: close, x-hop, te',
          'x-hop: 1',
          'te: trailers',
          'keep-alive: timeout=5',
          'expect: 100-continue',
          'accept-encoding: gzip, br',
          'content-type: application/json',
          'openai-organization: org-theirs',
          'openai-project: proj-theirs',
          'idempotency-key: once',
          'x-farebox-request-id: chosen',
          'x-forwarded-for: 10.0.0.1',
          'anthropic-version: 2023-06-01',
          'anthropic-beta: one-2025',
          'x-stainless-lang: js',
          'user-agent: tester/1',
          'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
        ],
        body,
      ),
    )
    const text = await response.text()
    expect(text).toContain('Yes.')
    const [call, ...more] = world.upstream.calls(model)
    if (call === undefined) throw new Error('the upstream was not called')
    expect(more).toEqual([])
    expect(call.path).toBe(`${path}?beta=true`)
    expect(call.rawHeaders.join('\n')).not.toContain(secret)
    expect(valuesOf(call, own)).toEqual([ownValue])
    const sent = new Set(Object.keys(call.headers))
    sent.delete(own)
    expect(sent).toEqual(
      new Set([
        'host',
        'connection',
        'content-length',
        'content-type',
        'accept-encoding',
        'anthropic-version',
        'anthropic-beta',
        'x-stainless-lang',
        'user-agent',
        'traceparent',
      ]),
    )
    expect(call.headers['accept-encoding']).toBe('identity')
    expect(call.headers.host).toBe(new URL(world.upstream.url).host)
    expect(call.raw.toString()).toBe(body)
  })

  it("keeps the upstream's account and its own headers to itself", async () => {
    const model = answering(family, {
      'set-cookie': '__cf_bm=abc',
      'openai-organization': 'org-operator',
      'anthropic-organization-id': 'org-operator',
      'alt-svc': 'h3=":443"',
      'strict-transport-security': 'max-age=1',
      'x-ratelimit-remaining-requests': '3',
      'anthropic-ratelimit-tokens-limit': '4',
      'cf-ray': 'x',
      'x-farebox-cost': '0',
      'x-farebox-balance': '999999',
      'x-farebox-request-id': 'forged',
      'x-farebox-replayed': 'true',
      'openai-processing-ms': '12',
    })
    const { apiKey } = await world.customer('10')
    const response = await ask(world.gateway, family, apiKey, bodyFor(family, model))
    const receipt = await expectCharged(world, requestIdOf(response), {})
    const names = [...response.headers.keys()].filter((name) => name !== 'date')
    expect(new Set(names)).toEqual(
      new Set([
        'connection',
        'content-length',
        'content-type',
        'keep-alive',
        'openai-processing-ms',
        family === 'openai' ? 'x-request-id' : 'request-id',
        'x-farebox-balance',
        'x-farebox-cost',
        'x-farebox-request-id',
      ]),
    )
    expect(response.headers.get('x-farebox-cost')).toBe(receipt.cost.credits)
    const all = JSON.stringify([...response.headers]) + (await response.text())
    expect(all).not.toContain(OPERATOR_KEYS[family])
    expect(all).not.toContain('org-operator')
  })

  it.each([
    ['content-type', 'application/json', 'application/json'],
    ['content-encoding', 'identity', 'identity'],
    ['connection', 'keep-alive', 'x-hop'],
  ])('takes an answer that says %s twice', async (name, first, second) => {
    const model = newModel()
    const make = family === 'openai' ? chatAnswer : messagesAnswer
    world.upstream.on(model, (call) => {
      call.out.writeHead(200, [name, first, name, second])
      call.out.end(JSON.stringify(make(model, 'Yes.', TOKENS)))
    })
    const { apiKey } = await world.customer('10')
    const response = await ask(world.gateway, family, apiKey, bodyFor(family, model))
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('Yes.')])
    await expectCharged(world, requestIdOf(response), {
      usage: { input_tokens: TOKENS.input, output_tokens: TOKENS.output },
    })
  })

  it('does not lead a client around itself: a redirect is a failure of the upstream', async () => {
    const model = newModel()
    world.upstream.on(model, (call) => {
      answerJson(call, '{}', 307, { location: 'https://elsewhere.example/v1' })
    })
    const customer = await world.customer('10')
    const response = await ask(world.gateway, family, customer.apiKey, bodyFor(family, model))
    expect(response.headers.get('location')).toBeNull()
    await expectRefusal(response, family, TABLE.upstreamError)
    await expectSpent(world, customer, 10, 0)
  })

  it.each([
    `//${path.slice(1)}`,
    path.replaceAll('/', '%2F').replace('%2F', '/'),
    `/v1/models/..${path.slice(3)}`,
    `/v1/%2e%2e${path}`,
    `${path}/`,
    `${path}/../../admin/v1/accounts`,
    `${path}%00`,
    `${path};x=1`,
    path.toUpperCase(),
    `http://elsewhere.example${path}`,
    `http://127.0.0.1:1${path}`,
    `${path}#fragment`,
    `\\v1\\messages`,
    `${path}?a=1?b=2&LONG`,
  ])('a path of tricks reaches its own route or none: %s', async (target) => {
    const model = answering(family)
    const customer = await world.customer('10')
    const body = JSON.stringify(bodyFor(family, model))
    const headers = [`authorization: Bearer ${customer.apiKey}`, 'connection: close']
    const line = `POST ${target.replace('LONG', 'c'.repeat(3_000))}`
    const request = rawRequest(line, headers, body)
    const response = await sendRaw(world.gateway, request)
    const text = await response.text()
    expect(text).not.toMatch(/statusCode|FST_ERR/)
    const calls = world.upstream.calls(model)
    if (response.status === 200) {
      expect(calls.map((call) => call.path.split('?')[0])).toEqual([path])
      return
    }
    expect(response.status).toBeGreaterThanOrEqual(400)
    expect(response.status).toBeLessThan(500)
    expect(JSON.parse(text)).toMatchObject({ error: { type: expect.any(String) as string } })
    expect(calls).toEqual([])
    await expectSpent(world, customer, 10, 0)
  })

  it('one of two keys counts, always the same, and it must be right', async () => {
    const model = answering(family)
    const customer = await world.customer('10')
    const body = JSON.stringify(bodyFor(family, model))
    const wrong = 'fb_test_0000000000000000000000000000000000000000'
    const send = (...headers: string[]): Promise<Response> =>
      sendRaw(world.gateway, rawRequest(`POST ${path}`, ['connection: close', ...headers], body))
    for (const headers of [
      [`authorization: Bearer ${wrong}`, `x-api-key: ${customer.apiKey}`],
      [`authorization: Bearer ${wrong}`, `authorization: Bearer ${customer.apiKey}`],
      [`x-api-key: ${customer.apiKey}`, `x-api-key: ${wrong}`],
      [`x-api-key: ${customer.apiKey}, ${customer.apiKey}`],
      [`authorization: Basic ${customer.apiKey}`],
      [`authorization: ${customer.apiKey}`],
      [`authorization: Bearer ${ADMIN_TOKEN}`],
      [`authorization: Bearer ${customer.apiKey}x`],
      [`authorization: Bearer ${customer.apiKey.toUpperCase()}`],
      [`authorization: Bearer ' OR 1=1 --`],
    ]) {
      await expectRefusal(await send(...headers), family, TABLE.invalidKey)
    }
    expect(world.upstream.calls(model)).toEqual([])
    expect((await send(`X-API-KEY: ${customer.apiKey}`)).status).toBe(200)
    expect((await send(`authorization:  bearer   ${customer.apiKey}`)).status).toBe(200)
  })

  it('bytes that are two requests to some are none here', async () => {
    const model = answering(family)
    const { apiKey } = await world.customer('10')
    const auth = `authorization: Bearer ${apiKey}\r\nconnection: close`
    const inner = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n`
    const head = `POST ${path} HTTP/1.1\r\nhost: x\r\n${auth}\r\n`
    for (const request of [
      `${head}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
      `${head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${inner}`,
      `${head}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`,
      `${head}content-length: +2\r\n\r\n{}`,
      `${head}x-a: b\ncontent-length: 2\r\n\r\n{}`,
      `${head}bad header: 1\r\ncontent-length: 2\r\n\r\n{}`,
      `${head}x-big: ${'y'.repeat(40_000)}\r\ncontent-length: 2\r\n\r\n{}`,
      `GARBAGE\r\n\r\n`,
    ]) {
      const response = await sendRaw(world.gateway, request)
      expect(response.status).toBeGreaterThanOrEqual(400)
      expect(response.status).toBeLessThan(500)
      expect(await response.json()).toMatchObject({ error: { param: null } })
    }
    expect(world.upstream.calls(model)).toEqual([])
  })
})
