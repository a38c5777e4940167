import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Customer, Receipt } from '../support/admin.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { DEAD_PORT } from '../support/servers.ts'
import { freshDatabase, redisUrl, type FreshDatabase } from '../support/stores.ts'
import { until } from '../support/until.ts'
import { startHttpApi, type HttpApiServer } from './support/http-api.ts'
import { requestIdOf } from './support/world.ts'

const DUPLICATES = 60
const GRANT_MICROS = 100_000_000

let api: HttpApiServer
let other: HttpApiServer
let database: FreshDatabase
let gateways: Gateway[]
let customer: Customer

beforeAll(async () => {
  ;[api, other, database] = await Promise.all([startHttpApi(), startHttpApi(), freshDatabase()])
  const http = (url: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
    protocol: 'http',
    base_url: `${url}/base`,
    ...more,
  })
  const dead = `http://127.0.0.1:${DEAD_PORT}`
  const units = { json: 'usage.units', max: 50, missing: 7 }
  const options = {
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: {
      credits: { per_usd: 100 },
      upstreams: {
        plain: http(api.url, { request_bytes_max: 100_000 }),
        errors: http(api.url, { charge_errors: true }),
        cutting: http(api.url, { on_disconnect: 'abort' }),
        counted: http(api.url, { units }),
        busy: http(api.url, { fallback: ['gone', 'unpriced', 'reading', 'dear'] }),
        poor: http(api.url, { fallback: 'dear' }),
        gone: http(dead, { fallback: 'dear' }),
        unpriced: http(other.url),
        reading: http(other.url, { methods: ['PROPFIND'] }),
        dear: http(other.url),
        lonely: http(dead),
        weak: http(dead, { fallback: ['dear'], breaker: { calls_min: 2, open_ms: 60_000 } }),
      },
      prices: [
        { upstream: 'plain', per_request_usd: '0.002' },
        { upstream: 'errors', per_request_usd: '0.002' },
        { upstream: 'cutting', per_request_usd: '0.002' },
        { upstream: 'counted', per_unit_usd: '0.001' },
        { upstream: 'busy', per_request_usd: '0.002' },
        { upstream: 'poor', per_request_usd: '0.002' },
        { upstream: 'gone', per_request_usd: '0.002' },
        { upstream: 'weak', per_request_usd: '0.002' },
        { upstream: 'lonely', per_request_usd: '0.002' },
        { upstream: 'reading', per_request_usd: '0.002' },
        { upstream: 'dear', per_request_usd: '0.005' },
      ],
    },
  }
  const first = await startGateway(options)
  gateways = [first, await startGateway(options)]
  customer = await first.admin.customer('100')
})
afterAll(async () => {
  await Promise.all(gateways.map((one) => one.end()))
  await Promise.all([api.close(), other.close()])
  await database.drop()
})

const gateway = (): Gateway => {
  const [first] = gateways
  if (first === undefined) throw new Error('no gateway')
  return first
}

interface CallInit extends Omit<RequestInit, 'headers'> {
  /** Idempotency-Key. */
  named?: string
  key?: string
  process?: number
  duplex?: 'half'
}

const call = (path: string, init: CallInit = {}): Promise<Response> => {
  const { named, key = customer.apiKey, process = 0, ...rest } = init
  return fetch(`${(gateways[process] ?? gateway()).url}/up/${path}`, {
    ...rest,
    redirect: 'manual',
    headers: {
      authorization: `Bearer ${key}`,
      ...(named === undefined ? {} : { 'idempotency-key': named }),
    },
  })
}

const newName = (): string => `job-${crypto.randomUUID()}`
const callsOf = (path: string, server = api): number =>
  server.seen.filter(({ url }) => url === `/base/${path}`).length
const isReplayed = (response: Response): boolean =>
  response.headers.get('x-farebox-replayed') === 'true'

