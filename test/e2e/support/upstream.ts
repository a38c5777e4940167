import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { until } from '../../support/until.ts'

/** One request that reached the fake provider, in the hands of the test. */
export interface Call {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly raw: Buffer
  readonly json: Readonly<Record<string, unknown>>
  readonly out: ServerResponse
  /** Whether the gateway closed before the answer was whole. */
  cut: boolean
}

/** A request whose body still comes, or came. */
export interface Arriving {
  /** As much of it as came. */
  readonly text: () => string
  readonly received: () => number
  readonly out: ServerResponse
  /** It ended before its body did. */
  readonly isCut: () => boolean
}

export type Script = (call: Call) => void

/**
 * A provider that answers as its scripts say: one script a model name, so that tests of one file
 * share it without seeing each other. A model without a script leaves its calls open until the
 * test answers them itself.
 */
export interface FakeUpstream {
  readonly url: string
  on(model: string, script: Script): void
  calls(model: string): readonly Call[]
  /** The n-th call for a model, once it has come. */
  call(model: string, index?: number): Promise<Call>
  /** The request for a model of which something has come. */
  arriving(model: string): Promise<Arriving>
  /** Everything that came, whatever it named. */
  readonly all: readonly Call[]
  close(): Promise<void>
}

function parse(raw: Buffer): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(raw.toString())
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {}
  } catch {
    return {}
  }
}

export async function startUpstream(): Promise<FakeUpstream> {
  const all: Call[] = []
  const arriving: Arriving[] = []
  const scripts = new Map<string, Script>()
  const modelIn = (form: string): string | undefined =>
    /name="model"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)\r\n/.exec(form)?.[1]
  const modelOf = (call: Call): string => {
    if (typeof call.json.model === 'string') return call.json.model
    const inPath = /\/models\/([^:]+):/.exec(call.path)?.[1]
    return inPath ?? modelIn(call.raw.toString('latin1')) ?? ''
  }
  const server = createServer((request, out) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    arriving.push({
      text: () => Buffer.concat(parts).toString('latin1'),
      received: () => parts.reduce((sum, part) => sum + part.length, 0),
      out,
      isCut: () => request.destroyed && !request.complete,
    })
    request.on('end', () => {
      const raw = Buffer.concat(parts)
      const call: Call = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        rawHeaders: request.rawHeaders,
        raw,
        json: parse(raw),
        out,
        cut: false,
      }
      out.on('close', () => {
        call.cut = !out.writableFinished
      })
      all.push(call)
      scripts.get(modelOf(call))?.(call)
    })
  })
  server.keepAliveTimeout = 30_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const calls = (model: string): Call[] => all.filter((call) => modelOf(call) === model)
  return {
    url: `http://127.0.0.1:${port}`,
    all,
    calls,
    call: (model, index = 0) => until(() => calls(model)[index]),
    arriving: (model) => until(() => arriving.find((one) => modelIn(one.text()) === model)),
    on: (model, script) => {
      scripts.set(model, script)
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

/** Answers a call with JSON. */
export function answerJson(
  call: Call,
  body: unknown,
  status = 200,
  headers: Record<string, string> = {},
): void {
  call.out.writeHead(status, { 'content-type': 'application/json', ...headers })
  call.out.end(typeof body === 'string' ? body : JSON.stringify(body))
}

/** Begins a stream and sends its first events. */
export function openStream(call: Call, events: readonly string[] = []): void {
  call.out.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
  call.out.flushHeaders()
  for (const event of events) call.out.write(event)
}

/** Sends a whole stream. */
export function answerStream(call: Call, events: readonly string[]): void {
  openStream(call, events)
  call.out.end()
}
