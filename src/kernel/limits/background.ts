/** Bounds of background responses, and of what providers store, each with its reason. */

/** OpenAI keeps a stored response for thirty days. */
export const STORED_ID_MS = 30 * 24 * 3_600_000
/** Ids noted of one response: itself and its items; a run of many tools has some dozens. */
export const STORED_IDS_MAX = 64
export const STORED_ID_CHARS_MAX = 128
/** Ids that one request may go on from: a long conversation, item by item. */
export const STORED_REFERENCES_MAX = 1_000
/** A second look for an id: longer than a posting takes. */
export const STORED_ID_RETRY_MS = 250
/** Expired ids dropped in one round. */
export const STORED_IDS_DROP_MAX = 10_000
/** Between two polls of a background response: a tenth of its age, within these. */
export const BACKGROUND_POLL_MS_MIN = 1_000
export const BACKGROUND_POLL_MS_MAX = 15_000
/** First poll of one that is streamed: most streams have told all by then. */
export const BACKGROUND_STREAM_POLL_MS = 20_000
/** How often due polls are looked for. A look that finds nothing costs one index probe. */
export const BACKGROUND_TICK_MS = 500
/** Who polls longer than this is taken for gone: two slow calls of the provider. */
export const BACKGROUND_CLAIM_MS = 20_000
export const BACKGROUND_LOOK_MS_MAX = 8_000
/** Polls at once of one process. */
export const BACKGROUND_POLLS_MAX = 64
/** A polled hold stands this long by itself: several polls may fail, and a takeover takes time. */
export const BACKGROUND_LEASE_MS = 180_000
/** First answer of a background response: its request (32 MB) comes back in it, escaped anew. */
export const BACKGROUND_ANSWER_BYTES_MAX = 64 * 1024 * 1024
/** Past it nobody asks any more: providers end such responses within hours. */
export const BACKGROUND_MS_MAX = 48 * 3_600_000
