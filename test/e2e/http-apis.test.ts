import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { request as undici } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Customer, Receipt } from '../support/admin.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { DEAD_PORT } from '../support/servers.ts'
import { freshDatabase, redisUrl, type FreshDatabase } from '../support/stores.ts'
import { until } from '../support/until.ts'
import { startHttpApi, type HttpApiServer } from './support/http-api.ts'
import { requestIdOf } from './support/world.ts'

let api: HttpApiServer
let database: FreshDatabase
let gateway: Gateway
let customer: Customer

beforeAll(async () => {
  ;[api, database] = await Promise.all([startHttpApi(), freshDatabase()])
  const http = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
    protocol: 'http',
    base_url: `${api.url}/base`,
    api_key: 'operator-secret',
    response_bytes_max: 3_000_000,
    ...more,
  })
  gateway = await startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: {
      // 1 USD = 100 credits = 100 000 000 micros, no markup.
      credits: { per_usd: 100 },
      upstreams: {
        weather: http({ api_key_header: 'x-weather-key', headers: { 'x-plan': 'gold' } }),
        storage: http({ request_bytes_max: 2_000_000 }),
        clock: http({ seconds_max: 600 }),
        hasty: http({ seconds_max: 2 }),
        counted: http({ units: { json: 'usage.units', max: 50, missing: 7 } }),
        header: http({ units: { header: 'X-Units', max: 50 } }),
        errors: http({ charge_errors: true }),
        readonly: http({ methods: ['GET'] }),
        cutting: http({ on_disconnect: 'abort' }),
        free: http(),
        unpriced: http(),
        sold: http(),
        dead: http({ base_url: `http://127.0.0.1:${DEAD_PORT}` }),
      },
      prices: [
        { model: '*', input_usd_per_mtok: '1', per_request_usd: '9' }, // of models, not of APIs
        { upstream: 'weather', per_request_usd: '0.002' },
        { upstream: 'weather', model: 'GET /free/*', per_request_usd: '0' },
        { upstream: 'weather', model: 'POST /dear', per_request_usd: '0.5' },
        { upstream: 'storage', per_request_mb_usd: '0.01', per_response_mb_usd: '0.02' },
        { upstream: 'clock', per_second_usd: '0.01' },
        { upstream: 'hasty', per_second_usd: '0.01' },
        { upstream: 'counted', per_unit_usd: '0.001' },
        { upstream: 'header', per_unit_usd: '0.001', per_request_usd: '0.001' },
        { upstream: 'errors', per_request_usd: '0.002' },
        { upstream: 'readonly', per_request_usd: '0.002' },
        { upstream: 'cutting', per_request_usd: '0.002', per_response_mb_usd: '1' },
        { upstream: 'free', per_request_usd: '0' },
        { upstream: 'sold', per_request_usd: '0.1' },
        { upstream: 'dead', per_request_usd: '0.002' },
      ],
      sell: [{ upstream: 'sold', credits_per_request: '3', credits_per_response_mb: '2' }],
    },
  })
  customer = await gateway.admin.customer('100000')
})
afterAll(async () => {
  await gateway.end()
  await api.close()
  await database.drop()
})

const CUT_TEXT = 'This API did not end its answer within its time limit.'

interface CallInit extends Omit<RequestInit, 'headers'> {
  headers?: Record<string, string>
  key?: string
  duplex?: 'half'
}

const call = (path: string, init: CallInit = {}): Promise<Response> =>
  fetch(`${gateway.url}/up/${path}`, {
    ...init,
    redirect: 'manual',
    headers: { authorization: `Bearer ${init.key ?? customer.apiKey}`, ...init.headers },
  })

const receiptOf = (response: Response): Promise<Receipt> =>
  until(async () => {
    const receipt = await gateway.admin.receipt(requestIdOf(response))
    return receipt.status === 'posted' && receipt
  })

const balanceOf = (key: string): Promise<{ available: number; held: number }> =>
  gateway.admin
    .balance(key)
    .then(({ available, held }) => ({ available: available.micros, held: held.micros }))

