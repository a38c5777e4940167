import type { IncomingHttpHeaders } from 'node:http'
import { ERRORS } from '../../kernel/errors.ts'
import { ANSWER_BUFFER_BYTES_MAX } from '../../kernel/limits/answers.ts'
import {
  BACKGROUND_ANSWER_BYTES_MAX,
  BACKGROUND_POLL_MS_MIN,
} from '../../kernel/limits/background.ts'
import { answerHead } from '../../protocols/answer-head.ts'
import { requestIdHeader } from '../../protocols/envelope.ts'
import { makeAnswerSink, unknownReport } from '../answers/answer.ts'
import type { Exchange, GatewayDeps } from '../context.ts'
import type { BodySink, Flow } from '../forward.ts'
import { clientHeaders } from '../headers.ts'
import { sendRefusal, sendWhole } from '../reply.ts'
import { answerToKeep, own, release, settle, type Charged } from '../settle.ts'
import { cancel } from './look.ts'
import { stateOf, stateOfWhole } from './state.ts'
import { NOT_BEGUN, NOT_FOLLOWED, takeJob } from './take.ts'

type Done = (status: number, charged: Charged | null) => void

/**
 * A response that nobody would follow is cancelled, and its client never hears of it. Free of
 * charge where it was; where that is not known its input is charged, and the client told so in a
 * status that no SDK tries again. Answers that status.
 */
export async function giveUp(
  deps: GatewayDeps,
  exchange: Exchange,
  responseId: string | null,
): Promise<number> {
  const { out, protocol, id, target } = exchange
  const isCancelled = responseId !== null && (await cancel(target.upstream, responseId))
  const refusal = isCancelled ? NOT_BEGUN : { ...NOT_FOLLOWED, receiptId: id }
  const { status } = ERRORS[refusal.code]
  if (isCancelled) {
    await deps.background.jobs.remove(id).catch(() => undefined) // perhaps it was noted after all
    await release(deps, exchange)
  } else {
    const report = { ...unknownReport(0), storedIds: [] }
    const { settled } = await settle(deps, exchange, report, status, null)
    await settled.posted
  }
  sendRefusal(out, protocol.family, id, refusal)
  return status
}

interface Parts {
  readonly deps: GatewayDeps
  readonly exchange: Exchange
  readonly status: number
  readonly upstream: IncomingHttpHeaders
  readonly flow: Flow
  readonly done: Done
}

/** Keeps the answer back until it is known whether the response goes on. */
class BackgroundSink implements BodySink {
  readonly #to: Parts
  #parts: Buffer[] = []
  #bytes = 0
  #plain: BodySink | null = null
  #isOver = false

  constructor(parts: Parts) {
    this.#to = parts
  }

  data(chunk: Buffer): void {
    if (this.#isOver) return
    if (this.#plain !== null) {
      this.#plain.data(chunk)
      return
    }
    const isKept = this.#bytes <= ANSWER_BUFFER_BYTES_MAX
    this.#parts.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes <= ANSWER_BUFFER_BYTES_MAX) return
    // What has ended need not be kept; where it stands is said first.
    if (isKept && stateOf(answerHead(this.#head())).kind === 'ended') this.#asPlain()
    else if (this.#bytes > BACKGROUND_ANSWER_BYTES_MAX) {
      this.#stop(this.#lose())
      this.#to.flow.abort()
    }
  }

  end(): void {
    if (this.#isOver) return
    if (this.#plain !== null) {
      this.#plain.end()
      return
    }
    const body = Buffer.concat(this.#parts)
    const state = stateOfWhole(body)
    if (state.kind === 'ended') this.#asPlain().end()
    else if (state.kind === 'under_way') this.#stop(this.#handOn(state.responseId, body))
    else this.#stop(this.#lose())
  }

  fail(error: Error): void {
    if (this.#isOver) return
    const isPlain = this.#plain !== null || stateOf(answerHead(this.#head())).kind === 'ended'
    if (isPlain) this.#asPlain().fail(error)
    else this.#stop(this.#lose())
  }

  #head(): Buffer {
    return Buffer.concat(this.#parts)
  }

  #asPlain(): BodySink {
    if (this.#plain !== null) return this.#plain
    const { deps, exchange, status, upstream, flow, done } = this.#to
    const sink = makeAnswerSink(deps, exchange, status, upstream, flow, done)
    for (const part of this.#parts.splice(0)) sink.data(part)
    this.#plain = sink
    return sink
  }

  #stop(work: Promise<void>): void {
    const { deps, exchange } = this.#to
    this.#isOver = true
    exchange.times.endedMs = deps.clock.monotonicMs()
    own(deps, exchange, work)
  }

  async #handOn(responseId: string, body: Buffer): Promise<void> {
    const { deps, exchange, status, upstream, done } = this.#to
    const headers = clientHeaders(upstream, exchange.id, requestIdHeader(exchange.protocol.family))
    const answer = answerToKeep(exchange, status, headers, [body])
    if (!(await takeJob(deps, exchange, responseId, answer, BACKGROUND_POLL_MS_MIN))) {
      await this.#lose()
      return
    }
    sendWhole(exchange.out, status, headers, body)
    done(status, null)
  }

  async #lose(): Promise<void> {
    const { deps, exchange, done } = this.#to
    const { id } = answerHead(this.#head())
    this.#parts = []
    done(await giveUp(deps, exchange, id), null)
  }
}

/**
 * The answer to a request for a background response: one that is under way is handed over to those
 * who poll before its client hears of it; one that has ended already is an answer like any other;
 * one that does not say where it stands is given up, for its client could read it free of charge.
 */
export function makeBackgroundSink(
  deps: GatewayDeps,
  exchange: Exchange,
  status: number,
  upstream: IncomingHttpHeaders,
  flow: Flow,
  done: Done,
): BodySink {
  return new BackgroundSink({ deps, exchange, status, upstream, flow, done })
}
