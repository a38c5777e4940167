import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Customer } from '../support/admin.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { DEAD_PORT } from '../support/servers.ts'
import { freshDatabase, redisUrl, type FreshDatabase } from '../support/stores.ts'
import { until } from '../support/until.ts'
import { chatAnswer, chatStream } from './support/answers.ts'
import { post, requestIdOf } from './support/world.ts'
import { answerJson, answerStream, startUpstream, type FakeUpstream } from './support/upstream.ts'

const TOKENS = { input: 10, output: 5 }
/** At 100 credits a dollar and no markup: 100 micros a token and dollar per million. */
const priced = (usd: string): Record<string, string> => ({
  input_usd_per_mtok: usd,
  output_usd_per_mtok: usd,
})
const cost = (usd: number): number => 15 * 100 * usd

let first: FakeUpstream
let second: FakeUpstream
let database: FreshDatabase
let gateway: Gateway
let customer: Customer

beforeAll(async () => {
  ;[first, second, database] = await Promise.all([
    startUpstream(),
    startUpstream(),
    freshDatabase(),
  ])
  const dead = `http://127.0.0.1:${DEAD_PORT}/v1`
  const openai = (url: string, more: Record<string, unknown>): Record<string, unknown> => ({
    protocol: 'openai',
    base_url: url.endsWith('/v1') ? url : `${url}/v1`,
    api_key: 'sk-operator',
    ...more,
  })
  // Open for longer than a busy machine takes to look at what an open one does.
  const breaker = { calls_min: 4, open_ms: 5_000 }
  gateway = await startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: {
      credits: { per_usd: 100 },
      holds: { max_output_tokens_default: 100 },
      upstreams: {
        main: openai(first.url, { models: ['m-*'], fallback: ['dead', 'other'] }),
        dead: openai(dead, { models: ['only-dead'] }),
        other: openai(second.url, {
          models: ['other-*'],
          output_limit_field: 'max_completion_tokens',
        }),
        poor: openai(first.url, { models: ['p-*'], fallback: ['unpriced', 'other'] }),
        unpriced: openai(second.url, { models: ['x-*'] }),
        unreachable: openai(dead, { models: ['u-*'], fallback: 'other' }),
        left: openai(first.url, { models: ['l-*'], fallback: 'right' }),
        right: openai(second.url, { models: ['r-*'], fallback: 'left' }),
        weak: openai(first.url, { models: ['w-*'], breaker }),
        weakened: openai(first.url, { models: ['wf-*'], breaker, fallback: 'other' }),
      },
      prices: [
        { upstream: 'main', model: '*', ...priced('1') },
        { upstream: 'dead', model: '*', ...priced('1') },
        { upstream: 'unreachable', model: '*', ...priced('1') },
        { upstream: 'left', model: '*', ...priced('1') },
        { upstream: 'right', model: '*', ...priced('2') },
        { upstream: 'weak', model: '*', ...priced('1') },
        { upstream: 'weakened', model: '*', ...priced('1') },
        { upstream: 'other', model: '*', ...priced('3') },
        { upstream: 'poor', model: '*', ...priced('1') },
      ],
    },
  })
  customer = await gateway.admin.customer('100')
})
afterAll(async () => {
  await gateway.end()
  await Promise.all([first.close(), second.close()])
  await database.drop()
})

const ask = (model: string, more: Record<string, unknown> = {}, key = customer.apiKey) =>
  post(gateway, '/v1/chat/completions', key, {
    model,
    messages: [{ role: 'user', content: 'Hello' }],
    ...more,
  })

const serves = (upstream: FakeUpstream, model: string): void => {
  upstream.on(model, (call) => {
    answerJson(call, chatAnswer(model, 'Hi', TOKENS))
  })
}

