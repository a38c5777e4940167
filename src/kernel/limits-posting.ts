/** Bounds of what a process keeps of the accounts it posts to, each with its reason. */

/** Accounts and their lots, together: about 250 bytes each. Past it the longest unused go. */
export const KEPT_ROWS_MAX = 40_000
/** An account with more lots that can pay is always read, so that one does not displace many. */
export const KEPT_LOTS_MAX = 499
/** Requests reserved longer ago are posted from what is read: expired lots that paid then. */
export const KEPT_BACK_MS = 60 * 60_000
/** Batches that are read after misses, at most: where gateways share accounts few would hit. */
export const KEPT_PAUSE_MAX = 63
