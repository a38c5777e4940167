import { ERRORS, refusalHeaders, type Refusal } from '../kernel/errors.ts'
import type { Family } from './protocol.ts'

/** A refusal as one family's SDKs expect it. */
export interface Envelope {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON text. */
  readonly body: string
}

/** The JSON value of an error body. `requestId` null = unknown, as inside a stream. */
export function errorBody(
  family: Family,
  refusal: Refusal,
  requestId: string | null,
): Record<string, unknown> {
  const row = ERRORS[refusal.code]
  const receipt = refusal.receiptId === undefined ? {} : { receipt_id: refusal.receiptId }
  switch (family) {
    case 'openai': {
      const { openaiType: type, openaiCode: code } = row
      return { error: { message: refusal.message, type, param: null, code, ...receipt } }
    }
    case 'anthropic': {
      const error = { type: row.anthropicType, message: refusal.message, ...receipt }
      return { type: 'error', error, ...(requestId === null ? {} : { request_id: requestId }) }
    }
  }
}

/** The header in which a family's SDKs look for the request id. Source: providers.md §3. */
export const requestIdHeader = (family: Family): string =>
  family === 'anthropic' ? 'request-id' : 'x-request-id'

/** Status, headers and body of a refusal. Source: providers.md §2. */
export function envelope(family: Family, refusal: Refusal, requestId: string): Envelope {
  return {
    status: ERRORS[refusal.code].status,
    headers: {
      'content-type': 'application/json',
      'x-farebox-request-id': requestId,
      [requestIdHeader(family)]: requestId,
      ...refusalHeaders(refusal),
    },
    body: JSON.stringify(errorBody(family, refusal, requestId)),
  }
}

/** Paths that only Anthropic's API has; shared ones (/v1/models, /v1/files) wear OpenAI's. */
const ANTHROPIC = /^\/v1\/(?:messages|complete|skills|organizations)(?:\/|$)/

/** Whose envelope an error on this path wears, known or not. Takes a path or a path and query. */
export function familyOfPath(url: string): Family {
  const [path = ''] = url.split(/[?#]/, 1)
  return ANTHROPIC.test(path.replace(/\/{2,}/g, '/')) ? 'anthropic' : 'openai'
}
