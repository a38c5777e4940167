import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { brotliCompressSync, gzipSync } from 'node:zlib'

export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  body: string
  /** Whether the gateway closed before the answer was whole. */
  cut: boolean
}

/** An ordinary HTTP API whose answers follow from the path. */
export interface HttpApiServer {
  readonly url: string
  readonly seen: readonly Seen[]
  /** The newest request for a path, without its query. */
  last(path: string): Seen
  /** Answers everything below `/base/<what>` with this text from now on. */
  answer(what: string, text: string): void
  /** Lets waiting event streams go on to their end. */
  release(): void
  close(): Promise<void>
}

const CHUNK = Buffer.alloc(50_000, 120)

const isGone = (out: ServerResponse): boolean => out.destroyed

async function sendBytes(out: ServerResponse, bytes: number): Promise<void> {
  for (let left = bytes; left > 0 && !out.destroyed; left -= CHUNK.length) {
    out.write(CHUNK.subarray(0, Math.min(left, CHUNK.length)))
    while (out.writableNeedDrain && !isGone(out)) await setImmediate()
  }
  out.end()
}

function answer(
  path: string,
  query: string,
  body: Buffer,
  out: ServerResponse,
  wait: Waiting,
): void {
  const [what = '', value = ''] = path.replace(/^\/base\//, '').split('/')
  switch (what) {
    case 'echo':
      out.end(body)
      return
    case 'status':
      out.writeHead(Number(value)).end(value === '204' ? undefined : `status ${value}`)
      return
    case 'redirect':
      out.writeHead(302, { location: '/base/next?a=1' }).end()
      return
    case 'bytes':
      void sendBytes(out, Number(value))
      return
    case 'slow':
      setTimeout(() => out.end('slow'), Number(value))
      return
    case 'drip': {
      out.statusCode = Number(value || 200)
      if (query !== '') out.setHeader('content-length', query)
      const timer = setInterval(() => out.write('.'), 100)
      out.on('close', () => {
        clearInterval(timer)
      })
      return
    }
    case 'json':
      out.setHeader('content-type', 'application/json')
      out.end(decodeURIComponent(query))
      return
    case 'coded': {
      const [type = '', text = ''] = decodeURIComponent(query).split('|')
      out.setHeader('content-type', type)
      out.setHeader('content-encoding', value)
      const coded = (value === 'br' ? brotliCompressSync : gzipSync)(text)
      out.write(coded.subarray(0, 9))
      out.end(coded.subarray(9))
      return
    }
    case 'units':
      if (value !== 'none') out.setHeader('x-units', value)
      out.end('done')
      return
    case 'sse':
      out.setHeader('content-type', 'text/event-stream; charset=utf-8')
      out.write(decodeURIComponent(query))
      if (value === 'broken') void setImmediate().then(() => out.destroy())
      else out.end()
      return
    case 'held':
      wait.add(() => {
        out.writeHead(201, { 'content-type': 'text/x-own', etag: '"1"', 'content-length': '4' })
        out.end('done')
      })
      return
    case 'events':
      out.setHeader('content-type', 'text/event-stream')
      out.write('data: 1\n\n')
      wait.add(() => out.end('data: 2\n\n'))
      return
    case 'broken':
      out.write('half')
      out.flushHeaders()
      void setImmediate().then(() => out.destroy())
      return
    default:
      out.end('ok')
  }
}

type Waiting = Set<() => void>

export async function startHttpApi(): Promise<HttpApiServer> {
  const seen: Seen[] = []
  const waiting: Waiting = new Set()
  const fixed = new Map<string, string>()
  const server = createServer((request, out) => {
    const { method = '', url = '', headers } = request
    const one: Seen = { method, url, headers, body: '', cut: false }
    seen.push(one)
    out.on('close', () => {
      one.cut = !out.writableFinished
    })
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('error', () => undefined)
    request.on('end', () => {
      const body = Buffer.concat(parts)
      one.body = body.toString()
      const [path = '', query = ''] = url.split('?')
      const text = fixed.get(path.split('/')[2] ?? '')
      if (text === undefined) answer(path, query, body, out, waiting)
      else out.end(text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    last(path) {
      const found = seen.findLast(({ url }) => url.split('?')[0] === path)
      if (found === undefined) throw new Error(`no request for ${path}`)
      return found
    },
    answer(what, text) {
      fixed.set(what, text)
    },
    release() {
      for (const end of waiting) end()
      waiting.clear()
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      }),
  }
}
