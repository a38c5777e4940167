import type { IncomingHttpHeaders } from 'node:http'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import { ANSWER_BUFFER_BYTES_MAX } from '../../kernel/limits.ts'
import { upstreamFailure, type BodySink, type Flow } from '../forward.ts'
import { clientHeaders } from '../headers.ts'
import { sendRefusal, sendWhole } from '../reply.ts'
import { own, release } from '../settle.ts'
import type { HttpDeps, HttpExchange } from './exchange.ts'

/** About the operator's own account at the API, never about its client. Source: providers.md §2. */
const OPERATOR_TROUBLE = new Set([401, 402, 407])
const NOT_AVAILABLE = refuse('upstream_unavailable', 'This API is not available here right now.')
const TOO_LARGE = refuse('upstream_error', 'The API sent an error that is too large.')

/** An error of an API that does not charge for errors: passed on as it came, nothing is charged. */
export function makeHttpErrorSink(
  deps: HttpDeps,
  exchange: HttpExchange,
  answer: { status: number; headers: IncomingHttpHeaders; flow: Flow },
  done: (status: number) => void,
): BodySink {
  const { status, headers, flow } = answer
  const { out, id, times } = exchange
  const parts: Buffer[] = []
  let bytes = 0
  let isOver = false
  const finish = async (refusal: Refusal | null): Promise<void> => {
    times.endedMs = deps.clock.monotonicMs()
    await release(deps, exchange)
    if (refusal === null) {
      sendWhole(out, status, clientHeaders(headers, id, 'x-request-id'), Buffer.concat(parts))
    } else sendRefusal(out, 'openai', id, refusal)
    done(out.statusCode)
  }
  const over = (refusal: Refusal | null): void => {
    if (isOver) return
    isOver = true
    own(deps, exchange, finish(refusal))
  }
  return {
    data(chunk) {
      bytes += chunk.length
      if (bytes <= ANSWER_BUFFER_BYTES_MAX) parts.push(chunk)
      else {
        over(TOO_LARGE)
        flow.abort()
      }
    },
    end: () => {
      if (OPERATOR_TROUBLE.has(status)) {
        deps.log.warn({ request_id: id, upstream_status: status }, 'upstream refused the operator')
      }
      over(OPERATOR_TROUBLE.has(status) ? NOT_AVAILABLE : null)
    },
    fail: (error) => {
      over(upstreamFailure(error))
    },
  }
}
