import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Customer } from '../support/admin.ts'
import { until } from '../support/until.ts'
import { chatAnswer, messagesAnswer } from './support/answers.ts'
import { expectRefusal, TABLE, type Row, type Told } from './support/envelopes.ts'
import { MICROS } from './support/money.ts'
import { answerJson } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  expectSpent,
  FAMILIES,
  newModel,
  OPERATOR_KEYS,
  startWorld,
  type FamilyName,
  type World,
} from './support/world.ts'

const TOP_UP = 'https://shop.example/credits'
let world: World
beforeAll(async () => {
  world = await startWorld({ config: { top_up_url: TOP_UP } })
})
afterAll(() => world.end())

const answerFor = (family: FamilyName, model: string): unknown =>
  (family === 'openai' ? chatAnswer : messagesAnswer)(model, 'Yes.', { input: 9, output: 3 })

describe.each(FAMILIES)('%s is told', (family) => {
  const refused = async (
    key: string,
    body: unknown,
    row: Row,
    headers: Record<string, string> = {},
  ): Promise<Told> =>
    expectRefusal(await ask(world.gateway, family, key, body, { headers }), family, row)

  /** The same, and neither the upstream nor the balance notices. */
  async function refusedUnseen(
    { credits = '10', limits = {} }: { credits?: string; limits?: Record<string, unknown> },
    row: Row,
    more: Record<string, unknown> = {},
    model = newModel(),
  ): Promise<Told> {
    const customer = await world.customer(credits, limits)
    const told = await refused(customer.apiKey, bodyFor(family, model, more), row)
    expect(world.upstream.calls(model)).toEqual([])
    await expectSpent(world, customer, Number(credits), 0)
    return told
  }

  it('401 for a key that is missing, unknown, expired or revoked', async () => {
    const body = bodyFor(family, newModel())
    await refused('', body, TABLE.invalidKey)
    await refused('fb_test_0123456789abcdefghijklmnopqrstuvwxyz', body, TABLE.invalidKey)
    await refused('sk-0123456789', body, TABLE.invalidKey)
    const soon = new Date(Date.now() + 700).toISOString()
    const expiring = await world.customer('1', { expires_at: soon })
    await until(() => Date.now() > Date.parse(soon))
    await refused(expiring.apiKey, body, TABLE.invalidKey)
    const revoked = await world.customer('1')
    await world.gateway.admin.call('DELETE', `/admin/v1/keys/${revoked.keyId}`)
    await until(async () => {
      await refused(revoked.apiKey, body, TABLE.invalidKey)
      return true
    })
  })

  it('402 without credits, and where to get some', async () => {
    const { message } = await refusedUnseen({ credits: '0' }, TABLE.noCredits)
    expect(message).toContain(TOP_UP)
    await refusedUnseen({ credits: '0.000001' }, TABLE.noCredits)
  })

  it('429 where requests in flight hold the credits, 402 where they never sufficed', async () => {
    const body = bodyFor(family, newModel('held'), { max_tokens: 1_000 })
    const rich = await world.customer('10')
    const measuring = ask(world.gateway, family, rich.apiKey, body)
    const first = await world.upstream.call(String(body.model))
    const { held } = await world.gateway.admin.balance(rich.apiKey)
    expect(held.micros).toBeGreaterThan(1_000 * 480)
    answerJson(first, answerFor(family, 'm'))
    expect((await measuring).status).toBe(200)

    const poor = await world.customer(String((held.micros * 1.5) / MICROS))
    const holding = ask(world.gateway, family, poor.apiKey, body)
    const second = await world.upstream.call(String(body.model), 1)
    await refused(poor.apiKey, body, TABLE.creditsHeld)
    await refused(poor.apiKey, { ...body, max_tokens: 9_000 }, TABLE.noCredits)
    answerJson(second, answerFor(family, 'm'))
    expect((await holding).status).toBe(200)
    expect(world.upstream.calls(String(body.model))).toHaveLength(2)
  })

  it('402 where the budget of the key is used up', async () => {
    const budget = { credits: '0.000001', period: 'total' }
    await refusedUnseen({ limits: { budget } }, TABLE.budget)
  })

  it('403 for a frozen account', async () => {
    const customer = await world.customer('10')
    const path = `/admin/v1/accounts/${customer.accountId}`
    const frozen = await world.gateway.admin.call('PATCH', path, { status: 'frozen' })
    expect(frozen.status).toBe(200)
    await refused(customer.apiKey, bodyFor(family, newModel()), TABLE.frozen)
    await world.gateway.admin.call('PATCH', path, { status: 'active' })
    const model = newModel()
    world.upstream.on(model, (call) => {
      answerJson(call, answerFor(family, model))
    })
    const again = await ask(world.gateway, family, customer.apiKey, bodyFor(family, model))
    expect(again.status).toBe(200)
  })

  it('429 past the rate and past the concurrency of its key', async () => {
    const model = newModel()
    const body = bodyFor(family, model)
    const slow = await world.customer('10', { rate: { requests_per_minute: 1 } })
    const single = await world.customer('10', { max_concurrency: 1 })
    const tokens = await world.customer('10', { rate: { tokens_per_minute: 1_000 } })
    const open: Promise<Response>[] = []
    for (const { apiKey } of [slow, single, tokens]) {
      open.push(ask(world.gateway, family, apiKey, body))
      await world.upstream.call(model, open.length - 1)
      await refused(apiKey, body, TABLE.rate)
    }
    for (const call of world.upstream.calls(model)) answerJson(call, answerFor(family, model))
    expect((await Promise.all(open)).map(({ status }) => status)).toEqual([200, 200, 200])
  })

  it('403 for a model or an endpoint that its key may not use', async () => {
    const narrow = { limits: { models: ['other-*'] } }
    const { message } = await refusedUnseen(narrow, TABLE.notAllowed)
    expect(message).toContain('model-')
    await refusedUnseen({ limits: { endpoints: ['embeddings'] } }, TABLE.notAllowed)
  })

  it('404 for a model without a price', async () => {
    await refusedUnseen({}, TABLE.noModel, {}, newModel('unpriced'))
  })

  it('400 for a feature whose cost nothing bounds, where the operator says so', async () => {
    const tool =
      family === 'openai'
        ? { web_search_options: {} }
        : { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }
    await refusedUnseen({}, TABLE.unsupportedFeature, tool, newModel('deny'))
  })

  it('400 for what is not JSON or has wrong types', async () => {
    const customer = await world.customer('10')
    for (const body of ['{"model":', 'hello', '\u0000', '{"model":"m",}']) {
      await refused(customer.apiKey, body, TABLE.invalidJson)
    }
    for (const body of ['[]', '1', 'null', '{}', '{"model":7}', '{"model":"m","messages":"hi"}']) {
      await refused(customer.apiKey, body, TABLE.invalidRequest)
    }
    await expectSpent(world, customer, 10, 0)
  })

  it('415 for a compressed body', async () => {
    const { apiKey } = await world.customer('10')
    const headers = { 'content-encoding': 'gzip' }
    await refused(apiKey, bodyFor(family, newModel()), TABLE.encoding, headers)
  })

  it('502 and 504 where the upstream refuses, breaks off or does not answer', async () => {
    const customer = await world.customer('10')
    const reset = newModel()
    world.upstream.on(reset, (call) => call.out.destroy())
    const half = newModel()
    world.upstream.on(half, ({ out }) => {
      out.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' })
      out.write('{"id":', () => out.destroy())
    })
    const { apiKey } = customer
    for (const model of [newModel('dead'), reset]) {
      const { message } = await refused(apiKey, bodyFor(family, model), TABLE.upstreamError)
      expect(message).not.toMatch(/127\.0\.0\.1|ECONN|socket/)
    }
    await refused(apiKey, bodyFor(family, newModel('slow')), TABLE.upstreamTimeout)
    await expectSpent(world, customer, 10, 0)
    // It had answered: what it may have billed is charged, by estimate.
    await refused(apiKey, bodyFor(family, half), TABLE.upstreamError)
    const balance = await world.gateway.admin.balance(apiKey)
    expect(balance.posted.micros).toBeLessThan(10 * MICROS)
    expect(balance.held.micros).toBe(0)
  })

  it("503 where the operator's own account is in trouble, without a word of it", async () => {
    const customer = await world.customer('10')
    const quota = { error: { code: 'insufficient_quota', message: 'You exceeded your quota' } }
    const low = { error: { message: 'Your credit balance is too low to access the API' } }
    const key = { error: { message: `Incorrect API key: ${OPERATOR_KEYS[family]}` } }
    const answers = [
      [401, key],
      [402, low],
      [403, key],
      [429, quota],
      [400, low],
    ] as const
    for (const [status, body] of answers) {
      const model = newModel()
      world.upstream.on(model, (call) => {
        answerJson(call, body, status)
      })
      const { message } = await refused(
        customer.apiKey,
        bodyFor(family, model),
        TABLE.upstreamUnavailable,
      )
      expect(message).not.toMatch(/sk-|quota|balance|key/i)
    }
    await expectSpent(world, customer, 10, 0)
  })

  it.each([400, 404, 409, 422, 429, 500, 503, 529])(
    "the upstream's other errors as they came: %i",
    async (status) => {
      const customer = await world.customer('10')
      const model = newModel()
      const sent = `{ "error": {"message":"as it came ✓","type":"x"} , "n": ${status}}`
      world.upstream.on(model, (call) => {
        answerJson(call, sent, status, { 'retry-after': '7', 'x-ratelimit-limit-requests': '5' })
      })
      const answer = await ask(world.gateway, family, customer.apiKey, bodyFor(family, model))
      expect(answer.status).toBe(status)
      expect(await answer.text()).toBe(sent)
      expect(answer.headers.get('retry-after')).toBe('7')
      expect(answer.headers.get('x-ratelimit-limit-requests')).toBeNull()
      await expectSpent(world, customer, 10, 0)
    },
  )
})

