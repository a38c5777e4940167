import {
  makeResponsesTap,
  meterResponsesAnswer,
  meterResponsesEnds,
} from './openai-responses-meter.ts'
import { readResponses, RESPONSES_COST_KEYS, rewriteResponses } from './openai-responses-request.ts'
import { ERRORS } from '../kernel/errors.ts'
import type { Protocol } from './protocol.ts'
import { parseBody } from './request-body.ts'

/** OpenAI's Responses API. Source: providers.md §1. */
export const openaiResponses: Protocol = {
  name: 'openai-responses',
  family: 'openai',
  path: '/v1/responses',
  endpoint: 'responses',
  read: readResponses,
  readBytes(raw) {
    const parsed = parseBody(raw, RESPONSES_COST_KEYS)
    return parsed.ok ? readResponses(parsed.body, raw.length) : parsed
  },
  rewrite: (raw, _view, inject) => rewriteResponses(raw, inject),
  meterAnswer: meterResponsesAnswer,
  meterTail: (tail, head) => meterResponsesEnds(head, tail),
  makeStreamTap: () => makeResponsesTap(),
  streamError(code, message) {
    const { openaiType, openaiCode } = ERRORS[code]
    const error = { type: openaiType, code: openaiCode, message, param: null }
    // The openai SDK reads `error`, typed clients also want what the documentation says.
    const body = { ...error, type: 'error', sequence_number: 0, error }
    return Buffer.from(`\n\nevent: error\ndata: ${JSON.stringify(body)}\n\n`)
  },
}
