import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { makeServer } from '../../src/app/server.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { silentLog } from '../../src/kernel/log.ts'

let server: FastifyInstance
let port: number
let isDraining = false
beforeAll(async () => {
  const ids = makeIds(systemClock)
  server = makeServer({ ids, log: silentLog, isDraining: () => isDraining })
  server.get('/healthz', () => ({ status: 'ok' }))
  server.post('/v1/messages', () => ({ served: true }))
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
