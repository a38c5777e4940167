import type { IncomingHttpHeaders } from 'node:http'
import { ANSWER_BUFFER_BYTES_MAX } from '../../kernel/limits.ts'
import { BACKGROUND_STREAM_POLL_MS } from '../../kernel/limits-media.ts'
import { describeError } from '../../kernel/log.ts'
import type { StreamTap } from '../../protocols/protocol.ts'
import type { Exchange, GatewayDeps } from '../context.ts'
import type { BodySink, Flow } from '../forward.ts'
import { own, type Charged } from '../settle.ts'
import { makeStreamSink, type Follower } from '../stream.ts'
import { giveUp } from './sink.ts'
import { takeJob } from './take.ts'

type Done = (status: number, charged: Charged | null) => void

/** The job behind a stream; whatever fails here the poller makes good. */
function followerOf(deps: GatewayDeps, exchange: Exchange, responseId: string): Follower {
  const { jobs } = deps.background
  const quietly = async (work: Promise<unknown>): Promise<void> => {
    try {
      await work
    } catch (error) {
      const fields = { request_id: exchange.id, error: describeError(error) }
      deps.log.warn(fields, 'a followed stream is left to its polls')
    }
  }
  return {
    finished: () => quietly(jobs.remove(exchange.draft.holdId)),
    left: () => quietly(jobs.hurry(exchange.draft.accountId, responseId, deps.clock.now())),
  }
}

interface Parts {
  readonly deps: GatewayDeps
  readonly exchange: Exchange
  readonly flow: Flow
  readonly done: Done
  readonly makeSink: (follower: Follower | null) => BodySink
}

/** Holds everything back until the response is written down, then passes it on. */
class BackgroundStream implements BodySink {
  readonly #parts: Parts
  readonly #scout: StreamTap
  readonly #waiting: ((sink: BodySink) => void)[] = []
  #bytes = 0
  #taking = false
  #sink: BodySink | null = null

  constructor(parts: Parts) {
    const { protocol, view } = parts.exchange
    this.#parts = parts
    this.#scout = protocol.makeStreamTap(view, { stripUsageChunk: false })
  }

  data(chunk: Buffer): void {
    this.#feed((sink) => {
      sink.data(chunk)
    })
    if (this.#sink !== null || this.#taking) return
    this.#bytes += chunk.length
    this.#scout.push(chunk)
    const responseId = this.#scout.report().storedIds?.[0]
    if (this.#scout.terminal || this.#bytes > ANSWER_BUFFER_BYTES_MAX) this.#pass(null)
    else if (responseId !== undefined) this.#take(responseId)
  }

  end(): void {
    this.#endWith((sink) => {
      sink.end()
    })
  }

  fail(error: Error): void {
    this.#endWith((sink) => {
      sink.fail(error)
    })
  }

  #feed(each: (sink: BodySink) => void): void {
    if (this.#sink === null) this.#waiting.push(each)
    else each(this.#sink)
  }

  #endWith(each: (sink: BodySink) => void): void {
    this.#feed(each)
    if (this.#sink === null && !this.#taking) this.#pass(null)
  }

  #pass(follower: Follower | null): void {
    const sink = this.#parts.makeSink(follower)
    this.#sink = sink
    for (const each of this.#waiting.splice(0)) each(sink)
    this.#parts.flow.resume()
  }

  #take(responseId: string): void {
    const { deps, exchange, flow } = this.#parts
    this.#taking = true
    flow.pause()
    const taken = this.#takeNow(responseId).catch((error: unknown) => {
      exchange.ended()
      throw error
    })
    // The sink that goes on tells when it has ended.
    own(deps, { ...exchange, ended: () => undefined }, taken)
  }

  async #takeNow(responseId: string): Promise<void> {
    const { deps, exchange, flow, done } = this.#parts
    if (await takeJob(deps, exchange, responseId, null, BACKGROUND_STREAM_POLL_MS)) {
      this.#pass(followerOf(deps, exchange, responseId))
      return
    }
    flow.abort()
    await giveUp(deps, exchange, responseId)
    exchange.ended()
    done(503, null)
  }
}

/**
 * A background response that its client reads as it is made. It is handed over to those who poll
 * as soon as its id is known and before the client sees a byte: so a client that leaves, a stream
 * that breaks and a gateway that dies all end with one charge, of what it came to.
 */
export function makeBackgroundStream(
  deps: GatewayDeps,
  exchange: Exchange,
  status: number,
  upstream: IncomingHttpHeaders,
  flow: Flow,
  done: Done,
): BodySink {
  const makeSink = (follower: Follower | null): BodySink =>
    makeStreamSink(deps, exchange, status, upstream, flow, done, follower)
  return new BackgroundStream({ deps, exchange, flow, done, makeSink })
}
