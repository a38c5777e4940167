import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import {
  ERRORS,
  refusalHeaders,
  refuse,
  UnknownOutcomeError,
  type Refusal,
} from '../../kernel/errors.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import { faultOf } from '../../ledger/post-faults.ts'
import { sqlState, StoreAwayError } from '../../store/errors.ts'

/** A refusal that names the field it is about. */
export interface FieldRefusal extends Refusal {
  readonly param?: string
}

/** Sends a refusal in the envelope of OpenAI's API. Source: design §8, providers.md §2. */
export function sendRefusal(
  request: FastifyRequest,
  reply: FastifyReply,
  refusal: FieldRefusal,
): FastifyReply {
  const { status, openaiType: type, openaiCode: code } = ERRORS[refusal.code]
  const { message, param = null } = refusal
  return reply
    .code(status)
    .headers({ 'x-farebox-request-id': request.id, ...refusalHeaders(refusal) })
    .send({ error: { message, type, param, code } })
}

/** The first thing that is wrong, as one sentence with its place. */
export function refuseIssues(error: z.ZodError, where: 'body' | 'query' | 'path'): FieldRefusal {
  const [issue] = error.issues
  const path = issue?.path.map(String).join('.') ?? ''
  const place = path === '' ? `the ${where}` : `${where === 'body' ? '' : `${where} `}${path}`
  const message = `${place}: ${issue?.message ?? 'is not valid'}`
  return { ...refuse('invalid_request', message), ...(path === '' ? {} : { param: path }) }
}

const AWAY =
  'A store did not answer, so it is not known whether this was done. Repeat it as it was.'

/** U+0000, in a text and in JSON: all that Postgres refuses of a text that is Unicode. */
const UNSTORABLE = new Set(['22021', '22P05'])
export const NUL = refuse('invalid_request', 'The character U+0000 cannot be stored: leave it out.')

/** What a fault looks like outside; the log gets the rest. */
export function refusalOfFault(error: unknown, requestId: string, log: Log): Refusal {
  if (UNSTORABLE.has(sqlState(error) ?? '')) return NUL
  log.error({ request_id: requestId, error: describeError(error) }, 'request failed')
  if (error instanceof UnknownOutcomeError) return refuse('gateway_unavailable', AWAY)
  // Postgres said so itself: read-only after a failover, full, a lock or a time limit.
  if (error instanceof StoreAwayError || faultOf(error) === 'away') {
    return refuse('gateway_unavailable', 'A store cannot be reached, nothing was done. Try again.')
  }
  return refuse('internal_error', 'Something went wrong here; the log knows the request id.')
}

/** The framework's own errors; null where it is a fault of ours. */
export function refusalOfFramework(error: FastifyError): Refusal | null {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return refuse('request_too_large', 'The body is too large for this route.')
  }
  const status = error.statusCode ?? 500
  return status < 500 ? refuse('invalid_request', 'The request could not be read.') : null
}
