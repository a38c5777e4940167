/** Bounds of what is in a request body. As limits.ts: each with its reason. */
/**
 * Objects, arrays and their members in a request body: each costs the event loop a microsecond. A
 * million tokens of messages and tools have some ten thousand.
 */
export const JSON_NODES_MAX = 200_000
/** All values of a request body. Embeddings take up to 300 000 token ids at once. */
export const JSON_VALUES_MAX = 500_000
/** Text beyond every model's context is not counted exactly: no count could make it fit. */
export const COUNTED_TEXT_BYTES_MAX = 8 * 1024 * 1024