const receiptOf = (response: Response): Promise<Receipt> =>
  until(async () => {
    const receipt = await gateway().admin.receipt(requestIdOf(response))
    return receipt.status === 'posted' && receipt
  })

async function expectSpent(key: string, micros: number): Promise<void> {
  await until(async () => {
    const balance = await gateway().admin.balance(key)
    expect(balance.held.micros).toBe(0)
    expect(balance.posted.micros).toBe(GRANT_MICROS - micros)
    expect(balance.available.micros).toBe(GRANT_MICROS - micros)
    return true
  })
}

describe('a named API with an Idempotency-Key', () => {
  it.each([
    ['held', 201, 'done'],
    ['events', 200, 'data: 1\n\ndata: 2\n\n'],
  ])(
    'is called once and charged once for many at once over two processes: %s',
    async (path, status, text) => {
      const { apiKey } = await gateway().admin.customer('100')
      const named = newName()
      const below = `${path}?${named}`
      const target = `plain/${below}`
      const send = (n: number): Promise<Response> =>
        call(target, { method: 'POST', body: 'same', named, key: apiKey, process: n % 2 })
      const asked = Array.from({ length: DUPLICATES }, (_, n) => send(n))
      await until(() => callsOf(below) === 1)
      api.release()
      const responses = await Promise.all(asked)
      const texts = await Promise.all(responses.map((response) => response.text()))
      expect(new Set(texts)).toEqual(new Set([text]))
      expect(new Set(responses.map((response) => response.status))).toEqual(new Set([status]))
      expect(responses.filter(isReplayed)).toHaveLength(DUPLICATES - 1)
      expect(new Set(responses.map(requestIdOf)).size).toBe(1)
      for (const name of ['content-type', 'etag']) {
        expect(new Set(responses.map(({ headers }) => headers.get(name))).size).toBe(1)
      }
      const later = await send(1)
      expect([isReplayed(later), await later.text()]).toEqual([true, text])
      expect(callsOf(below)).toBe(1)
      expect(api.last(`/base/${path}`).headers).not.toHaveProperty('idempotency-key')
      await expectSpent(apiKey, 200_000)
    },
  )

  it('refuses another method, path, query or body under the same key', async () => {
    const named = newName()
    const path = `plain/echo?${named}`
    const first = await call(path, { method: 'POST', body: 'a', named })
    expect(await first.text()).toBe('a')
    for (const [otherPath, init] of [
      [path, { method: 'POST', body: 'b' }],
      [path, { method: 'PUT', body: 'a' }],
      [`${path}1`, { method: 'POST', body: 'a' }],
      [`plain/echo/x?${named}`, { method: 'POST', body: 'a' }],
      [`errors/echo?${named}`, { method: 'POST', body: 'a' }],
      [path, {}],
    ] as const) {
      const refused = await call(otherPath, { ...init, named, process: 1 })
      expect(refused.status).toBe(400)
      expect(await refused.json()).toMatchObject({ error: { code: 'idempotency_key_reused' } })
    }
    const chunked = await call(path, {
      method: 'POST',
      body: new Blob(['a']).stream(),
      duplex: 'half',
      named,
    })
    expect([isReplayed(chunked), await chunked.text()]).toEqual([true, 'a'])
    const theirs = await call(path, {
      method: 'POST',
      body: 'b',
      named,
      key: (await gateway().admin.customer('9')).apiKey,
    })
    expect([isReplayed(theirs), await theirs.text()]).toEqual([false, 'b'])
    expect(callsOf(`echo?${named}`)).toBe(2)
  })

  it('repeats answers without a body, redirects and errors that were charged', async () => {
    for (const [path, method, status, location] of [
      ['plain/status/204', 'DELETE', 204, null],
      ['plain/echo', 'HEAD', 200, null],
      ['plain/redirect', 'GET', 302, '/up/plain/next?a=1'],
      ['errors/status/404', 'GET', 404, null],
    ] as const) {
      const named = newName()
      const [first, again] = [
        await call(path, { method, named }),
        await call(path, { method, named, process: 1 }),
      ]
      expect([first.status, again.status]).toEqual([status, status])
      expect([isReplayed(first), isReplayed(again)]).toEqual([false, true])
      expect(await again.text()).toBe(await first.text())
      expect(again.headers.get('location')).toBe(location)
      expect(requestIdOf(again)).toBe(requestIdOf(first))
      expect((await receiptOf(first)).cost.micros).toBe(200_000)
    }
  })

  it('frees it where nothing was charged', async () => {
    const named = newName()
    for (let n = 0; n < 2; n += 1) {
      const failed = await call('plain/status/500', { named, process: n })
      expect([failed.status, isReplayed(failed)]).toEqual([500, false])
    }
    expect((await call('lonely/x', { named })).status).toBe(502)
    expect((await call('unpriced/x', { named })).status).toBe(404)
    const done = await call('plain/echo', { method: 'POST', body: 'now', named })
    expect(await done.text()).toBe('now')
    const again = await call('plain/echo', { method: 'POST', body: 'now', named })
    expect(isReplayed(again)).toBe(true)
  })

  it('says where an answer was not kept: broken off, left, or too large', async () => {
    const gone = async (path: string, named: string, first: Response): Promise<void> => {
      const id = requestIdOf(first)
      await receiptOf(first)
      const again = await call(path, { named, process: 1 })
      expect(again.status).toBe(410)
      expect(await again.json()).toMatchObject({
        error: { code: 'idempotency_result_gone', receipt_id: id },
      })
    }
    const broken = newName()
    const first = await call('plain/broken', { named: broken })
    await expect(first.text()).rejects.toThrow()
    await gone('plain/broken', broken, first)
    const left = newName()
    const leaving = new AbortController()
    const second = await call(`cutting/events?${left}`, { named: left, signal: leaving.signal })
    await second.body?.getReader().read()
    leaving.abort()
    await gone(`cutting/events?${left}`, left, second)
    const large = newName()
    const third = await call('plain/bytes/1100000', { named: large })
    expect((await third.arrayBuffer()).byteLength).toBe(1_100_000)
    await gone('plain/bytes/1100000', large, third)
  })

  it('refuses a body that is too large, and a key that is none, before any call', async () => {
    const before = api.seen.length
    const large = await call('plain/echo', {
      method: 'POST',
      body: new Blob([Buffer.alloc(100_001)]).stream(),
      duplex: 'half',
      named: newName(),
    })
    expect(large.status).toBe(413)
    for (const named of ['k'.repeat(256), 'kéy', '']) {
      expect((await call('plain/echo', { named })).status).toBe(400)
    }
    expect(api.seen.length).toBe(before)
    await expectNothingHeld()
  })
})

