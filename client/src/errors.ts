/**
 * The gateway refused, or could not be reached. `status` is 0 where no answer came; then it is not
 * known whether the call was done, and repeating it with the same idempotency key is safe.
 */
export class FareboxError extends Error {
  override readonly name = 'FareboxError'
  readonly status: number
  /** Such as "insufficient_quota", "account_frozen", "not_found"; "unreachable" without an answer. */
  readonly code: string
  readonly requestId: string | null
  /** The field of the request that it is about. */
  readonly param: string | null

  constructor(
    message: string,
    facts: { status: number; code: string; requestId?: string | null; param?: string | null },
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.status = facts.status
    this.code = facts.code
    this.requestId = facts.requestId ?? null
    this.param = facts.param ?? null
  }
}
