import { expect } from 'vitest'
import { z } from 'zod'
import type { FamilyName } from './world.ts'

/** One row of the error table: what a caller of either protocol must see. */
export interface Row {
  readonly status: number
  readonly openai: readonly [type: string, code: string]
  readonly anthropic: string
  readonly retry?: false | 'after'
}

const INVALID = 'invalid_request_error'
const row = (
  status: number,
  openai: Row['openai'],
  anthropic: string,
  retry?: Row['retry'],
): Row => ({ status, openai, anthropic, ...(retry === undefined ? {} : { retry }) })

/** providers.md §2, written down a second time on purpose. */
export const TABLE = {
  invalidKey: row(401, [INVALID, 'invalid_api_key'], 'authentication_error'),
  noCredits: row(402, ['insufficient_quota', 'insufficient_quota'], 'billing_error', false),
  creditsHeld: row(429, ['rate_limit_error', 'credits_held'], 'rate_limit_error', 'after'),
  budget: row(402, ['insufficient_quota', 'budget_exceeded'], 'billing_error', false),
  frozen: row(403, ['permission_error', 'account_frozen'], 'permission_error'),
  rate: row(429, ['rate_limit_error', 'rate_limit_exceeded'], 'rate_limit_error', 'after'),
  notAllowed: row(403, ['permission_error', 'model_not_allowed'], 'permission_error'),
  noModel: row(404, [INVALID, 'model_not_found'], 'not_found_error'),
  unsupported: row(404, [INVALID, 'unsupported'], 'not_found_error'),
  unsupportedFeature: row(400, [INVALID, 'unsupported'], INVALID),
  notFound: row(404, [INVALID, 'not_found'], 'not_found_error'),
  invalidJson: row(400, [INVALID, 'invalid_json'], INVALID),
  invalidRequest: row(400, [INVALID, 'invalid_request'], INVALID),
  tooLarge: row(413, [INVALID, 'request_too_large'], 'request_too_large'),
  encoding: row(415, [INVALID, 'unsupported_encoding'], INVALID),
  unavailable: row(503, ['server_error', 'gateway_unavailable'], 'api_error', 'after'),
  upstreamError: row(502, ['server_error', 'upstream_error'], 'api_error'),
  upstreamTimeout: row(504, ['server_error', 'upstream_error'], 'timeout_error'),
  upstreamUnavailable: row(503, ['server_error', 'upstream_unavailable'], 'api_error', false),
  inProgress: row(409, [INVALID, 'idempotency_in_progress'], 'conflict_error', 'after'),
  keyReused: row(400, [INVALID, 'idempotency_key_reused'], INVALID),
  resultGone: row(410, [INVALID, 'idempotency_result_gone'], INVALID),
} as const satisfies Record<string, Row>

const OpenaiError = z.strictObject({
  error: z.strictObject({
    message: z.string().min(10),
    type: z.string(),
    param: z.null(),
    code: z.string(),
    receipt_id: z.string().optional(),
  }),
})
const AnthropicError = z.strictObject({
  type: z.literal('error'),
  error: z.strictObject({
    type: z.string(),
    message: z.string().min(10),
    receipt_id: z.string().optional(),
  }),
  request_id: z.string(),
})

export interface Told {
  readonly message: string
  readonly receiptId: string | null
}

/** Checks status, headers and envelope; nothing of the operator's or the framework's may show. */
export async function expectRefusal(
  response: Response,
  family: FamilyName,
  expected: Row,
  route: 'metered' | 'own' = 'metered',
): Promise<Told> {
  const text = await response.text()
  expect(`${response.status} ${text}`).toMatch(new RegExp(`^${expected.status} `))
  expect(response.headers.get('content-type')).toMatch(/^application\/json(; charset=utf-8)?$/)
  const id = response.headers.get('x-farebox-request-id')
  expect(id).toMatch(/^[0-9a-f-]{36}$/)
  const sdkHeader = family === 'openai' ? 'x-request-id' : 'request-id'
  if (route === 'metered') expect(response.headers.get(sdkHeader)).toBe(id)
  expect(response.headers.get('x-should-retry')).toBe(expected.retry === false ? 'false' : null)
  const after = response.headers.get('retry-after')
  if (expected.retry === 'after') {
    const ms = Number(response.headers.get('retry-after-ms'))
    expect(ms).toBeGreaterThan(0)
    expect(ms).toBeLessThanOrEqual(60_000)
    expect(after).toBe(String(Math.ceil(ms / 1000)))
  } else expect(after).toBeNull()
  if (family === 'openai') {
    const { error } = OpenaiError.parse(JSON.parse(text))
    expect([error.type, error.code]).toEqual(expected.openai)
    return { message: error.message, receiptId: error.receipt_id ?? null }
  }
  const body = AnthropicError.parse(JSON.parse(text))
  expect(body.error.type).toBe(expected.anthropic)
  expect(body.request_id).toBe(id)
  return { message: body.error.message, receiptId: body.error.receipt_id ?? null }
}
