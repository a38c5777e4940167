import type { IncomingHttpHeaders } from 'node:http'
import {
  BACKGROUND_ANSWER_BYTES_MAX,
  BACKGROUND_STREAM_POLL_MS,
} from '../../kernel/limits/background.ts'
import { describeError } from '../../kernel/log.ts'
import { eventHead } from '../../protocols/answer-head.ts'
import type { ByteEnds } from '../../protocols/byte-ends.ts'
import { readSseHead, type SseEvent } from '../../protocols/sse-event.ts'
import { makeSseSplitter, type SseSplitter } from '../../protocols/sse.ts'
import type { Exchange, GatewayDeps } from '../context.ts'
import type { BodySink, Flow } from '../forward.ts'
import { own, type Charged } from '../settle.ts'
import { makeStreamSink, type Follower } from '../answers/stream.ts'
import { giveUp } from './sink.ts'
import { stateOf } from './state.ts'
import { takeJob } from './take.ts'

/** Ends an event that was cut off. */
const EVENT_END = Buffer.from('\n\n')

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
  readonly #scout: SseSplitter
  readonly #waiting: ((sink: BodySink) => void)[] = []
  #bytes = 0
  #decided = false
  #ended = false
  #sink: BodySink | null = null

  constructor(parts: Parts) {
    this.#parts = parts
    const event = (each: SseEvent): 'pass' => {
      this.#hear(each)
      return 'pass'
    }
    const oversized = (ends: ByteEnds): 'pass' => {
      this.#hear(readSseHead(ends.head()))
      if (!this.#decided) this.#stop(this.#lose(null))
      return 'pass'
    }
    this.#scout = makeSseSplitter({ event, oversized }, BACKGROUND_ANSWER_BYTES_MAX)
  }

  data(chunk: Buffer): void {
    this.#feed((sink) => {
      sink.data(chunk)
    })
    if (this.#decided) return
    this.#bytes += chunk.length
    if (this.#bytes > BACKGROUND_ANSWER_BYTES_MAX) this.#stop(this.#lose(null))
    else this.#scout.push(chunk)
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
    this.#ended = true
    this.#feed(each)
    if (!this.#decided) this.#scout.push(EVENT_END)
    if (!this.#decided) this.#pass(null)
  }

  /** The first event that tells of the response, or that there is none. */
  #hear({ type, data }: SseEvent): void {
    if (this.#decided || data === null) return
    const head = eventHead(Buffer.from(data))
    if (head === null) {
      if (type === 'error') this.#pass(null)
      return
    }
    const state = stateOf(head)
    if (state.kind === 'ended' || state.responseId === null) this.#pass(null)
    else this.#take(state.responseId)
  }

  #pass(follower: Follower | null): void {
    this.#decided = true
    const sink = this.#parts.makeSink(follower)
    this.#sink = sink
    for (const each of this.#waiting.splice(0)) each(sink)
    if (!this.#ended) this.#parts.flow.resume()
  }

  #take(responseId: string): void {
    const { deps, exchange } = this.#parts
    const take = async (): Promise<void> => {
      if (await takeJob(deps, exchange, responseId, null, BACKGROUND_STREAM_POLL_MS)) {
        this.#pass(followerOf(deps, exchange, responseId))
      } else await this.#lose(responseId)
    }
    this.#stop(take())
  }

  /** Nothing more is read until the work is done; the sink that goes on tells when it has ended. */
  #stop(work: Promise<void>): void {
    const { deps, exchange, flow } = this.#parts
    this.#decided = true
    if (!this.#ended) flow.pause()
    const done = work.catch((error: unknown) => {
      exchange.ended()
      throw error
    })
    own(deps, { ...exchange, ended: () => undefined }, done)
  }

  async #lose(responseId: string | null): Promise<void> {
    const { deps, exchange, flow, done } = this.#parts
    this.#decided = true
    if (!this.#ended) flow.abort()
    const status = await giveUp(deps, exchange, responseId)
    exchange.ended()
    done(status, null)
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