describe('a named HTTP API', () => {
  it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY'])(
    'takes %s, with the operator’s credentials in place of the client’s',
    async (method) => {
      const body = method === 'GET' || method === 'OPTIONS' ? null : 'hello'
      const response = await call('weather/echo/a%20b?x=1&key=not-ours&y=%2F', {
        method,
        body,
        headers: { cookie: 'a=b', 'x-own': 'yes' },
      })
      expect(response.status).toBe(200)
      const seen = api.last('/base/echo/a%20b')
      expect(seen).toMatchObject({ method, url: '/base/echo/a%20b?x=1&y=%2F', body: body ?? '' })
      expect(seen.headers).toMatchObject({
        'x-weather-key': 'operator-secret',
        'x-plan': 'gold',
        'x-own': 'yes',
      })
      expect(seen.headers.authorization).toBeUndefined()
      expect(seen.headers.cookie).toBeUndefined()
      expect(response.headers.get('x-farebox-cost')).toBe('0.2')
      expect(await receiptOf(response)).toMatchObject({
        protocol: 'http',
        endpoint: 'up/weather',
        upstream: 'weather',
        model: `${method} /echo/a b`,
        cost: { micros: 200_000 },
        usage: { requests: 1 },
        estimated: false,
      })
    },
  )

  it('answers HEAD and 204 without a body', async () => {
    const head = await call('weather/echo', { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    const nothing = await call('weather/status/204')
    expect([nothing.status, await nothing.text()]).toEqual([204, ''])
    expect((await receiptOf(nothing)).cost.micros).toBe(200_000)
  })

  it('is priced by method and path where a price names them', async () => {
    expect((await receiptOf(await call('weather/dear', { method: 'POST' }))).cost.micros).toBe(
      50_000_000,
    )
    expect((await receiptOf(await call('weather/%64ear', { method: 'POST' }))).cost.micros).toBe(
      50_000_000,
    )
    expect((await receiptOf(await call('weather/free/x'))).cost.micros).toBe(0)
    expect((await receiptOf(await call('free/x'))).cost.micros).toBe(0)
  })

  it('is refused without a price, key, credits or permission, unsent', async () => {
    const before = api.seen.length
    const refusals = [
      [await call('unpriced/x'), 404, 'model_not_found'],
      [await call('nothing/x'), 404, 'not_found'],
      [await call('readonly/x', { method: 'POST' }), 405, 'method_not_allowed'],
      [await call('weather/x', { key: 'fb_test_wrong' }), 401, 'invalid_api_key'],
      [
        await call('weather/x', { key: (await gateway.admin.customer('0.1')).apiKey }),
        402,
        'insufficient_quota',
      ],
      [
        await call('weather/x', {
          key: (await gateway.admin.customer('9', { endpoints: ['chat/*'] })).apiKey,
        }),
        403,
        'model_not_allowed',
      ],
      [
        await call('weather/x', {
          key: (await gateway.admin.customer('9', { models: ['gpt-*'] })).apiKey,
        }),
        403,
        'model_not_allowed',
      ],
      [
        await call('storage/x', { method: 'PUT', body: randomBytes(2_000_001) }),
        413,
        'request_too_large',
      ],
    ] as const
    for (const [response, status, code] of refusals) {
      expect(response.status).toBe(status)
      expect(await response.json()).toMatchObject({ error: { code } })
    }
    expect(api.seen.length).toBe(before)
  })

  it('lets a key in whose lists name it', async () => {
    const limits = { endpoints: ['up/weather'], models: ['GET /echo*'] }
    const { apiKey } = await gateway.admin.customer('9', limits)
    expect((await call('weather/echo', { key: apiKey })).status).toBe(200)
    expect((await call('weather/dear', { key: apiKey })).status).toBe(403)
    expect((await call('free/echo', { key: apiKey })).status).toBe(403)
  })
})

describe('a backend key', () => {
  it('acts for the subject that it names, and for nobody else', async () => {
    const made = await gateway.admin.call('POST', '/admin/v1/backend-keys', { name: 'server' })
    const { key } = z.object({ key: z.string() }).parse(await made.json())
    const { accountId, apiKey } = await gateway.admin.customer('5')
    const ref = `user-${accountId}`
    const named = { subject_ref: ref }
    await gateway.admin.call('PATCH', `/admin/v1/accounts/${accountId}`, named)
    const as = (subject: string) => ({ key, headers: { 'x-farebox-subject': subject } })
    const response = await call('weather/echo', as(ref))
    expect(response.status).toBe(200)
    expect(api.last('/base/echo').headers).not.toHaveProperty('x-farebox-subject')
    expect(await receiptOf(response)).toMatchObject({ account_id: accountId })
    expect((await balanceOf(apiKey)).available).toBe(5_000_000 - 200_000)
    const before = api.seen.length
    for (const [init, status, code] of [
      [as('nobody'), 404, 'subject_not_found'],
      [{ key }, 400, 'invalid_request'],
      [{ ...as(ref), key: apiKey }, 400, 'invalid_request'],
    ] as const) {
      const refused = await call('weather/echo', init)
      expect([refused.status, await refused.json()]).toMatchObject([status, { error: { code } }])
    }
    expect(api.seen.length).toBe(before)
  })
})

/** Sends a request as written, and answers the first line. */
function raw(text: string): Promise<string> {
  const { hostname, port } = new URL(gateway.url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(text))
    socket.once('data', (data) => {
      resolve(data.toString().split('\r\n')[0] ?? '')
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

describe('no path leaves the base path', () => {
  it.each([
    '/up/weather/../secret',
    '/up/weather/%2e%2e/secret',
    '/up/weather/..%2fsecret',
    '/up/weather/..%5csecret',
    '/up/weather/..;/secret',
    '/up/weather/%252e%252e%252fsecret',
    '/up/weather//secret',
    '/up/free/../weather/../../secret',
    'http://127.0.0.1/up/weather/echo',
    '/%75p/weather/../secret',
  ])('%s', async (target) => {
    const before = api.seen.length
    const line = await raw(
      `GET ${target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${customer.apiKey}\r\nconnection: close\r\n\r\n`,
    )
    expect(line).toMatch(/^HTTP\/1\.1 4\d\d /)
    expect(api.seen.length).toBe(before)
  })

  it('and a WebSocket is refused', async () => {
    const line = await raw(
      `GET /up/weather/echo HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${customer.apiKey}\r\n` +
        'connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n' +
        'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
    expect(line).toMatch(/^HTTP\/1\.1 400 /)
  })

  it('and a redirect below it stays with us', async () => {
    const response = await call('weather/redirect')
    expect([response.status, response.headers.get('location')]).toEqual([
      302,
      '/up/weather/next?a=1',
    ])
  })
})

describe('bytes', () => {
  it('are counted both ways, declared or chunked, and stream through', async () => {
    const body = randomBytes(1_500_000)
    const declared = await call('storage/echo', { method: 'PUT', body })
    expect(Buffer.from(await declared.arrayBuffer()).equals(body)).toBe(true)
    const receipt = await receiptOf(declared)
    expect(receipt.usage).toMatchObject({ request_bytes: 1_500_000, response_bytes: 1_500_000 })
    expect(receipt.cost.micros).toBe(1.5 * (1_000_000 + 2_000_000))
    const chunked = await call('storage/echo', {
      method: 'PUT',
      body: new Blob([body]).stream(),
      duplex: 'half',
    })
    expect((await chunked.arrayBuffer()).byteLength).toBe(1_500_000)
    expect((await receiptOf(chunked)).cost.micros).toBe(receipt.cost.micros)
  })

  it('beyond the request’s limit are refused, beyond the answer’s limit cut and charged', async () => {
    const { apiKey } = await gateway.admin.customer('100')
    const tooMuch = await call('storage/echo', {
      method: 'PUT',
      body: new Blob([randomBytes(2_500_000)]).stream(),
      duplex: 'half',
      key: apiKey,
    })
    expect(tooMuch.status).toBe(413)
    await until(async () => (await balanceOf(apiKey)).available === 100_000_000)
    const large = await call('storage/bytes/5000000', { key: apiKey })
    await expect(large.arrayBuffer()).rejects.toThrow()
    const receipt = await receiptOf(large)
    expect(receipt.usage).toMatchObject({ response_bytes: 3_000_000 })
    expect(await balanceOf(apiKey)).toEqual({ available: 100_000_000 - 6_000_000, held: 0 })
  })

  it('are sold by the megabyte beside the request, whatever they cost', async () => {
    const response = await call('sold/bytes/500000')
    await response.arrayBuffer()
    expect(await receiptOf(response)).toMatchObject({
      cost: { micros: 3_000_000 + 1_000_000 },
      provider_cost_usd: '0.1',
    })
  })
})

describe('time and units', () => {
  /** A request, and the seconds that pass until `read` has its answer. */
  async function timed(path: string, read: (response: Response) => Promise<unknown>) {
    const sinceMs = performance.now()
    const response = await call(path)
    await read(response)
    return { response, seconds: (performance.now() - sinceMs) / 1_000 }
  }

  it('seconds are those the upstream took, and past their limit it is cut', async () => {
    const slow = await timed('clock/slow/300', (response) => response.text())
    const receipt = await receiptOf(slow.response)
    const seconds = Number(receipt.usage.seconds)
    expect(seconds).toBeGreaterThanOrEqual(0.3)
    expect(seconds).toBeLessThanOrEqual(slow.seconds + 0.001)
    expect(receipt.cost.micros).toBe(Math.ceil(seconds * 1_000_000))
    const endless = await timed('hasty/drip', (response) =>
      expect(response.text()).rejects.toThrow(),
    )
    const cut = await receiptOf(endless.response)
    expect(Number(cut.usage.seconds)).toBeGreaterThanOrEqual(2)
    expect(Number(cut.usage.seconds)).toBeLessThanOrEqual(endless.seconds + 0.001)
  })

  it('a short answer that goes on past the limit of seconds is cut, and says so', async () => {
    const response = await call('hasty/drip?500')
    expect(response.status).toBe(504)
    expect(await response.text()).toContain(CUT_TEXT)
    expect(Number((await receiptOf(response)).usage.seconds)).toBeGreaterThanOrEqual(2)
  })

  it('an error that goes on past the limit of seconds is cut too, and costs nothing', async () => {
    const { apiKey } = await gateway.admin.customer('10')
    const response = await call('hasty/drip/500', { key: apiKey })
    expect(response.status).toBe(504)
    expect(await response.text()).toContain(CUT_TEXT)
    await until(() => api.last('/base/drip/500').cut)
    expect(await balanceOf(apiKey)).toEqual({ available: 10_000_000, held: 0 })
  })

  it.each([
    ['counted/json?{"usage":{"units":3}}', 3, false, 300_000],
    ['counted/json?{"usage":{"units":2.5}}', 2.5, false, 250_000],
    ['counted/json?{"usage":{"units":0}}', undefined, false, 0],
    ['counted/json?{"usage":{"units":60}}', 60, false, 6_000_000],
    ['counted/json?{"usage":{}}', 7, true, 700_000],
    ['counted/json?{"usage":{"units":-4}}', 7, true, 700_000],
    ['counted/json?not', 7, true, 700_000],
    ['header/units/4', 4, false, 500_000],
    ['header/units/none', 50, true, 5_100_000],
  ])('units of %s', async (path, units, estimated, micros) => {
    const response = await call(encodeURI(path))
    expect(response.status).toBe(200)
    await response.text()
    const receipt = await receiptOf(response)
    expect(receipt.usage.units).toBe(units)
    expect([receipt.estimated, receipt.cost.micros]).toEqual([estimated, micros])
  })

  it.each([200_000, 2_900_000])('units of an answer of %i bytes', async (bytes) => {
    const text = JSON.stringify({ rows: 'x'.repeat(bytes), usage: { units: 3 } })
    api.answer(`large${bytes}`, text)
    const response = await call(`counted/large${bytes}`)
    expect(await response.text()).toBe(text)
    const receipt = await receiptOf(response)
    expect(receipt).toMatchObject({ estimated: false, cost: { micros: 300_000 } })
  })

  it.each([
    ['gzip', 'application/json|{"usage":{"units":3}}'],
    ['br', 'text/event-stream|data: {"usage":{"units":1}}\n\ndata: {"usage":{"units":3}}\n\n'],
  ])('units of an answer in %s, whose bytes pass as they came', async (encoding, answer) => {
    const path = `/up/counted/coded/${encoding}?${encodeURIComponent(answer)}`
    const headers = { authorization: `Bearer ${customer.apiKey}` }
    const got = await undici(`${gateway.url}${path}`, { headers })
    const bytes = Buffer.from(await got.body.arrayBuffer())
    expect(got.headers['content-encoding']).toBe(encoding)
    const plain = encoding === 'br' ? brotliDecompressSync(bytes) : gunzipSync(bytes)
    expect(plain.toString()).toBe(answer.split('|')[1])
    const id = String(got.headers['x-farebox-request-id'])
    const receipt = await until(async () => {
      const found = await gateway.admin.receipt(id)
      return found.status === 'posted' && found
    })
    expect(receipt).toMatchObject({ estimated: false, cost: { micros: 300_000 } })
    expect(receipt.usage).toMatchObject({ units: 3, response_bytes: bytes.length })
  })

  it('errors cost nothing, unless the operator says so; his own are not told', async () => {
    const { apiKey } = await gateway.admin.customer('10')
    for (const [path, status] of [
      ['weather/status/404', 404],
      ['weather/status/500', 500],
      ['weather/status/401', 503],
      ['dead/x', 502],
    ] as const) {
      expect((await call(path, { key: apiKey })).status).toBe(status)
    }
    await until(async () => {
      expect(await balanceOf(apiKey)).toEqual({ available: 10_000_000, held: 0 })
      return true
    })
    const charged = await call('errors/status/404', { key: apiKey })
    expect([charged.status, (await receiptOf(charged)).cost.micros]).toEqual([404, 200_000])
  })
})

describe('streams and clients that leave', () => {
  it('passes events as they come and ends after the charge', async () => {
    const response = await call('weather/events')
    const reader = response.body?.getReader()
    const first = await reader?.read()
    expect(Buffer.from(first?.value ?? []).toString()).toBe('data: 1\n\n')
    api.release()
    let rest = ''
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
      rest += Buffer.from(part.value ?? []).toString()
    }
    expect(rest).toBe('data: 2\n\n')
    const receipt = await gateway.admin.receipt(requestIdOf(response))
    expect(receipt).toMatchObject({ status: 'posted', stream: true, cost: { micros: 200_000 } })
  })

  it('charges what was produced when the client leaves: cut off or read to the end', async () => {
    for (const [name, bytes] of [
      ['cutting', 9],
      ['weather', 18],
    ] as const) {
      const gone = new AbortController()
      const response = await call(`${name}/events`, { signal: gone.signal })
      await response.body?.getReader().read()
      gone.abort()
      if (name === 'cutting') await until(() => api.last('/base/events').cut)
      else api.release()
      const receipt = await receiptOf(response)
      expect(receipt.usage).toMatchObject({ requests: 1, response_bytes: bytes })
      expect(receipt.cost.micros).toBe(name === 'cutting' ? 200_000 + 900 : 200_000)
    }
  })

  it('breaks the connection where the upstream breaks off, and charges what came', async () => {
    const response = await call('weather/broken')
    await expect(response.text()).rejects.toThrow()
    expect((await receiptOf(response)).cost.micros).toBe(200_000)
  })
})
