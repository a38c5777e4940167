import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { makeServer } from '../../src/app/server.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { makeRoom, makeShare } from '../../src/kernel/room.ts'
import { sendRefusal } from '../../src/gateway/reply.ts'
import { takeBody } from '../../src/gateway/take-body.ts'
import { opsPlugin } from '../../src/ops/plugin.ts'
import { withoutMemory } from '../support/memory.ts'

let server: FastifyInstance
let port: number
let isDraining = false
const hooks = { requestDone: () => undefined }
const room = makeRoom(64 * 1024 * 1024)
beforeAll(async () => {
  const ids = makeIds(systemClock)
  server = makeServer({ ids, log: silentLog, hooks, isDraining: () => isDraining })
  const health = { ready: () => Promise.resolve({ status: 'not_ready' as const, checks: [] }) }
  const metrics = { text: () => Promise.resolve('a 1\n'), contentType: 'text/plain' }
  opsPlugin(server, { health, metrics, version: '1.2.3' })
  server.get('/v1/models', () => ({ served: true }))
  const onRequest = ({ id, raw }: FastifyRequest, reply: FastifyReply): void => {
    reply.hijack()
    const share = makeShare(() => room, 'a')
    takeBody(raw, { share, bytesMax: 32_000_000 }, (body) => {
      if ('code' in body) sendRefusal(reply.raw, 'anthropic', id, body)
      else reply.raw.end('{"served":true}')
    })
  }
  server.post('/v1/messages', { onRequest }, () => undefined)
  await server.listen({ host: '127.0.0.1', port: 0 })
  port = z.object({ port: z.number() }).parse(server.server.address()).port
})
afterAll(() => server.close())

/** All that comes back for these lines. */
async function answerTo(...lines: string[]): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port })
  await once(socket, 'connect')
  socket.write([...lines, 'connection: close', '', ''].join('\r\n'))
  return text(socket)
}

const HOST = 'host: gateway'

test('a large body for which there is no memory is refused, and nothing else', async () => {
  const send = async (body: string | ReadableStream) => {
    const headers = { 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body, duplex: 'half' as const }
    const response = await fetch(`http://127.0.0.1:${port}/v1/messages`, init)
    return { status: response.status, body: await response.json() }
  }
  const large = JSON.stringify('a'.repeat(1_000_000))
  withoutMemory()
  for (const body of [large, new Blob([large]).stream()]) {
    expect(await send(body)).toMatchObject({
      status: 503,
      body: { type: 'error', error: { type: 'api_error' } },
    })
  }
  expect(await send('"small"')).toEqual({ status: 200, body: { served: true } })
  vi.unstubAllGlobals()
  expect(await send(large)).toEqual({ status: 200, body: { served: true } })
})

test.each([
  ['a path that is no text', ['POST /v1/messages%zz?key=fb_secret HTTP/1.1', HOST]],
  ['no Host header', ['POST /v1/messages HTTP/1.1', 'content-length: 0']],
  ['an expectation', ['POST /v1/messages HTTP/1.1', HOST, 'expect: tea', 'content-length: 0']],
])('%s is refused in the words of the API that was called', async (_name, lines) => {
  const answer = await answerTo(...lines)
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  expect(answer).toContain('"type":"invalid_request_error"')
  expect(answer).not.toMatch(/fb_secret|FST_ERR|statusCode/)
})

test('while it stops, what comes over an open connection is told to try again', async () => {
  isDraining = true
  try {
    const answer = await answerTo('POST /v1/messages HTTP/1.1', HOST, 'content-length: 0')
    expect(answer).toMatch(/^HTTP\/1\.1 503 /)
    expect(answer).toMatch(/retry-after: 1\r/)
    expect(answer).toContain('"type":"error"')
    expect(await answerTo('GET /healthz HTTP/1.1', HOST)).toMatch(/^HTTP\/1\.1 200 /)
  } finally {
    isDraining = false
  }
})

test('who watches may ask without the body, also while it stops; nothing else is behind HEAD', async () => {
  const head = (path: string) => answerTo(`HEAD ${path} HTTP/1.1`, HOST)
  for (isDraining of [false, true]) {
    for (const [path, status] of [
      ['/healthz', 200],
      ['/readyz', 503],
      ['/metrics', 200],
    ] as const) {
      const [got, asked] = [await answerTo(`GET ${path} HTTP/1.1`, HOST), await head(path)]
      const [, length = ''] = /content-length: (\d+)\r/.exec(got) ?? []
      expect(asked).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
      expect(asked).toContain(`content-length: ${length}\r`)
      expect(asked.endsWith('\r\n\r\n')).toBe(true)
      expect(got).toMatch(/x-farebox-request-id: [\da-f-]{36}\r/)
    }
  }
  isDraining = false
  expect(await head('/v1/models')).toMatch(/^HTTP\/1\.1 404 /)
  expect(await head('/v1/messages')).toMatch(/^HTTP\/1\.1 40[45] /)
})
