/** Bounds of what requests and answers say of models. */

/** Name of a part of a provider's usage ("compaction", "advisor_message") as a receipt keeps it. */
export const USAGE_TYPE_CHARS_MAX = 64
