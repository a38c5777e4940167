/**
 * The one table of refusals: what a caller is told, whatever protocol it speaks. Each protocol
 * turns a row into its own envelope. Source: providers.md §2.
 */
interface ErrorRow {
  readonly status: number
  readonly openaiType: string
  readonly openaiCode: string
  readonly anthropicType: string
  /** Sends `x-should-retry: false`, which stops the official SDKs from repeating the call. */
  readonly noRetry?: boolean
  /** Seconds for `retry-after` where the refusal names none. */
  readonly retryAfterS?: number
}

const row = (
  status: number,
  openaiType: string,
  openaiCode: string,
  anthropicType: string,
  extra: Pick<ErrorRow, 'noRetry' | 'retryAfterS'> = {},
): ErrorRow => ({ status, openaiType, openaiCode, anthropicType, ...extra })

const INVALID = 'invalid_request_error'

export const ERRORS = {
  invalid_api_key: row(401, INVALID, 'invalid_api_key', 'authentication_error'),
  insufficient_quota: row(402, 'insufficient_quota', 'insufficient_quota', 'billing_error', {
    noRetry: true,
  }),
  budget_exceeded: row(402, 'insufficient_quota', 'budget_exceeded', 'billing_error', {
    noRetry: true,
  }),
  credits_held: row(429, 'rate_limit_error', 'credits_held', 'rate_limit_error', {
    retryAfterS: 1,
  }),
  account_frozen: row(403, 'permission_error', 'account_frozen', 'permission_error'),
  rate_limit_exceeded: row(429, 'rate_limit_error', 'rate_limit_exceeded', 'rate_limit_error', {
    retryAfterS: 1,
  }),
  model_not_allowed: row(403, 'permission_error', 'model_not_allowed', 'permission_error'),
  model_not_found: row(404, INVALID, 'model_not_found', 'not_found_error'),
  unsupported: row(404, INVALID, 'unsupported', 'not_found_error'),
  unsupported_feature: row(400, INVALID, 'unsupported', INVALID),
  not_found: row(404, INVALID, 'not_found', 'not_found_error'),
  method_not_allowed: row(405, INVALID, 'method_not_allowed', INVALID),
  invalid_json: row(400, INVALID, 'invalid_json', INVALID),
  invalid_request: row(400, INVALID, 'invalid_request', INVALID),
  request_too_large: row(413, INVALID, 'request_too_large', 'request_too_large'),
  headers_too_large: row(431, INVALID, 'headers_too_large', INVALID),
  unsupported_encoding: row(415, INVALID, 'unsupported_encoding', INVALID),
  request_timeout: row(400, INVALID, 'request_incomplete', INVALID),
  gateway_unavailable: row(503, 'server_error', 'gateway_unavailable', 'api_error', {
    retryAfterS: 1,
  }),
  upstream_error: row(502, 'server_error', 'upstream_error', 'api_error'),
  upstream_timeout: row(504, 'server_error', 'upstream_error', 'timeout_error'),
  upstream_unavailable: row(503, 'server_error', 'upstream_unavailable', 'api_error', {
    noRetry: true,
  }),
  idempotency_in_progress: row(409, INVALID, 'idempotency_in_progress', 'conflict_error', {
    retryAfterS: 1,
  }),
  idempotency_key_reused: row(400, INVALID, 'idempotency_key_reused', INVALID),
  idempotency_result_gone: row(410, INVALID, 'idempotency_result_gone', INVALID),
  response_not_followed: row(410, INVALID, 'response_not_followed', INVALID),
  backend_key_required: row(403, 'permission_error', 'backend_key_required', 'permission_error'),
  subject_not_found: row(404, INVALID, 'subject_not_found', 'not_found_error'),
  conflict: row(409, INVALID, 'conflict', 'conflict_error'),
  internal_error: row(500, 'server_error', 'internal_error', 'api_error'),
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

/** An expected "no". `message` is sent to the caller and says what to do next. */
export interface Refusal {
  readonly ok: false
  readonly code: ErrorCode
  readonly message: string
  /** Overrides the table's `retry-after`. Milliseconds, sent as ≤ 60 s. */
  readonly retryAfterMs?: number
  /** Names the receipt of an idempotent request whose answer was not kept. */
  readonly receiptId?: string
  /** A limit on its size: a smaller request may be let through. */
  readonly isOfSize?: boolean
}

/** Whether what was answered is a "no". */
export const isRefusal = <T extends object>(
  answer: T,
): answer is Extract<T, { readonly ok: false }> => 'ok' in answer && answer.ok === false

export const refuse = (
  code: ErrorCode,
  message: string,
  extra: Pick<Refusal, 'retryAfterMs' | 'receiptId' | 'isOfSize'> = {},
): Refusal => ({ ok: false, code, message, ...extra })

/** Longest wait a client is asked for: the Anthropic SDK obeys any. Source: providers.md §2. */
export const RETRY_AFTER_MS_MAX = 60_000

/** Response headers that every envelope of this refusal carries. */
export function refusalHeaders(refusal: Refusal): Record<string, string> {
  const error: ErrorRow = ERRORS[refusal.code]
  const headers: Record<string, string> = {}
  if (error.noRetry === true) headers['x-should-retry'] = 'false'
  const retryMs =
    refusal.retryAfterMs ?? (error.retryAfterS === undefined ? undefined : error.retryAfterS * 1000)
  if (retryMs !== undefined) {
    const boundedMs = Math.min(Math.max(retryMs, 1), RETRY_AFTER_MS_MAX)
    headers['retry-after'] = String(Math.ceil(boundedMs / 1000))
    headers['retry-after-ms'] = String(Math.ceil(boundedMs))
  }
  return headers
}

/**
 * The state of a store is not known: the command may or may not have been carried out, now or
 * later. Repeat it with the same ids; never conclude. Source: design §4.
 */
export class UnknownOutcomeError extends Error {
  override readonly name = 'UnknownOutcomeError'
}
