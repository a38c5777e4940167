/** Bounds of the life of holds, each with its reason. */

/** How often the renewing loop looks at its open holds. */
export const RENEW_TICK_MS = 200
/** First progress is written so long after the upstream's first byte; design §3 allows 1 s. */
export const FIRST_PROGRESS_MS = 500
/** Holds renewed without a pause, half a ms: those that came at once are due at once. */
export const RENEWALS_A_TURN = 8
/** Pause after them. */
export const RENEWAL_PAUSE_MS = 1
/**
 * All that are due are renewed in this time: where they are very many, or the event loop is slow,
 * more have one turn. First progress keeps its second, even where it just missed a tick.
 */
export const RENEWALS_SPREAD_MS = 125
/** How long a command may lie in a socket before Redis must ignore it (`not_after`). */
export const RESERVE_VALID_MS = 3_000
/** Rounds of one reserve: what it misses is loaded, perhaps by another release meanwhile again. */
export const RESERVE_ROUNDS_MAX = 24
/** All tries of one reserve that Redis leaves unanswered: the longest wait for a 503. */
export const RESERVE_MS_MAX = 2_000
/** Repeats of one command with the same ids before a request is refused with 503. */
export const COMMAND_TRIES_MAX = 3
/** Pause before a command is repeated; doubles with each repeat. A reconnect takes some 50 ms. */
export const COMMAND_RETRY_WAIT_MS = 50
/** Unanswered rounds of begin/load before an account counts as unreachable. */
export const LOAD_TRIES_MAX = 8
/** Refused ones: gateways of two releases load the same account in turn, each for its scripts. */
export const LOAD_REFUSALS_MAX = 24
/** How long an unfinished load shares its token; past it the loader is taken for dead. */
export const LOAD_TOKEN_MS = 10_000
/** Pause before a refused load begins again; doubles up to the maximum. */
export const LOAD_RETRY_WAIT_MS = 2
export const LOAD_RETRY_WAIT_MS_MAX = 100
/** Repeats of one command over new incarnations: a node is emptied once, not in a loop. */
export const INCARNATION_ROUNDS_MAX = 6
/** A number of incarnation is read again before a load, but not more often than this. */
export const INCARNATION_READ_MS_MIN = 250
/** Posted holds are collected this long before one command clears them. Nothing waits for it. */
export const CLEAR_WAIT_MS = 5
/** Holds in one clear command: bounds the time one script blocks its Redis node. */
export const CLEAR_BATCH_MAX = 128
/** Recoveries in flight at once: during an outage of Postgres the rest stays in Redis. */
export const RECOVERIES_MAX = 512
/** Holds whose lapse one process remembers between two sweeps. */
export const LAPSED_SEEN_MAX = 100_000
/** Lapsed holds read at once: keeps the script under a millisecond. */
export const LAPSED_BATCH_MAX = 256
/** How often changed accounts and keys are looked for. Source: access.ts (within a second). */
export const CHANGED_SWEEP_MS = 500
/** Changed accounts and keys read at once; a look reads on until it has them all. */
export const CHANGED_BATCH_MAX = 10_000
/** What changed before a process started is looked at beside that, so much a look. */
export const CHANGED_BEFORE_BATCH_MAX = 2_000
/** After a 402 Postgres is asked about an account at most this often. Source: design §4. */
export const REFUSAL_LOOK_MS_MIN = 1_000
/** Accounts whose last such look is remembered. */
export const REFUSAL_LOOKS_MAX = 10_000
/** Accounts that a process remembers to have loaded: traffic meets one of them after a loss. */
export const LOADED_SEEN_MAX = 1_000
/** Accounts, keys of one account, and holds of the embedded engine: about 1 kB each. */
export const EMBEDDED_ACCOUNTS_MAX = 100_000
export const EMBEDDED_KEYS_MAX = 10_000
export const EMBEDDED_HOLDS_MAX = 50_000
/** Shards of the credit engine's keys. Fixed: a change would move every account. */
export const SHARDS = 256
