/** Bounds of what is in a request body. As limits.ts: each with its reason. */
/**
 * Objects, arrays and their members in a request body: each costs the event loop a microsecond. A
 * million tokens of messages and tools have some ten thousand.
 */
export const JSON_NODES_MAX = 200_000
/** All values of a request body. Embeddings take up to 300 000 token ids at once. */
export const JSON_VALUES_MAX = 500_000
/** A larger body, or answer, is read in a thread: up to here that takes a millisecond or two. */
export const LOOP_BYTES_MAX = 128 * 1024
/** Below it nothing is looked at before it is read: whatever is in it takes a few milliseconds. */
export const LOOP_BYTES_SURE = 16 * 1024
/** Values, and members, of a body that is still read on the event loop. */
export const LOOP_VALUES_MAX = 8_000
/** Threads of a process that read bodies: what takes long leaves the other one to the rest. */
export const READ_THREADS = 2
/** Reading 32 MB takes half a second; longer takes a machine that is busy with other things. */
export const READ_MS_MAX = 10_000
/** Starting a thread, where everything else is busy too. */
export const READ_START_MS_MAX = 20_000
/** Waiting for a thread. Then: ask again. */
export const READ_WAIT_MS_MAX = 10_000
/** Large bodies that are read or wait to be; half of them of one account alone. */
export const READS_OPEN_MAX = 1_024
/**
 * Bodies and large answers in memory, from when they come until their requests have ended:
 * 32 of the longest. Half of it of one account alone.
 */
export const REQUEST_BODIES_BYTES_MAX = 1024 * 1024 * 1024
/** Not counted there up to here, where it comes in one piece: a request keeps as much besides. */
export const ONE_PIECE_BYTES_MAX = 16 * 1024
/** What a piece of a body costs beside its bytes, however short it is. */
export const BODY_PIECE_BYTES = 256
/**
 * A body of known length for a named API is read before it is sent up to here, as it comes with
 * its head anyway: sending it as a stream costs a sixth of its request. A longer one streams.
 */
export const SHORT_BODY_BYTES_MAX = 64 * 1024
/** Heap of such a thread, MB: 32 MB of text twice as UTF-16, and as many values as are allowed. */
export const READ_HEAP_MB_MAX = 512
/** Text handed back for a count is decoded in pieces of this: under a millisecond each. */
export const READ_TEXT_TURN_BYTES = 256 * 1024
/** What is kept for a rewrite of a large body: limits and options, some of them with schemas. */
export const OUTLINE_BYTES_MAX = 128 * 1024
/** A large body is taken in turns of this, however fast it comes: under a millisecond each. */
export const TAKEN_TURN_BYTES = 512 * 1024
/** A large body is sent in pieces of this: encrypting one takes under a millisecond. */
export const SENT_PIECE_BYTES = 256 * 1024
/**
 * What is read of a body, for nobody, behind an answer that did not wait for it, a refusal mostly:
 * clients that hear an answer only when they have sent all hear it. Twice what any endpoint takes
 * as JSON; of larger uploads such a client may see a broken connection instead.
 */
export const READ_ON_BYTES_MAX = 64 * 1024 * 1024
/** A service tier: the longest named today has eight. What is longer is unknown either way. */
export const SERVICE_TIER_CHARS_MAX = 256
/** Text beyond every model's context is not counted exactly: no count could make it fit. */
export const COUNTED_TEXT_BYTES_MAX = 8 * 1024 * 1024
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
