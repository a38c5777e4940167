/**
 * Every bound of the program, with the reason for its value. Units are last in the names.
 * Source: style rule 11.
 */

/** Largest request body. Providers accept up to 32 MB; ten covers text and a few images. */
export const REQUEST_BODY_BYTES_MAX = 32 * 1024 * 1024
/** Slowest body we wait for. A client that needs longer is gone or hostile. */
export const REQUEST_BODY_WAIT_MS_MAX = 60_000
/** Nesting of a request body. Providers refuse far less; JSON.parse recursion is safe here. */
export const JSON_DEPTH_MAX = 128
/** A JSON answer up to here is read whole, metered, posted and then sent. Source: design §2.9. */
export const ANSWER_BUFFER_BYTES_MAX = 1024 * 1024
/** One event of a stream that is still metered; a larger one passes unmetered and is estimated. */
export const SSE_EVENT_BYTES_MAX = 8 * 1024 * 1024
/** Output text kept for an estimate, per request. Beyond it bytes are counted, not tokens. */
export const OUTPUT_TEXT_CHARS_MAX = 256 * 1024
/** Longest run given to the tokenizer at once: it is quadratic on long runs (providers.md §4). */
export const TOKENIZER_RUN_CHARS_MAX = 1_000
/** A count that takes longer is replaced by the byte estimate. */
export const TOKENIZER_WAIT_MS_MAX = 2_000
/** Waiting counts; past it a request is estimated from its bytes at once. */
export const TOKENIZER_QUEUE_MAX = 256
/** One Redis command. Past it the outcome is unknown. */
export const REDIS_COMMAND_MS_MAX = 1_500
/** How long a command may lie in a socket before Redis must ignore it (`not_after`). */
export const RESERVE_VALID_MS = 3_000
/** Repeats of one command with the same ids before a request is refused with 503. */
export const COMMAND_TRIES_MAX = 3
/** Rounds of begin/load before an account counts as unreachable. */
export const LOAD_TRIES_MAX = 8
/** Receipts in one posting transaction: keeps its locks under some tens of milliseconds. */
export const POST_BATCH_MAX = 512
/** Settled receipts waiting for Postgres: count, bytes and age; past any of them, 503. */
export const POST_BACKLOG_COUNT_MAX = 50_000
export const POST_BACKLOG_BYTES_MAX = 64 * 1024 * 1024
export const POST_BACKLOG_AGE_MS_MAX = 15 * 60_000
/** Holds in one clear command: bounds the time one script blocks its Redis node. */
export const CLEAR_BATCH_MAX = 128
/** Lapsed holds taken per shard and sweep. */
export const LAPSED_BATCH_MAX = 256
/** Keys kept resolved in memory; an LRU, 1 kB each. */
export const KEY_CACHE_MAX = 50_000
/** A draft or final receipt as stored in Redis beside its hold. */
export const RECEIPT_BYTES_MAX = 16 * 1024
/** Stored answers of idempotent requests. Source: design §9. */
export const IDEMPOTENT_ANSWER_BYTES_MAX = 1024 * 1024
export const IDEMPOTENT_ANSWER_MS = 24 * 3_600_000
export const IDEMPOTENCY_KEY_CHARS_MAX = 255
/** Parts of the spendable balance that one request without a limit of its own may take. */
export const FIT_SHARES = 8
/** Output tokens below which a fitted request is refused rather than cut to nothing. */
export const FIT_OUTPUT_TOKENS_MIN = 64
