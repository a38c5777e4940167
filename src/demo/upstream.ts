import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { REQUEST_BODY_BYTES_MAX } from '../kernel/limits/requests.ts'
import { answerAnthropic } from './anthropic-demo.ts'
import { readRequest } from './answer-text.ts'
import { answerGemini, geminiCall, geminiEvents, type GeminiCall } from './gemini-demo.ts'
import { answerMore, isMore } from './openai-more.ts'
import { answerOpenai, type DemoAnswer } from './openai-demo.ts'

/**
 * The demo upstream: a process of its own that answers like OpenAI, Anthropic and Gemini so that a
 * newcomer sees the gateway work without a provider's key. `--port n` (default: a free one); prints
 * `{"port":n}` when it listens and ends when its standard input closes. A request may ask for
 * trouble with the header `x-demo-fault`: error (500), rate-limit (429), reset, hang; in streams
 * also cut, error-midstream, no-usage, slow.
 */

/** Between two events of a stream: fast enough to try, slow enough to see. */
const EVENT_PAUSE_MS = 20
const SLOW_PAUSE_MS = 250
/** An error inside a stream, as both protocols' clients understand it. */
const FAULT_EVENT = `event: error\ndata: ${JSON.stringify({
  type: 'error',
  error: { type: 'api_error', message: 'The demo was asked to fail.', code: 'demo' },
})}\n\n`

async function readBody(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request) {
    if (!Buffer.isBuffer(part)) continue
    bytes += part.length
    if (bytes > REQUEST_BODY_BYTES_MAX) return null
    parts.push(part)
  }
  try {
    const parsed: unknown = JSON.parse(Buffer.concat(parts).toString('utf8'))
    return parsed
  } catch {
    return null
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'x-demo': 'farebox' })
  response.end(JSON.stringify(body))
}

async function sendEvents(
  response: ServerResponse,
  events: readonly string[],
  fault: string,
  type = 'text/event-stream',
): Promise<void> {
  response.writeHead(200, { 'content-type': type, 'x-demo': 'farebox' })
  const broken = fault === 'cut' || fault === 'error-midstream'
  const cutAt = broken ? Math.ceil(events.length / 2) : events.length
  for (const event of events.slice(0, cutAt)) {
    if (response.destroyed) return
    if (fault === 'no-usage' && event.includes('"choices":[]')) continue
    response.write(event)
    await delay(fault === 'slow' ? SLOW_PAUSE_MS : EVENT_PAUSE_MS)
  }
  if (fault === 'cut') response.destroy()
  else response.end(fault === 'error-midstream' ? FAULT_EVENT : '')
}

let served = 0

function answerOf(path: string, body: unknown): { answer: DemoAnswer; stream: boolean } | null {
  served += 1
  const id = `${process.pid}-${served}`
  if (isMore(path)) return answerMore(path, body, id, Math.floor(Date.now() / 1000))
  const request = readRequest(body)
  if (request === null) return null
  const answer =
    path === '/v1/messages'
      ? answerAnthropic(request, id)
      : answerOpenai(request, id, Math.floor(Date.now() / 1000))
  return { answer, stream: request.stream }
}

/** Gemini names model and method in the path, and whether it streams events in the query. */
async function handleGemini(
  call: GeminiCall,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const answer = answerGemini(call, await readBody(request))
  if (answer === null) {
    sendJson(response, 400, {
      error: { code: 400, message: 'No contents.', status: 'INVALID_ARGUMENT' },
    })
  } else if (call.method === 'streamGenerateContent') {
    const isSse = /[?&]alt=sse(?:&|$)/.test(request.url ?? '')
    const type = isSse ? 'text/event-stream' : 'application/json'
    await sendEvents(response, geminiEvents(answer.chunks, isSse), '', type)
  } else {
    sendJson(response, 200, answer.json)
  }
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?')
  const fault = String(request.headers['x-demo-fault'] ?? '')
  if (path === '/v1/models') {
    sendJson(response, 200, { object: 'list', data: [{ id: 'demo-1', object: 'model' }] })
    return
  }
  const gemini = geminiCall(path)
  if (request.method === 'POST' && gemini !== null) {
    await handleGemini(gemini, request, response)
    return
  }
  const isKnown = isMore(path) || /^\/v1\/(chat\/completions|messages)$/.test(path)
  if (request.method !== 'POST' || !isKnown) {
    sendJson(response, 404, { error: { message: 'The demo upstream has no such endpoint.' } })
    return
  }
  const answered = answerOf(path, await readBody(request))
  if (fault === 'hang') return
  if (fault === 'reset') {
    request.socket.resetAndDestroy()
  } else if (fault === 'error' || fault === 'rate-limit') {
    const status = fault === 'error' ? 500 : 429
    sendJson(response, status, { error: { message: 'The demo was asked to fail.', type: 'demo' } })
  } else if (answered === null) {
    sendJson(response, 400, { error: { message: 'The demo could not read the request.' } })
  } else if (answered.stream) {
    await sendEvents(response, answered.answer.events, fault)
  } else {
    sendJson(response, 200, answered.answer.json)
  }
}

function portFrom(args: readonly string[]): number {
  const at = args.indexOf('--port')
  const port = at < 0 ? 0 : Number(args[at + 1])
  return Number.isInteger(port) && port >= 0 ? port : 0
}

const server = createServer((request, response) => {
  handle(request, response).catch(() => response.destroy())
})
server.listen(portFrom(process.argv), '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) {
    process.stdout.write(`${JSON.stringify({ port: address.port })}\n`)
  }
})
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
process.stdin.on('error', () => process.exit(0))
// Who started this is gone before it heard the port.
process.stdout.on('error', () => process.exit(0))
