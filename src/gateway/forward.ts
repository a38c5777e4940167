import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { errors, type Dispatcher } from 'undici'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { ANSWER_ROW_BYTES_MAX } from '../kernel/limits/answers.ts'
import { REQUEST_BODY_WAIT_MS_MAX } from '../kernel/limits/requests.ts'
import { rows } from '../kernel/rows.ts'
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
  /** A fault of ours in the sink, whose `fail` is told of it next. */
  faulty(fault: Error): void
  /** A fault of ours where no sink takes it: in `open`, `refused` or `fail`. Nothing more comes. */
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

/** What was thrown, as an error. */
export const faultOf = (error: unknown): Error =>
  error instanceof Error ? error : new Error('answer')

const noSink: BodySink = { data: () => undefined, end: () => undefined, fail: () => undefined }

type Controller = Dispatcher.DispatchController

/**
 * One answer on its way from its connection, through the row, to its sink: chunks in their order,
 * and all of a turn in it, so that little more waits here than ANSWER_ROW_BYTES_MAX of each.
 */
class Answer implements Dispatcher.DispatchHandler {
  readonly #handlers: ForwardHandlers
  #sink: BodySink | null = null
  #wasSent = false
  /** By the sink. */
  #isHeld = false
  /** In the row. */
  #waitingBytes = 0

  constructor(handlers: ForwardHandlers) {
    this.#handlers = handlers
  }

  /** Called when the connection stands and the request is about to be written. */
  onRequestStart(): void {
    this.#wasSent = true
  }

  onResponseStart(controller: Controller, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return
    this.#inRow(controller, () => {
      this.#sink = this.#handlers.open(status, unrepeated(headers), this.#flow(controller))
    })
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.#waitingBytes += chunk.length
    // Held back only once its sink has seen it, a fast answer would fill memory by megabytes.
    if (this.#waitingBytes > ANSWER_ROW_BYTES_MAX) controller.pause()
    this.#inRow(controller, () => {
      this.#waitingBytes -= chunk.length
      if (!controller.aborted) this.#sink?.data(chunk)
      if (this.#waitingBytes === 0 && !this.#isHeld) controller.resume()
    })
  }

  onResponseEnd(controller: Controller): void {
    this.#inRow(controller, () => {
      // Aborted between its end and here: some of it may not have been taken.
      if (controller.aborted) this.#sink?.fail(new errors.RequestAbortedError())
      else this.#sink?.end()
    })
  }

  onResponseError(_controller: Controller, error: Error): void {
    rows.answers(() => {
      const failing = this.#sink
      this.#sink = noSink
      this.#safely(() => {
        if (failing !== null) failing.fail(error)
        else this.#handlers.refused(error, this.#wasSent)
      })
    })
  }

  /** A fault of ours ends its answer, and nothing else in the row. */
  #inRow(controller: Controller, work: () => void): void {
    rows.answers(() => {
      try {
        work()
      } catch (error) {
        const fault = faultOf(error)
        const failing = this.#sink
        this.#sink = noSink
        controller.abort(fault)
        if (failing === null) this.#handlers.broken(fault)
        else {
          this.#handlers.faulty(fault)
          this.#safely(() => {
            failing.fail(fault)
          })
        }
      }
    })
  }

  /** Where nobody else could take a fault. */
  #safely(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#handlers.broken(faultOf(error))
    }
  }

  #flow(controller: Controller): Flow {
    return {
      pause: () => {
        this.#isHeld = true
        controller.pause()
      },
      resume: () => {
        this.#isHeld = false
        controller.resume()
      },
      abort: () => {
        controller.abort(new errors.RequestAbortedError())
      },
    }
  }
}

/** Dispatches and tells what comes; no retries. */
export function dispatch(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  handlers: ForwardHandlers,
): void {
  dispatcher.dispatch(options, new Answer(handlers))
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
