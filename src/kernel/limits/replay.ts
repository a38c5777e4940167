/** Bounds of a replay of Stripe's payments, each with its reason. */

/** Rows that a replay copies in one statement, and accounts whose ledgers it compares at once. */
export const REPLAY_PAGE_MAX = 1_000
export const REPLAY_ACCOUNTS_MAX = 50
/** Stored events taken over before they are worked off: some 2 MB of them. */
export const REPLAY_EVENTS_PAGE_MAX = 500
/** Things remembered as looked at: events about one come within hours, later ones are no loss. */
export const REPLAY_SUBJECTS_MAX = 100_000
/** Things looked at at once: some five calls each, of 25 a second. */
export const REPLAY_LOOKS_AT_ONCE_MAX = 4
/** Tries of one call, with pauses that double from here: a minute of trouble at Stripe. */
export const REPLAY_TRIES_MAX = 7
export const REPLAY_RETRY_MS_MIN = 1_000
/** How often waiting events are looked for, and how long none may get done: a lease and more. */
export const REPLAY_POLL_MS = 500
export const REPLAY_STALL_MS = 300_000
/** Differences and unfinished events that are named; past it something is wrong as a whole. */
export const REPLAY_SHOWN_MAX = 1_000
/** Comparisons of what differs, and the pause between: an event may be on its way to the source. */
export const REPLAY_COMPARE_TRIES_MAX = 3
export const REPLAY_COMPARE_PAUSE_MS = 5_000
/** One statement that reads the entries of a page of accounts; the largest have millions. */
export const REPLAY_STATEMENT_MS_MAX = 600_000
