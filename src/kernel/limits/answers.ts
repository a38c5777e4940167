/** Bounds of what upstreams answer, and of its way to the client, each with its reason. */

/** A JSON answer up to here is read whole, metered, posted and then sent. Source: design §2.9. */
export const ANSWER_BUFFER_BYTES_MAX = 1024 * 1024
/** A JSON answer beyond ANSWER_BUFFER_BYTES_MAX is still read for its usage up to here. */
export const ANSWER_METER_BYTES_MAX = 8 * 1024 * 1024
/** End of a larger answer that is kept: its usage is written last, before short metadata. */
export const ANSWER_TAIL_BYTES = 32 * 1024
/** First members of an answer, among them its id and status: short words each. */
export const ANSWER_HEAD_BYTES = 64 * 1024
/** A body up to here is copied to leave in one write with its head; beyond it the copy costs. */
export const ONE_WRITE_BYTES_MAX = 16 * 1024
/** One event of a stream that is still metered; a larger one passes unmetered and is estimated. */
export const SSE_EVENT_BYTES_MAX = 8 * 1024 * 1024
/** Output text kept for an estimate, per request. Beyond it bytes are counted, not tokens. */
export const OUTPUT_TEXT_CHARS_MAX = 256 * 1024
/** A stream that goes on after its terminal event is cut off after this. */
export const AFTER_TERMINAL_MS_MAX = 2_000
/** A client that takes no byte of its stream for so long is treated as gone. */
export const CLIENT_STALL_MS_MAX = 120_000
/** Reading on after the client left, for usage: time per request and streams at once. */
export const DRAIN_MS_MAX = 600_000
export const DRAINS_MAX = 512
/** Stream events kept unparsed per request: most answers report usage and never need their text. */
export const DEFERRED_EVENT_CHARS_MAX = 64 * 1024
/** A string of a large event that is longer is passed over: no name, reason or number is. */
export const CUT_STRING_BYTES = 16 * 1024
/** What is left of a large event then: parsed in a few milliseconds, whatever it is. */
export const CONDENSED_BYTES_MAX = 512 * 1024
/** Work of one kind done in a row before the event loop has its turn. */
export const ROW_MS_MAX = 2
/** Of one answer, waiting for its row: beyond that its connection is not read. */
export const ANSWER_ROW_BYTES_MAX = 128 * 1024
/**
 * Work that waits for such a row, each a few dozen microseconds. Requests that came cost memory
 * until they are answered, and a client may send thousands at once over one connection.
 */
export const ROW_WAITING_MAX = 1_000
/** Plain bytes read of a named API's compressed events: hours of a stream, and a bomb's end. */
export const DECODED_EVENTS_BYTES_MAX = 1024 * 1024 * 1024
/** Name of a part of a provider's usage ("compaction", "advisor_message") as a receipt keeps it. */
export const USAGE_TYPE_CHARS_MAX = 64
