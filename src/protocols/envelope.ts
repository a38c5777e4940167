import { ERRORS, refusalHeaders, type Refusal } from '../kernel/errors.ts'
import type { Family } from './protocol.ts'

/** A refusal as one family's SDKs expect it. */
export interface Envelope {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON text. */
  readonly body: string
}

/** Google's names of what an HTTP status says; it has none of its own for 402. */
const RPC_STATUS: Readonly<Record<number, string>> = {
  401: 'UNAUTHENTICATED',
  402: 'RESOURCE_EXHAUSTED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  409: 'ABORTED',
  410: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
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
    case 'gemini': {
      const { status: code, openaiCode } = row
      const info = {
        '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
        reason: openaiCode.toUpperCase(),
        domain: 'farebox',
        ...(refusal.receiptId === undefined ? {} : { metadata: receipt }),
      }
      const status = RPC_STATUS[code] ?? (code < 500 ? 'INVALID_ARGUMENT' : 'INTERNAL')
      return { error: { code, message: refusal.message, status, details: [info] } }
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

/** Google's API has a version of its own, and methods behind a colon below /v1. */
const GEMINI = [
  /^(?:\/upload)?\/v1beta(?:\/|$)/,
  /^\/ws\/google\.ai\./,
  /^\/v1\/models\/[^/]+(?::|%3a)[a-z]*(?:generate|embed|count)\w+$/i,
]

/** Whose envelope an error on this path wears, known or not. Takes a path or a path and query. */
export function familyOfPath(url: string): Family {
  const [path = ''] = url.split(/[?#]/, 1)
  const plain = path.replace(/\/{2,}/g, '/')
  if (GEMINI.some((pattern) => pattern.test(plain))) return 'gemini'
  return ANTHROPIC.test(plain) ? 'anthropic' : 'openai'
}
