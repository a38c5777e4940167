import type { IncomingHttpHeaders } from 'node:http'
import { makeAnswerSink, unknownReport } from './answer.ts'
import type { Exchange, GatewayDeps } from '../context.ts'
import type { BodySink, Flow } from '../forward.ts'
import { progressOf } from '../measure.ts'
import type { Charged } from '../settle.ts'
import { makeStreamSink } from './stream.ts'

/** First bytes of server-sent events: a field or a comment, behind a mark and blank lines. */
const EVENTS = /^(?:\u00ef\u00bb\u00bf)?\s*(?:data|event|id|retry|):/
/** So many show it, if they are any; few enough to wait for. */
const HEAD_BYTES = 256

/**
 * Takes an answer to a request for a stream whose content type names none, as its first bytes tell:
 * home-made servers say text/html, or nothing, of their events, and SDKs do not look at it.
 */
export function makeUnlabelledSink(
  deps: GatewayDeps,
  exchange: Exchange,
  status: number,
  upstream: IncomingHttpHeaders,
  flow: Flow,
  done: (status: number, charged: Charged | null) => void,
): BodySink {
  const { clock } = deps
  let head: Buffer = Buffer.alloc(0)
  let sink: BodySink | null = null
  const areEvents = (): boolean => EVENTS.test(head.toString('latin1', 0, HEAD_BYTES))
  const choose = (): BodySink => {
    if (sink !== null) return sink
    const make = areEvents() ? makeStreamSink : makeAnswerSink
    sink = make(deps, exchange, status, upstream, flow, done)
    if (head.length > 0) sink.data(head)
    return sink
  }
  exchange.hold.watch(() =>
    progressOf(deps, exchange, unknownReport(head.length), status, clock.monotonicMs()),
  )
  return {
    data(chunk) {
      if (sink !== null) {
        sink.data(chunk)
        return
      }
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk])
      if (head.length >= HEAD_BYTES || areEvents()) choose()
    },
    end() {
      choose().end()
    },
    fail(error) {
      choose().fail(error)
    },
  }
}
