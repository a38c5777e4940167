/** Bounds of what a client sends, each with its reason. */

/** Largest request body. Providers accept up to 32 MB. */
export const REQUEST_BODY_BYTES_MAX = 32 * 1024 * 1024
/** Slowest body we wait for. A client that needs longer is gone or hostile. */
export const REQUEST_BODY_WAIT_MS_MAX = 60_000
/** Request line and headers together. SDKs send 1–2 kB; cookies and traces some more. */
export const HEADER_BYTES_MAX = 32 * 1024
/** Idle client connections: longer than the 60 s of common load balancers. */
export const KEEP_ALIVE_MS = 72_000
/** Query string passed on to an upstream. */
export const QUERY_CHARS_MAX = 2_048
/** Nesting of a request body. Providers refuse far less; JSON.parse recursion is safe here. */
export const JSON_DEPTH_MAX = 128
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
/** Heap of such a thread, MB: 32 MB of text twice as UTF-16, and as many values as are allowed. */
export const READ_HEAP_MB_MAX = 512
/** Text handed back for a count is decoded in pieces of this: under a millisecond each. */
export const READ_TEXT_TURN_BYTES = 256 * 1024
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
/** What is kept for a rewrite of a large body: limits and options, some of them with schemas. */
export const OUTLINE_BYTES_MAX = 128 * 1024
/** A large body is taken in turns of this, however fast it comes: under a millisecond each. */
export const TAKEN_TURN_BYTES = 512 * 1024
/**
 * What is read of a body, for nobody, behind an answer that did not wait for it, a refusal mostly:
 * clients that hear an answer only when they have sent all hear it. Twice what any endpoint takes
 * as JSON; of larger uploads such a client may see a broken connection instead.
 */
export const READ_ON_BYTES_MAX = 64 * 1024 * 1024
