/** Bounds of holds that are open. */

/** How often the renewing loop looks at its open holds. */
export const RENEW_TICK_MS = 200
/** First progress is written so long after the upstream's first byte; design §3 allows 1 s. */
export const FIRST_PROGRESS_MS = 500
/** Holds renewed without a pause, half a ms: those that came at once are due at once. */
export const RENEWALS_A_TURN = 8
/** Pause after them. */
export const RENEWAL_PAUSE_MS = 1
/** Turns until all that are due were renewed: where they are very many, more have one turn. */
export const RENEWAL_TURNS_MAX = 200
