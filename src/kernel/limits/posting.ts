/** Bounds of what is posted to the ledger, each with its reason. */

/** Receipts in one posting transaction: keeps its locks under some tens of milliseconds. */
export const POST_BATCH_MAX = 512
/** Settled receipts waiting for Postgres: count, bytes and age; past any of them, 503. */
export const POST_BACKLOG_COUNT_MAX = 50_000
export const POST_BACKLOG_BYTES_MAX = 64 * 1024 * 1024
export const POST_BACKLOG_AGE_MS_MAX = 15 * 60_000
/** Answers kept with one posting transaction: bounds the memory of a statement on both sides. */
export const POST_BATCH_BYTES_MAX = 8 * 1024 * 1024
/** What a receipt counts as in the backlog, without its answer. Most are below 1 kB as JSON. */
export const POST_RECEIPT_BYTES = 1024
/** Between repeats of a batch while Postgres is away: quick for a failover, kind to a restart. */
export const POST_RETRY_MS_MIN = 50
export const POST_RETRY_MS_MAX = 5_000
/** Repeats of a batch that fails for a reason that is neither a row nor an outage. */
export const POST_STRANGE_TRIES_MAX = 3
/** A parked receipt is tried again this late: a person may have removed the cause. */
export const PARKED_RETRY_MS = 3_600_000
/** Accounts and their lots, together: about 250 bytes each. Past it the longest unused go. */
export const KEPT_ROWS_MAX = 40_000
/** An account with more lots that can pay is always read, so that one does not displace many. */
export const KEPT_LOTS_MAX = 499
/** Requests reserved longer ago are posted from what is read: expired lots that paid then. */
export const KEPT_BACK_MS = 60 * 60_000
/** Batches that are read after misses, at most: where gateways share accounts few would hit. */
export const KEPT_PAUSE_MAX = 63
/** Accounts whose lots are activated or expired in one round of the loop. */
export const LOTS_TURN_MAX = 500
