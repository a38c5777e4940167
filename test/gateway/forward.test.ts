import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Agent, type Dispatcher } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { dispatch, type BodySink, type Flow } from '../../src/gateway/forward.ts'
import { only } from '../support/only.ts'

let server: Server
let origin: string
let head = ['content-type', 'text/event-stream']
const agent = new Agent()
beforeAll(async () => {
  server = createServer(({ url }, response) => {
    response.writeHead(200, head)
    response.write('data: 1\n\n')
    if (url === '/whole') response.end() // others never end
    if (url === '/cut') setTimeout(() => response.destroy(), 20)
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
        faulty: () => {
          heard.push('faulty')
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
        faulty: reject,
        broken: reject,
      },
    )
  })
  expect(headers[name]).toEqual(read)
})

test.each(['data', 'end'] as const)('a sink that breaks at its %s fails, once', async (at) => {
  const heard: string[] = []
  await new Promise((resolve, reject) => {
    const sink: BodySink = {
      data: () => heard.push('data'),
      end: () => heard.push('end'),
      fail(error) {
        heard.push(error.message)
        setImmediate(resolve, null)
      },
    }
    const broken = (): void => {
      throw new Error(`broken ${at}`)
    }
    dispatch(
      agent,
      { origin, path: '/whole', method: 'GET' },
      {
        open: () => ({ ...sink, [at]: broken }),
        refused: reject,
        faulty: (fault) => heard.push(`faulty: ${fault.message}`),
        broken: reject,
      },
    )
  })
  expect(heard).toEqual([
    ...(at === 'data' ? [] : ['data']),
    ...[`faulty: broken ${at}`, `broken ${at}`],
  ])
})

const sinkWhose = (parts: Partial<BodySink>): BodySink => ({
  ...{ data: () => undefined, end: () => undefined, fail: () => undefined },
  ...parts,
})
const throwing = (what: string) => (): never => {
  throw new Error(what)
}

test.each([
  ['the sink fails', '/cut', sinkWhose({ fail: throwing('fail') }), 'fail'],
  [
    'the sink fails after its data',
    '/',
    sinkWhose({ data: throwing('a'), fail: throwing('b') }),
    'b',
  ],
])('where %s with a fault of ours, that is told, once', async (_how, path, sink, message) => {
  const faults: string[] = []
  await new Promise<void>((resolve, reject) => {
    dispatch(
      agent,
      { origin, path, method: 'GET' },
      {
        open: () => sink,
        refused: reject,
        faulty: () => undefined,
        broken(fault) {
          faults.push(fault.message)
          setTimeout(resolve, 30)
        },
      },
    )
  })
  expect(faults).toEqual([message])
})

test('a refusal that throws is told, once', async () => {
  const faults: string[] = []
  await new Promise<void>((resolve, reject) => {
    dispatch(
      agent,
      { origin: 'http://127.0.0.1:1', path: '/', method: 'GET' },
      {
        open: throwing('no answer'),
        refused: throwing('refused'),
        faulty: reject,
        broken(fault) {
          faults.push(fault.message)
          setTimeout(resolve, 30)
        },
      },
    )
  })
  expect(faults).toEqual(['refused'])
})

test('little of an answer is read in one turn, whatever has come of it', async () => {
  let [left, heard, most] = [64, 0, 0]
  let isPaused = false
  const controller = only<Dispatcher.DispatchController>({
    pause: () => {
      isPaused = true
    },
    resume: () => {
      isPaused = false
    },
  })
  const reading = only<Dispatcher>({
    dispatch(_options, handler) {
      handler.onResponseStart?.(controller, 200, {})
      const turn = (): void => {
        const before = left
        for (; left > 0 && !isPaused; left -= 1) {
          handler.onResponseData?.(controller, Buffer.alloc(64 * 1024))
        }
        most = Math.max(most, before - left)
        if (left > 0) setImmediate(turn)
        else handler.onResponseEnd?.(controller, {})
      }
      turn()
      return true
    },
  })
  await new Promise((resolve, reject) => {
    const data = (): void => {
      heard += 1
    }
    const open = (): BodySink => ({
      data,
      end: () => {
        resolve(null)
      },
      fail: reject,
    })
    dispatch(
      reading,
      { path: '/', method: 'GET' },
      { open, refused: reject, faulty: reject, broken: reject },
    )
  })
  expect(heard).toBe(64)
  expect(most).toBeLessThanOrEqual(4)
})
