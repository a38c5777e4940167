import type { IncomingHttpHeaders } from 'node:http'
import { ERRORS, refuse, type Refusal } from '../../kernel/errors.ts'
import { ANSWER_BUFFER_BYTES_MAX } from '../../kernel/limits/answers.ts'
import { requestIdHeader } from '../../protocols/envelope.ts'
import type { Exchange, GatewayDeps } from '../context.ts'
import { upstreamFailure, type BodySink, type Flow } from '../forward.ts'
import { clientHeaders } from '../headers.ts'
import { sendRefusal, sendWhole } from '../reply.ts'
import { own, release, type Charged } from '../settle.ts'

/**
 * Gathers an upstream's error up to ANSWER_BUFFER_BYTES_MAX, then calls `over` once: with all of
 * it, or with what to refuse instead where it is larger (`tooLarge`) or broke off.
 */
export function gatherError(
  flow: Pick<Flow, 'abort'>,
  tooLarge: Refusal,
  over: (body: Buffer, refusal: Refusal | null) => void,
): BodySink {
  const parts: Buffer[] = []
  let bytes = 0
  let isOver = false
  const end = (refusal: Refusal | null): void => {
    if (isOver) return
    isOver = true
    over(Buffer.concat(parts), refusal)
  }
  return {
    data(chunk) {
      bytes += chunk.length
      if (bytes <= ANSWER_BUFFER_BYTES_MAX) parts.push(chunk)
      else {
        end(tooLarge)
        flow.abort()
      }
    },
    end: () => {
      end(null)
    },
    fail: (error) => {
      end(upstreamFailure(error))
    },
  }
}

const OPERATOR_TROUBLE = new Set([401, 402, 403])
const OPERATOR_QUOTA =
  /insufficient_quota|billing_hard_limit|credit balance is too low|API_KEY_INVALID/i
const TOO_LARGE = refuse('upstream_error', 'The model provider sent an error that is too large.')
const REDIRECTED = refuse('upstream_error', 'The model provider is not where it is looked for.')

/** An upstream's answer that is about the operator's own set-up, not about the request. */
function operatorTrouble(status: number, body: Buffer): Refusal | null {
  // Followed by a client it would lead around us, with the client's key.
  if (status < 400) return REDIRECTED
  const quota =
    status === 429 || status === 400 ? OPERATOR_QUOTA.test(body.toString('utf8')) : false
  if (!OPERATOR_TROUBLE.has(status) && !quota) return null
  return refuse('upstream_unavailable', 'The model provider is not available here right now.')
}

/** An error of the upstream: nothing is charged, it passes as it came. Source: providers.md §2. */
export function makeErrorSink(
  deps: GatewayDeps,
  exchange: Exchange,
  status: number,
  upstream: IncomingHttpHeaders,
  flow: Flow,
  done: (status: number, charged: Charged | null) => void,
): BodySink {
  const { out, protocol, id, times } = exchange
  const finish = async (body: Buffer, refusal: Refusal | null): Promise<void> => {
    times.endedMs = deps.clock.monotonicMs()
    await release(deps, exchange)
    const operator = refusal === null ? operatorTrouble(status, body) : null
    if (operator !== null) {
      deps.log.warn({ request_id: id, upstream_status: status }, 'upstream refused the operator')
    }
    const trouble = refusal ?? operator
    if (trouble !== null) {
      sendRefusal(out, protocol.family, id, trouble)
    } else {
      sendWhole(out, status, clientHeaders(upstream, id, requestIdHeader(protocol.family)), body)
    }
    done(trouble === null ? status : ERRORS[trouble.code].status, null)
  }
  return gatherError(flow, TOO_LARGE, (body, refusal) => {
    own(deps, exchange, finish(body, refusal))
  })
}