const expectNothingHeld = (): Promise<boolean> =>
  until(async () => (await gateway().admin.balance(customer.apiKey)).held.micros === 0)

describe('units in events', () => {
  const event = (units: unknown): string => `data: ${JSON.stringify({ usage: { units } })}\n\n`
  it.each([
    ['the last one counts', event(3) + event(9) + 'data: [DONE]\n\n', 9, false],
    ['whatever lies between', `: hi\n\n${event(2)}data: {"usage":null}\n\n`, 2, false],
    ['over several lines', 'event: end\r\ndata: {"usage":\r\ndata: {"units":4}}\r\n\r\n', 4, false],
    ['zero is a number', event(0), undefined, false],
    ['without the last blank line', event(1) + event(5).trimEnd(), 5, false],
    ['what cannot be charged is none', event(-1) + event('x') + event(null), 7, true],
    ['none', 'data: hello\n\n', 7, true],
    ['nothing', '', 7, true],
  ])('%s', async (_name, body, units, estimated) => {
    const response = await call(`counted/sse?${encodeURIComponent(body)}`)
    expect(await response.text()).toBe(body)
    const receipt = await receiptOf(response)
    expect(receipt.usage.units).toBe(units)
    expect(receipt).toMatchObject({ stream: true, estimated })
    expect(receipt.cost.micros).toBe((units ?? 0) * 100_000)
  })

  it('count so far where the stream broke off', async () => {
    const response = await call(`counted/sse/broken?${encodeURIComponent(event(3))}`)
    await expect(response.text()).rejects.toThrow()
    const receipt = await receiptOf(response)
    expect(receipt).toMatchObject({ estimated: true, cost: { micros: 300_000 } })
  })
})

