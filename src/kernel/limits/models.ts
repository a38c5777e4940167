/** Bounds of what is asked of models, its tokens and its prices, each with its reason. */

/** Longest model name that can have a price; providers' longest are under 150. */
export const MODEL_CHARS_MAX = 256
/** Further models that one request may name: providers take three or so; each is looked up. */
export const OTHER_MODELS_MAX = 16
/** Answers per request (`n`): OpenAI's own maximum. */
export const CHOICES_MAX = 128
/** A service tier: the longest named today has eight. What is longer is unknown either way. */
export const SERVICE_TIER_CHARS_MAX = 256
/** Parts of the spendable balance that one request without a limit of its own may take. */
export const FIT_SHARES = 8
/** Output tokens below which a fitted request is refused rather than cut to nothing. */
export const FIT_OUTPUT_TOKENS_MIN = 64
/** Most that is injected for a model whose own maximum is unknown: all of today's give as much. */
export const FIT_UNKNOWN_OUTPUT_TOKENS_MAX = 4_096
/** Output of a model that names neither an output limit nor a context: beyond today's largest. */
export const UNKNOWN_OUTPUT_TOKENS_MAX = 131_072
/** Context of a model that names none: today's largest windows. */
export const UNKNOWN_CONTEXT_TOKENS_MAX = 2_097_152
/** A tenth more input than counted: the model's vocabulary may be another than the tokenizer's. */
export const CONTEXT_MARGIN = 0.1
/** Calls of hosted tools where a request names no maximum: as many as searches. */
export const TOOL_CALLS_UNSTATED_MAX = 10
/** Web searches assumed where a request names no maximum; Anthropic's own loop stops near ten. */
export const WEB_SEARCHES_UNSTATED_MAX = 10
/** Bytes of text a token stands for where it cannot be counted: below every tokenizer's average. */
export const BYTES_PER_TOKEN = 4
/** Text beyond every model's context is not counted exactly: no count could make it fit. */
export const COUNTED_TEXT_BYTES_MAX = 8 * 1024 * 1024
/**
 * Characters of sealed reasoning for one of its text: it is encrypted and written in base64. Eight
 * to a token in recorded answers of OpenAI, six in those of Anthropic.
 */
export const SEALED_CHARS_PER_CHAR = 2
/** Longest run given to the tokenizer at once: it is quadratic on long runs (providers.md §4). */
export const TOKENIZER_RUN_CHARS_MAX = 1_000
/** A count that takes longer is replaced by the byte estimate. */
export const TOKENIZER_WAIT_MS_MAX = 2_000
/** Waiting counts; past it a request is estimated from its bytes at once. */
export const TOKENIZER_QUEUE_MAX = 256
/** Text handed to the tokenizer at once: a slice takes milliseconds, so requests take turns. */
export const TOKENIZER_SLICE_CHARS_MAX = 32_768
/** Text of all waiting counts: bounds the memory behind TOKENIZER_QUEUE_MAX. */
export const TOKENIZER_QUEUE_CHARS_MAX = 64 * 1024 * 1024
/** One slice, loading its vocabulary included; past it the thread is stuck and is replaced. */
export const TOKENIZER_SLICE_MS_MAX = 10_000
/** A count until its thread has once answered: it starts and loads a vocabulary, half a second. */
export const TOKENIZER_START_MS_MAX = 10_000
/** Head of an image that is decoded to find its dimensions; metadata before them may be large. */
export const IMAGE_HEAD_BYTES_MAX = 256 * 1024
/** Resolved prices kept in memory, by upstream, model and markup: about 10 kB each at most. */
export const PRICE_CACHE_MAX = 4_096
/** Price versions remembered as in use, until and after they are recorded in Postgres. */
export const PRICE_VERSIONS_MAX = 16_384
/** Price changes by another process's admin API are seen within this. */
export const PRICES_POLL_MS = 2_000
/** Age of the list behind `/v1/models`: making it walks the whole catalogue. */
export const MODEL_LIST_MS = 30_000
/** What counts as in use when the doctor looks for prices, and how many names it looks at. */
export const MODELS_IN_USE_MS = 7 * 24 * 3_600_000
export const MODELS_IN_USE_MAX = 500
