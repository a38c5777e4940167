import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Agent } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { dispatch, type Flow } from '../../src/gateway/forward.ts'

let server: Server
let origin: string
let head = ['content-type', 'text/event-stream']
const agent = new Agent()
beforeAll(async () => {
  server = createServer((_request, response) => {
    response.writeHead(200, head)
    response.write('data: 1\n\n') // and never ends
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = z.object({ port: z.number() }).parse(server.address())
  origin = `http://127.0.0.1:${port}`
})
afterAll(async () => {
  await agent.destroy()
  server.closeAllConnections()
  server.close()
})

/** What a caller is told whose `open` does `choose` with the flow. */
function told(choose: (flow: Flow) => void): Promise<string[]> {
  const heard: string[] = []
  return new Promise((resolve) => {
    const end = (what: string): void => {
      heard.push(what)
      setImmediate(resolve, heard)
    }
    dispatch(
      agent,
      { origin, path: '/', method: 'GET' },
      {
        open(status, _headers, flow) {
          heard.push(`open ${status}`)
          choose(flow)
          return {
            data: () => {
              heard.push('data')
              flow.abort()
            },
            end: () => {
              end('end')
            },
            fail: () => {
              end('fail')
            },
          }
        },
        refused: () => {
          end('refused')
        },
        broken: () => {
          end('broken')
        },
      },
    )
  })
}

test('an answer that is cut while its sink is chosen fails there, and is no refusal', async () => {
  const heard = await told((flow) => {
    flow.abort()
  })
  expect(heard).toEqual(['open 200', 'fail'])
})

test('an answer that is cut at its first byte fails once', async () => {
  expect(await told(() => undefined)).toEqual(['open 200', 'data', 'fail'])
})

test('an answer for which no sink can be made is told once, and its connection is closed', async () => {
  const closed = once(server, 'connection').then(([socket]) => once(socket as Socket, 'close'))
  const heard = await told(() => {
    throw new Error('no sink')
  })
  expect(heard).toEqual(['open 200', 'broken'])
  await closed
})

test.each([
  ['content-type', ['text/event-stream', 'text/plain'], 'text/event-stream'],
  ['content-encoding', ['gzip', 'br'], 'gzip, br'],
  ['connection', ['x-a', 'x-b'], 'x-a, x-b'],
  ['x-else', ['1', '2'], ['1', '2']],
])('an answer that says %s twice is read as one that says it once', async (name, said, read) => {
  head = said.flatMap((value) => [name, value])
  const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
    dispatch(
      agent,
      { origin, path: '/', method: 'GET' },
      {
        open(_status, heard, flow) {
          resolve({ ...heard })
          flow.abort()
          return { data: () => undefined, end: () => undefined, fail: () => undefined }
        },
        refused: reject,
        broken: reject,
      },
    )
  })
  expect(headers[name]).toEqual(read)
})
