/** Bounds of what requests and answers say of models. */

/** Further models that one request may name: providers take three or so; each is looked up. */
export const OTHER_MODELS_MAX = 16
/** Name of a part of a provider's usage ("compaction", "advisor_message") as a receipt keeps it. */
export const USAGE_TYPE_CHARS_MAX = 64
/** Most that is injected for a model whose own maximum is unknown: all of today's give as much. */
export const FIT_UNKNOWN_OUTPUT_TOKENS_MAX = 4_096
/** A tenth more input than counted: the model's vocabulary may be another than the tokenizer's. */
export const CONTEXT_MARGIN = 0.1
/** A count until its thread has once answered: it starts and loads a vocabulary, half a second. */
export const TOKENIZER_START_MS_MAX = 10_000
/**
 * Characters of sealed reasoning for one of its text: it is encrypted and written in base64. Eight
 * to a token in recorded answers of OpenAI, six in those of Anthropic.
 */
export const SEALED_CHARS_PER_CHAR = 2
