/** Bounds of what requests and answers say of models. */

/** Further models that one request may name: providers take three or so; each is looked up. */
export const OTHER_MODELS_MAX = 16
/** Name of a part of a provider's usage ("compaction", "advisor_message") as a receipt keeps it. */
export const USAGE_TYPE_CHARS_MAX = 64
