import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { untilReady } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { openRaw, parseAnswer, type RawClient } from './support/raw.ts'
import { PATHS, startWorld, type World } from './support/world.ts'

/** Bodies that go on behind their refusal. */
const MB = 1024 * 1024
const PIECE = Buffer.alloc(MB, ' ')
/** What is on its way is not read: buffers of both ends. */
const SOCKETS_MB = 32

/** Answers at once and reads nothing. */
const early = createServer((request, out) => {
  request.pause()
  request.on('error', () => undefined)
  out.writeHead(409).end('no')
})

let world: World
beforeAll(async () => {
  await once(early.listen(0, '127.0.0.1'), 'listening')
  const { port } = early.address() as AddressInfo
  const api = {
    protocol: 'http',
    base_url: `http://127.0.0.1:${port}`,
    request_bytes_max: 1_000 * MB,
  }
  const prices = [{ upstream: 'early', per_request_usd: '0.01' }]
  world = await startWorld({ embedded: true, config: { upstreams: { early: api }, prices } })
})
afterAll(async () => {
  await world.end()
  early.closeAllConnections()
  early.close()
})

/** Sends until all is sent or the gateway hangs up; answers how much went, in MB. */
async function send(client: RawClient, mb: number): Promise<number> {
  const { socket } = client
  for (let sent = 0; sent < mb; sent++) {
    if (socket.destroyed) return sent
    if (!socket.write(PIECE)) await until(() => socket.writableLength < MB || socket.destroyed)
  }
  return mb
}

const headOf = (line: string, key: string, length: string): string =>
  `${line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\n${length}\r\n\r\n`

const head = (key: string, length: string): string =>
  headOf(`POST ${PATHS.openai}`, key, `content-type: application/json\r\n${length}`)

describe('a body of which nothing is wanted', () => {
  it.each([
    ['who watches', 200, 'GET /healthz'],
    ['who watches for figures', 200, 'GET /metrics'],
    ['who asks for models', 200, 'GET /v1/models'],
    ['who is no operator', 401, 'POST /admin/v1/accounts'],
    ['who has no key', 401, 'POST /farebox/v1/checkout'],
    ['whose API answers at once', 409, 'POST /up/early/x'],
  ])('of %s: is read to a limit, then cut off', async (_who, status, line) => {
    const { apiKey } = await world.customer('1000')
    const client = openRaw(world.gateway)
    client.write(headOf(line, status === 401 ? 'wrong' : apiKey, `content-length: ${1_000 * MB}`))
    client.write(PIECE)
    await until(() => client.received().includes('\r\n\r\n'))
    expect(parseAnswer(client.received()).status).toBe(status)
    const mb = await send(client, 1_000)
    expect(mb).toBeGreaterThan(40)
    expect(mb).toBeLessThan(64 + SOCKETS_MB)
    expect(client.socket.destroyed).toBe(true)
  })

  it.each([
    ['no key of ours', 401, `content-length: ${1_000 * MB}`],
    ['larger than any may be', 413, `content-length: ${1_000 * MB}`],
  ])('%s: is read to a limit, then cut off', async (why, status, length) => {
    const { apiKey } = await world.customer('1')
    const client = openRaw(world.gateway)
    client.write(head(status === 401 ? 'fb_wrong' : apiKey, length))
    await until(() => client.received().includes('\r\n\r\n'))
    expect([why, parseAnswer(client.received()).status]).toEqual([why, status])
    const mb = await send(client, 1_000)
    expect(mb).toBeGreaterThan(40)
    expect(mb).toBeLessThan(64 + SOCKETS_MB)
    expect(client.socket.destroyed).toBe(true)
  })

  it('may be sent whole by a client that reads its answer behind it, and others follow', async () => {
    const client = openRaw(world.gateway)
    client.write(head('fb_wrong', `content-length: ${40 * MB}`))
    expect(await send(client, 40)).toBe(40)
    client.write(head('fb_wrong', 'content-length: 2') + '{}')
    await until(() => client.received().split('HTTP/1.1 401').length === 3)
    client.socket.destroy()
  })

  it('leaves the process well', () => untilReady(world.gateway))
})
