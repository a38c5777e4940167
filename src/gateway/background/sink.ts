import type { IncomingHttpHeaders } from 'node:http'
import { ANSWER_BUFFER_BYTES_MAX } from '../../kernel/limits.ts'
import { BACKGROUND_POLL_MS_MIN } from '../../kernel/limits-media.ts'
import { requestIdHeader } from '../../protocols/envelope.ts'
import { makeAnswerSink, unknownReport } from '../answer.ts'
import type { Exchange, GatewayDeps } from '../context.ts'
import type { BodySink, Flow } from '../forward.ts'
import { clientHeaders } from '../headers.ts'
import { sendRefusal, sendWhole } from '../reply.ts'
import { answerToKeep, own, settle, waitPosted, type Charged } from '../settle.ts'
import { cancel } from './look.ts'
import { NOT_TAKEN, takeJob, underWay } from './take.ts'

type Done = (status: number, charged: Charged | null) => void

/** A response that nobody would follow is cancelled, and its client never hears of it. */
export async function giveUp(
  deps: GatewayDeps,
  exchange: Exchange,
  responseId: string,
): Promise<void> {
  const { out, protocol, id } = exchange
  await cancel(exchange.target.upstream, responseId)
  const report = { ...unknownReport(0), storedIds: [] }
  await waitPosted(deps, await settle(deps, exchange, report, 503, null))
  sendRefusal(out, protocol.family, id, NOT_TAKEN)
}

/**
 * The answer to a request for a background response: one that is under way is handed over to those
 * who poll before its client hears of it; one that has ended already is an answer like any other.
 */
export function makeBackgroundSink(
  deps: GatewayDeps,
  exchange: Exchange,
  status: number,
  upstream: IncomingHttpHeaders,
  flow: Flow,
  done: Done,
): BodySink {
  let parts: Buffer[] = []
  let bytes = 0
  let plain: BodySink | null = null
  const asPlain = (): BodySink => {
    const sink = (plain ??= makeAnswerSink(deps, exchange, status, upstream, flow, done))
    for (const part of parts) sink.data(part)
    parts = []
    return sink
  }
  const handOn = async (responseId: string, body: Buffer): Promise<void> => {
    const idHeader = requestIdHeader(exchange.protocol.family)
    const headers = clientHeaders(upstream, exchange.id, idHeader)
    const answer = answerToKeep(exchange, status, headers, [body])
    const isTaken = await takeJob(deps, exchange, responseId, answer, BACKGROUND_POLL_MS_MIN)
    if (isTaken) sendWhole(exchange.out, status, headers, body)
    else await giveUp(deps, exchange, responseId)
    done(isTaken ? status : 503, null)
  }
  return {
    data(chunk) {
      if (plain === null && bytes + chunk.length <= ANSWER_BUFFER_BYTES_MAX) parts.push(chunk)
      else asPlain().data(chunk)
      bytes += chunk.length
    },
    end() {
      const body = Buffer.concat(parts)
      const responseId = plain === null ? underWay(body) : null
      if (responseId === null) asPlain().end()
      else {
        exchange.times.endedMs = deps.clock.monotonicMs()
        own(deps, exchange, handOn(responseId, body))
      }
    },
    fail(error) {
      asPlain().fail(error)
    },
  }
}
