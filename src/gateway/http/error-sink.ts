import { refuse, type Refusal } from '../../kernel/errors.ts'
import { boundedOnceLeft } from '../answers/bounded-once-left.ts'
import type { Opened } from '../call.ts'
import type { GatewayDeps } from '../context.ts'
import { gatherError } from '../answers/error-sink.ts'
import type { BodySink } from '../forward.ts'
import { clientHeaders } from '../headers.ts'
import { sendRefusal, sendWhole } from '../reply.ts'
import { own, release } from '../settle.ts'
import type { HttpExchange } from './exchange.ts'

/** About the operator's own account at the API, never about its client. Source: providers.md §2. */
const OPERATOR_TROUBLE = new Set([401, 402, 407])
const NOT_AVAILABLE = refuse('upstream_unavailable', 'This API is not available here right now.')
/** Said of an answer that its API's `seconds_max` cut before anything of it was passed on. */
export const CUT = refuse(
  'upstream_timeout',
  'This API did not end its answer within its time limit.',
)
const TOO_LARGE = refuse('upstream_error', 'The API sent an error that is too large.')

/**
 * An error of an API that does not charge for errors: passed on as it came, nothing is charged. It
 * has its API's seconds to come, as any answer.
 */
export function makeHttpErrorSink(
  deps: GatewayDeps,
  exchange: HttpExchange,
  answer: Opened,
  done: (status: number) => void,
): BodySink {
  const { status, headers, flow } = answer
  const { api, out, id, times } = exchange
  const isTrouble = OPERATOR_TROUBLE.has(status)
  const finish = async (body: Buffer, refusal: Refusal | null): Promise<void> => {
    times.endedMs = deps.clock.monotonicMs()
    await release(deps, exchange)
    if (refusal === null) sendWhole(out, status, clientHeaders(headers, id, 'x-request-id'), body)
    else sendRefusal(out, 'openai', id, refusal)
    done(out.statusCode)
  }
  const leftMs = api.secondsMax * 1_000 - (deps.clock.monotonicMs() - times.calledMs)
  let isCut = false
  const cancelLimit = deps.clock.after(Math.max(0, leftMs), () => {
    isCut = true
    flow.abort()
  })
  const sink = gatherError(flow, TOO_LARGE, (body, failed) => {
    cancelLimit()
    if (isTrouble) {
      deps.log.warn({ request_id: id, upstream_status: status }, 'upstream refused the operator')
    }
    const failure = failed !== null && isCut ? CUT : failed
    own(deps, exchange, finish(body, failure ?? (isTrouble ? NOT_AVAILABLE : null)))
  })
  return boundedOnceLeft(deps.clock, out, flow, sink)
}
