import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { errors, type Dispatcher } from 'undici'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { REQUEST_BODY_WAIT_MS_MAX } from '../kernel/limits.ts'
import { makeRow } from '../kernel/rows.ts'
import type { Exchange } from './context.ts'
import type { SentForm } from './forms/sent-form.ts'
import { upstreamHeaders } from './headers.ts'

/** Steers the bytes that come from the upstream. */
export interface Flow {
  readonly pause: () => void
  readonly resume: () => void
  readonly abort: () => void
}

/** Takes one answer's body. After `end` or `fail` nothing more comes. */
export interface BodySink {
  data(chunk: Buffer): void
  end(): void
  /** The upstream broke off, or the flow was aborted. */
  fail(error: Error): void
}

export interface ForwardHandlers {
  /** The upstream answered: choose what takes the body. */
  open(status: number, headers: IncomingHttpHeaders, flow: Flow): BodySink
  /** No answer came. `wasSent` = perhaps some of it reached the upstream: it may be at work. */
  refused(failure: Error, wasSent: boolean): void
  /** A fault of ours: `open` threw. Nothing more comes. */
  broken(fault: Error): void
}

/** What the client is told of a failed call: never how the operator's upstream looks. */
export function upstreamFailure(error: Error): Refusal {
  const timedOut =
    error instanceof errors.HeadersTimeoutError ||
    error instanceof errors.BodyTimeoutError ||
    error instanceof errors.ConnectTimeoutError
  return timedOut
    ? refuse('upstream_timeout', 'The model provider did not answer in time. Try again.')
    : refuse('upstream_error', 'The model provider could not be reached. Try again.')
}

/** Of these a second one says nothing: the first counts, as with node:http. */
const SINGLE = ['content-type', 'content-length', 'location'] as const
/** Lists, which may come in several headers. */
const LISTS = ['content-encoding', 'connection'] as const

/** What is read here of an answer's head as one text each, however often the upstream said it. */
function unrepeated(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  for (const name of SINGLE) {
    const value: unknown = headers[name]
    if (Array.isArray(value)) headers[name] = String(value[0])
  }
  for (const name of LISTS) {
    const value: unknown = headers[name]
    if (Array.isArray(value)) headers[name] = value.join(', ')
  }
  return headers
}

const noSink: BodySink = { data: () => undefined, end: () => undefined, fail: () => undefined }

/**
 * What comes of all answers: chunks in their order, and all of a turn in it, so that no more waits
 * here than one reading of every socket.
 */
const answers = makeRow(Infinity)

const flowOf = (controller: Dispatcher.DispatchController): Flow => ({
  pause: () => {
    controller.pause()
  },
  resume: () => {
    controller.resume()
  },
  abort: () => {
    controller.abort(new errors.RequestAbortedError())
  },
})

/** Dispatches and tells what comes; no retries. */
export function dispatch(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  handlers: ForwardHandlers,
): void {
  let sink: BodySink | null = null
  let wasSent = false
  dispatcher.dispatch(options, {
    // Called when the connection stands and the request is about to be written.
    onRequestStart() {
      wasSent = true
    },
    onResponseStart(controller, status, headers) {
      if (status < 200) return
      answers(() => {
        try {
          sink = handlers.open(status, unrepeated(headers), flowOf(controller))
        } catch (error) {
          sink = noSink
          handlers.broken(error instanceof Error ? error : new Error('answer'))
          controller.abort(new errors.RequestAbortedError())
        }
      })
    },
    onResponseData(controller, chunk) {
      answers(() => {
        if (!controller.aborted) sink?.data(chunk)
      })
    },
    onResponseEnd(controller) {
      answers(() => {
        // Aborted between its end and here: some of it may not have been taken.
        if (controller.aborted) sink?.fail(new errors.RequestAbortedError())
        else sink?.end()
      })
    },
    onResponseError(_controller, error) {
      answers(() => {
        if (sink !== null) sink.fail(error)
        else handlers.refused(error, wasSent)
      })
    },
  })
}

/** A form from where it is kept. While it comes, who waits for an answer waits for the client. */
function bodyOf(
  { hold, target: { upstream }, headers }: Exchange,
  sent: SentForm,
): Pick<Dispatcher.DispatchOptions, 'headers' | 'body' | 'headersTimeout'> {
  const own = upstreamHeaders(headers, upstream.ownHeaders, upstream.ownHeaderNames)
  if (sent.bytes !== null) own.push('content-length', String(sent.bytes))
  const waitMs = sent.isComing ? REQUEST_BODY_WAIT_MS_MAX : 0
  return {
    headers: own,
    body: sent.body(() => hold.ensureFresh()),
    headersTimeout: upstream.responseMsMax + waitMs,
  }
}

/** A socket that takes all at once is not to keep the event loop busy until it has. */
async function* inTurns(pieces: readonly Buffer[]): AsyncIterable<Buffer> {
  for (const piece of pieces) {
    yield piece
    await setImmediate()
  }
}

const sizeOf = (pieces: readonly Buffer[]): number =>
  pieces.reduce((sum, { length }) => sum + length, 0)

/** A body from memory. */
function jsonOf({
  headers,
  body,
  target: { upstream },
}: Exchange): Pick<Dispatcher.DispatchOptions, 'headers' | 'body'> {
  const own = upstreamHeaders(headers, upstream.ownHeaders, upstream.ownHeaderNames)
  if (Buffer.isBuffer(body)) return { headers: own, body }
  own.push('content-length', String(sizeOf(body)))
  return { headers: own, body: Readable.from(inTurns(body)) }
}

/**
 * Sends the request to its upstream, byte for byte what was read unless a field was injected. The
 * path is the protocol's own, never the client's. No retries here: a second call could bill twice.
 * Source: design §2.5.
 */
export function forward(exchange: Exchange, handlers: ForwardHandlers): void {
  const { target, sent } = exchange
  const { upstream } = target
  const query = exchange.query === '' ? '' : `?${exchange.query}`
  const options: Dispatcher.DispatchOptions = {
    origin: upstream.origin,
    path: `${upstream.basePath}${exchange.protocol.path}${query}`,
    method: 'POST',
    ...(sent === undefined ? jsonOf(exchange) : bodyOf(exchange, sent)),
  }
  dispatch(upstream.dispatcher, options, handlers)
}