describe('paths that are not there', () => {
  const at = (method: string, path: string, apiKey: string): Promise<Response> =>
    fetch(`${world.gateway.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${apiKey}` },
      ...(method === 'POST' ? { body: '{}' } : {}),
    })

  it.each([
    ['POST', '/v1/batches', 'openai', TABLE.unsupported],
    ['POST', '/v1/files', 'openai', TABLE.unsupported],
    ['GET', '/v1/realtime?model=x', 'openai', TABLE.unsupported],
    ['POST', '/v1/messages/batches', 'anthropic', TABLE.unsupported],
    ['POST', '/v1/nothing', 'openai', TABLE.notFound],
    ['GET', '/v1/chat/completions', 'openai', TABLE.notFound],
    ['PUT', '/v1/messages', 'anthropic', TABLE.notFound],
  ] as const)('%s %s', async (method, path, family, row) => {
    const { apiKey } = await world.customer('10')
    await expectRefusal(await at(method, path, apiKey), family, row)
  })

  it('answers 413 to a body that says it is too large, before it is sent', async () => {
    const customer: Customer = await world.customer('10')
    for (const family of FAMILIES) {
      const response = await ask(world.gateway, family, customer.apiKey, 'x'.repeat(33 * 2 ** 20))
      await expectRefusal(response, family, TABLE.tooLarge)
    }
    await expectSpent(world, customer, 10, 0)
  })
})
