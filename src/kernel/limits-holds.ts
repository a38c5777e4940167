/** Bounds of holds that are open. */

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
