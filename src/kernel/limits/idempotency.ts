/** Bounds of requests with an idempotency key, each with its reason. */

/** Stored answers of idempotent requests. Source: design §9. */
export const IDEMPOTENT_ANSWER_BYTES_MAX = 1024 * 1024
export const IDEMPOTENT_ANSWER_MS = 24 * 3_600_000
export const IDEMPOTENCY_KEY_CHARS_MAX = 255
/** Between looks at a request that a duplicate waits for, doubling: each is a read of Postgres. */
export const IDEMPOTENCY_POLL_MS_MIN = 50
export const IDEMPOTENCY_POLL_MS_MAX = 500
/** Lease of an idempotent request's row; renewed at a third while its request lives. */
export const IDEMPOTENCY_LEASE_MS = 30_000
/** Expired answers of idempotent requests dropped in one round. */
export const IDEMPOTENT_DROP_MAX = 1_000
/** Duplicates that wait, of all accounts: each keeps a body and a socket, each key is looked up. */
export const DUPLICATES_WAITING_MAX = 1_024
