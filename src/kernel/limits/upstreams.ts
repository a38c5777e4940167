/** Bounds of calls to upstreams, each with its reason. */

/** A body that may be sent to a second named API is kept up to here; a larger one is sent once. */
export const REPEATED_BODY_BYTES_MAX = 1024 * 1024
/** A large body is sent in pieces of this: encrypting one takes under a millisecond. */
export const SENT_PIECE_BYTES = 256 * 1024
/** Opening a connection to an upstream; longer means it is down. */
export const UPSTREAM_CONNECT_MS_MAX = 10_000
/** One more try to connect where there is no other upstream, after this pause: a lost SYN. */
export const UPSTREAM_CONNECT_TRIES_MAX = 2
export const UPSTREAM_CONNECT_RETRY_MS = 100
/** Silence inside an answer. Reasoning models pause for minutes between events. */
export const UPSTREAM_BODY_MS_MAX = 600_000
/** What may still come of an answer that nobody reads before its connection is given up. */
export const PASSED_ON_BYTES_MAX = 64 * 1024
export const PASSED_ON_MS_MAX = 2_000
/** Calls of an upstream that its breaker looks back at, ms. */
export const BREAKER_WINDOW_MS = 10_000
/** A trial call may take minutes; after this another one may try beside it. */
export const BREAKER_TRIAL_MS_MAX = 10_000
