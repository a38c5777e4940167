import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import { Agent } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { dispatch, type Flow } from '../../src/gateway/forward.ts'

let server: Server
let origin: string
const agent = new Agent()
beforeAll(async () => {
  server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
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