describe('an API that stands in for another', () => {
  const served = async (response: Response): Promise<unknown> => {
    expect(response.status).toBe(200)
    const { endpoint, upstream, cost } = await receiptOf(response)
    return [endpoint, upstream, cost.micros]
  }

  it('is called where the first one cannot be reached, at its own price', async () => {
    const small = await call('gone/echo', { method: 'POST', body: 'hello' })
    expect(await small.text()).toBe('hello')
    expect(await served(small)).toEqual(['up/gone', 'dear', 500_000])
    const streamed = await call('gone/echo', {
      method: 'POST',
      body: new Blob([Buffer.alloc(2_000_000, 'x')]).stream(),
      duplex: 'half',
    })
    expect((await streamed.arrayBuffer()).byteLength).toBe(2_000_000)
    expect(await served(streamed)).toEqual(['up/gone', 'dear', 500_000])
    const redirected = await call('gone/redirect')
    expect(redirected.headers.get('location')).toBe('/up/gone/next?a=1')
  })

  it.each([429, 503])(
    'is called on %i before the first byte, and once under a key',
    async (status) => {
      other.answer('status', 'stood in')
      const { apiKey } = await gateway().admin.customer('100')
      const init = { method: 'POST', body: 'hello', named: newName(), key: apiKey }
      const before = other.seen.length
      const [first, again] = [
        await call(`busy/status/${status}`, init),
        await call(`busy/status/${status}`, { ...init, process: 1 }),
      ]
      expect(await first.text()).toBe('stood in')
      expect([await again.text(), isReplayed(again)]).toEqual(['stood in', true])
      expect(await served(first)).toEqual(['up/busy', 'dear', 500_000])
      expect(other.seen.length).toBe(before + 1)
      expect(other.seen.at(-1)?.body).toBe('hello')
      await expectSpent(apiKey, 500_000)
    },
  )

  it('is not called for a streamed body that was sent, nor for other failures', async () => {
    const before = other.seen.length
    const streamed = await call('busy/status/503', {
      method: 'POST',
      body: new Blob(['x']).stream(),
      duplex: 'half',
    })
    expect(streamed.status).toBe(503)
    expect((await call('busy/status/500')).status).toBe(500)
    expect((await call('busy/status/404')).status).toBe(404)
    await expect((await call('busy/broken')).text()).rejects.toThrow()
    expect(other.seen.length).toBe(before)
    await expectNothingHeld()
  })

  it('is passed over where the credits do not do for it', async () => {
    const { apiKey } = await gateway().admin.customer('0.3')
    const before = other.seen.length
    expect((await call('poor/status/503', { key: apiKey })).status).toBe(503)
    expect(await served(await call('poor/echo', { key: apiKey }))).toEqual([
      'up/poor',
      'poor',
      200_000,
    ])
    expect(other.seen.length).toBe(before)
  })

  it('is called at once while the first one’s breaker is open', async () => {
    for (let n = 0; n < 4; n += 1) {
      expect(await served(await call('weak/echo'))).toEqual(['up/weak', 'dear', 500_000])
    }
    const metrics = await (await fetch(`${gateway().url}/metrics`)).text()
    expect(metrics).toMatch(/farebox_upstream_breaker_open\{[^}]*upstream="weak"[^}]*\} 1/)
  })
})