describe('a request whose upstream does no work', () => {
  it.each([429, 503, 529])('goes to the next that can be reached after a %i', async (status) => {
    const model = `m-${status}`
    first.on(model, (call) => {
      answerJson(call, { error: { message: 'no' } }, status)
    })
    serves(second, model)
    const response = await ask(model)
    expect(response.status).toBe(200)
    const receipt = await gateway.admin.receipt(requestIdOf(response))
    expect(receipt).toMatchObject({
      upstream: 'other',
      status: 'posted',
      cost: { micros: cost(3) },
    })
    expect(first.calls(model)).toHaveLength(1)
    const [call] = second.calls(model)
    expect(call?.json.max_completion_tokens).toBe(100) // as the stand-in names it
    expect(call?.json.max_tokens).toBeUndefined()
  })

  it('is served by the next while the first one trickles on, which is cut off soon', async () => {
    const model = 'm-trickle'
    first.on(model, ({ out }) => {
      out.writeHead(429, { 'content-type': 'application/json' })
      out.write('{')
      const timer = setInterval(() => out.write(' '), 50)
      out.on('close', () => {
        clearInterval(timer)
      })
    })
    serves(second, model)
    expect((await ask(model)).status).toBe(200)
    await until(() => first.calls(model)[0]?.cut)
  })

  it('goes to the next where nobody listens, streams too', async () => {
    serves(second, 'u-1')
    const response = await ask('u-1')
    expect(response.status).toBe(200)
    second.on('u-stream', (call) => {
      answerStream(call, chatStream('u-stream', ['a', 'b'], TOKENS))
    })
    const streamed = await ask('u-stream', { stream: true })
    expect(await streamed.text()).toContain('[DONE]')
    const receipt = await gateway.admin.receipt(requestIdOf(streamed))
    expect(receipt).toMatchObject({ upstream: 'other', cost: { micros: cost(3) } })
  })

  it('is not sent twice once it may have reached the upstream', async () => {
    first.on('m-cut', (call) => call.out.destroy())
    first.on('m-500', (call) => {
      answerJson(call, { error: { message: 'broken' } }, 500)
    })
    serves(second, 'm-cut')
    serves(second, 'm-500')
    expect((await ask('m-cut')).status).toBe(502)
    expect((await ask('m-500')).status).toBe(500)
    expect(second.calls('m-cut')).toHaveLength(0)
    expect(second.calls('m-500')).toHaveLength(0)
    expect(first.calls('m-cut')).toHaveLength(1)
  })

  it('gets the last word of the last upstream, and is not charged', async () => {
    for (const upstream of [first, second]) {
      upstream.on('m-busy', (call) => {
        answerJson(call, { error: { message: 'busy' } }, 429)
      })
    }
    const alone = await gateway.admin.customer('1')
    const response = await ask('m-busy', {}, alone.apiKey)
    expect(response.status).toBe(429)
    await until(async () => {
      const { available, held } = await gateway.admin.balance(alone.apiKey)
      expect([available.micros, held.micros]).toEqual([1_000_000, 0])
      return true
    })
  })

  it('is sent to each of two that stand in for each other once at most', async () => {
    for (const model of ['l-both', 'r-both']) {
      for (const upstream of [first, second]) {
        upstream.on(model, (call) => {
          answerJson(call, { error: { message: 'no' } }, 503)
        })
      }
      expect((await ask(model)).status).toBe(503)
      expect([first.calls(model).length, second.calls(model).length]).toEqual([1, 1])
    }
    serves(second, 'l-one')
    first.on('l-one', (call) => {
      answerJson(call, { error: { message: 'no' } }, 503)
    })
    const receipt = await gateway.admin.receipt(requestIdOf(await ask('l-one')))
    expect(receipt).toMatchObject({ upstream: 'right', cost: { micros: cost(2) } })
  })

  it('stays with its upstream where the credits do not do for a dearer one', async () => {
    const model = 'p-1'
    first.on(model, (call) => {
      answerJson(call, { error: { message: 'no' } }, 429)
    })
    serves(second, model)
    // The bound is some 200 tokens: 20 000 micros here, 60 000 there.
    const poor = await gateway.admin.customer('0.04')
    const response = await ask(model, { max_tokens: 100 }, poor.apiKey)
    expect(response.status).toBe(429)
    expect(second.calls(model)).toHaveLength(0)
    serves(first, model)
    const served = await ask(model, { max_tokens: 100 }, poor.apiKey)
    expect(served.status).toBe(200)
    expect((await gateway.admin.receipt(requestIdOf(served))).cost.micros).toBe(cost(1))
  })
})

describe('an upstream that fails over and over', () => {
  const broken = (model: string): void => {
    first.on(model, (call) => {
      answerJson(call, { error: { message: 'down' } }, 502)
    })
  }

  it('is left alone for a while, with a 503 in the caller’s envelope, then tried again', async () => {
    broken('w-1')
    for (let n = 0; n < 4; n += 1) expect((await ask('w-1')).status).toBe(502)
    const before = first.calls('w-1').length
    const refused = await until(async () => {
      const response = await ask('w-1')
      return response.status === 503 && response
    })
    expect(refused.headers.get('retry-after')).toBe('5')
    expect(await refused.json()).toMatchObject({ error: { code: 'gateway_unavailable' } })
    expect(first.calls('w-1').length - before).toBeLessThanOrEqual(1)
    const text = await (await fetch(`${gateway.url}/metrics`)).text()
    expect(text).toContain('farebox_upstream_breaker_open{upstream="weak"} 1')
    expect(text).toMatch(/farebox_upstream_calls_total\{upstream="weak",result="failed"\} [45]/)
    serves(first, 'w-1')
    await until(async () => (await ask('w-1')).status === 200)
    expect((await ask('w-1')).status).toBe(200)
  })

  it('is passed over at once where another stands in', async () => {
    broken('wf-1')
    serves(second, 'wf-1')
    for (let n = 0; n < 4; n += 1) expect((await ask('wf-1')).status).toBe(502)
    const response = await until(async () => {
      const answered = await ask('wf-1')
      return answered.status === 200 && answered
    })
    const receipt = await gateway.admin.receipt(requestIdOf(response))
    expect(receipt).toMatchObject({ upstream: 'other', cost: { micros: cost(3) } })
    expect(first.calls('wf-1').length).toBeLessThanOrEqual(5)
  })
})
