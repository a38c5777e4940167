/**
 * Every bound of the program, with its reason. Units are last in the names.
 * Source: CONTRIBUTING.md.
 */
/** Largest request body. Providers accept up to 32 MB. */
export const REQUEST_BODY_BYTES_MAX = 32 * 1024 * 1024
/** A body that may be sent to a second named API is kept up to here; a larger one is sent once. */
export const REPEATED_BODY_BYTES_MAX = 1024 * 1024
/** Slowest body we wait for. A client that needs longer is gone or hostile. */
export const REQUEST_BODY_WAIT_MS_MAX = 60_000
/** Nesting of a request body. Providers refuse far less; JSON.parse recursion is safe here. */
export const JSON_DEPTH_MAX = 128
/** A JSON answer up to here is read whole, metered, posted and then sent. Source: design §2.9. */
export const ANSWER_BUFFER_BYTES_MAX = 1024 * 1024
/** A body up to here is copied to leave in one write with its head; beyond it the copy costs. */
export const ONE_WRITE_BYTES_MAX = 16 * 1024
/** One event of a stream that is still metered; a larger one passes unmetered and is estimated. */
export const SSE_EVENT_BYTES_MAX = 8 * 1024 * 1024
/** Output text kept for an estimate, per request. Beyond it bytes are counted, not tokens. */
export const OUTPUT_TEXT_CHARS_MAX = 256 * 1024
/** Longest run given to the tokenizer at once: it is quadratic on long runs (providers.md §4). */
export const TOKENIZER_RUN_CHARS_MAX = 1_000
/** A count that takes longer is replaced by the byte estimate. */
export const TOKENIZER_WAIT_MS_MAX = 2_000
/** Waiting counts; past it a request is estimated from its bytes at once. */
export const TOKENIZER_QUEUE_MAX = 256
/** One Redis command. Past it the outcome is unknown. */
export const REDIS_COMMAND_MS_MAX = 1_500
/** Commands that wait for a connection: some tenths of a second of full load. */
export const REDIS_QUEUE_MAX = 20_000
/** Commands in one script call: some ms at most; and where no other key joins: it gains nothing. */
export const REDIS_GROUP_MAX = 128
export const REDIS_SHARED_MAX = 32
/** Commands wait this long at most for the answers to those before them, to travel together. */
export const REDIS_GATHER_MS_MAX = 1
/** A socket with commands under way that stays silent this long is dead. */
export const REDIS_SILENCE_MS_MAX = 5_000
/** Nodes whose scripts' SHAs are kept; more than a cluster of 256 shards has use for. */
export const REDIS_NODES_MAX = 256
/** How old the known places of a Redis cluster's slots may be while nothing goes wrong. */
export const CLUSTER_LOOK_MS = 5_000
/** Between two looks at a cluster while something does. */
export const CLUSTER_LOOK_MS_MIN = 200
/** How long a command may lie in a socket before Redis must ignore it (`not_after`). */
export const RESERVE_VALID_MS = 3_000
/** Repeats of one command with the same ids before a request is refused with 503. */
export const COMMAND_TRIES_MAX = 3
/** Unanswered rounds of begin/load before an account counts as unreachable. */
export const LOAD_TRIES_MAX = 8
/** Refused ones: gateways of two releases load the same account in turn, each for its scripts. */
export const LOAD_REFUSALS_MAX = 24
/** Rounds of one reserve: what it misses is loaded, perhaps by another release meanwhile again. */
export const RESERVE_ROUNDS_MAX = 24
/** Shards of the credit engine's keys. Fixed: a change would move every account. */
export const SHARDS = 256
/** How long an unfinished load shares its token; past it the loader is taken for dead. */
export const LOAD_TOKEN_MS = 10_000
/** Repeats of one command over new incarnations: a node is emptied once, not in a loop. */
export const INCARNATION_ROUNDS_MAX = 6
/** A number of incarnation is read again before a load, but not more often than this. */
export const INCARNATION_READ_MS_MIN = 250
/** Pause before a command is repeated; doubles with each repeat. A reconnect takes some 50 ms. */
export const COMMAND_RETRY_WAIT_MS = 50
/** Pause before a refused load begins again; doubles up to the maximum. */
export const LOAD_RETRY_WAIT_MS = 2
export const LOAD_RETRY_WAIT_MS_MAX = 100
/** Posted holds are collected this long before one command clears them. Nothing waits for it. */
export const CLEAR_WAIT_MS = 5
/** All tries of one reserve that Redis leaves unanswered: the longest wait for a 503. */
export const RESERVE_MS_MAX = 2_000
/** Recoveries in flight at once: during an outage of Postgres the rest stays in Redis. */
export const RECOVERIES_MAX = 512
/** A parked receipt is tried again this late: a person may have removed the cause. */
export const PARKED_RETRY_MS = 3_600_000
/** Holds whose lapse one process remembers between two sweeps. */
export const LAPSED_SEEN_MAX = 100_000
/** How often changed accounts and keys are looked for. Source: access.ts (within a second). */
export const CHANGED_SWEEP_MS = 500
/** Changed accounts and keys read at once; a look reads on until it has them all. */
export const CHANGED_BATCH_MAX = 10_000
/** What changed before a process started is looked at beside that, so much a look. */
export const CHANGED_BEFORE_BATCH_MAX = 2_000
/** After a 402 Postgres is asked about an account at most this often. Source: design §4. */
export const REFUSAL_LOOK_MS_MIN = 1_000
/** Accounts whose last such look is remembered. */
export const REFUSAL_LOOKS_MAX = 10_000
/** Accounts that a process remembers to have loaded: traffic meets one of them after a loss. */
export const LOADED_SEEN_MAX = 1_000
/** Accounts, keys of one account, and holds of the embedded engine: about 1 kB each. */
export const EMBEDDED_ACCOUNTS_MAX = 100_000
export const EMBEDDED_KEYS_MAX = 10_000
export const EMBEDDED_HOLDS_MAX = 50_000
/** Receipts in one posting transaction: keeps its locks under some tens of milliseconds. */
export const POST_BATCH_MAX = 512
/** Settled receipts waiting for Postgres: count, bytes and age; past any of them, 503. */
export const POST_BACKLOG_COUNT_MAX = 50_000
export const POST_BACKLOG_BYTES_MAX = 64 * 1024 * 1024
export const POST_BACKLOG_AGE_MS_MAX = 15 * 60_000
/** Holds in one clear command: bounds the time one script blocks its Redis node. */
export const CLEAR_BATCH_MAX = 128
/** Lapsed holds read at once: keeps the script under a millisecond. */
export const LAPSED_BATCH_MAX = 256
/** Keys kept resolved in memory; an LRU, 1 kB each. */
export const KEY_CACHE_MAX = 50_000
/** Stored answers of idempotent requests. Source: design §9. */
export const IDEMPOTENT_ANSWER_BYTES_MAX = 1024 * 1024
export const IDEMPOTENT_ANSWER_MS = 24 * 3_600_000
export const IDEMPOTENCY_KEY_CHARS_MAX = 255
/** Parts of the spendable balance that one request without a limit of its own may take. */
export const FIT_SHARES = 8
/** Output tokens below which a fitted request is refused rather than cut to nothing. */
export const FIT_OUTPUT_TOKENS_MIN = 64
/** Opening a connection to an upstream; longer means it is down. */
export const UPSTREAM_CONNECT_MS_MAX = 10_000
/** One more try to connect where there is no other upstream, after this pause: a lost SYN. */
export const UPSTREAM_CONNECT_TRIES_MAX = 2
export const UPSTREAM_CONNECT_RETRY_MS = 100
/** What may still come of an answer that nobody reads before its connection is given up. */
export const PASSED_ON_BYTES_MAX = 64 * 1024
export const PASSED_ON_MS_MAX = 2_000
/** Calls of an upstream that its breaker looks back at, ms. */
export const BREAKER_WINDOW_MS = 10_000
/** A trial call may take minutes; after this another one may try beside it. */
export const BREAKER_TRIAL_MS_MAX = 10_000
/** Pause before a worker that ended is started again; doubles while it keeps ending young. */
export const WORKER_RESTART_MS_MIN = 200
export const WORKER_RESTART_MS_MAX = 30_000
/** A worker that lived so long was well: its next restart is quick again. */
export const WORKER_STEADY_MS = 60_000
/** What a worker may take beyond `shutdown_ms`: two rounds of SHUTDOWN_POST_MS_MAX, and closing. */
export const WORKER_STOP_GRACE_MS = 30_000
/** A busy worker that does not give its metrics in this time is left out of a scrape. */
export const WORKER_METRICS_MS_MAX = 1_000
/** Silence inside an answer. Reasoning models pause for minutes between events. */
export const UPSTREAM_BODY_MS_MAX = 600_000
/** A stream that goes on after its terminal event is cut off after this. */
export const AFTER_TERMINAL_MS_MAX = 2_000
/** A client that takes no byte of its stream for so long is treated as gone. */
export const CLIENT_STALL_MS_MAX = 120_000
/** Reading on after the client left, for usage: time per request and streams at once. */
export const DRAIN_MS_MAX = 600_000
export const DRAINS_MAX = 512
/** A JSON answer beyond ANSWER_BUFFER_BYTES_MAX is still read for its usage up to here. */
export const ANSWER_METER_BYTES_MAX = 8 * 1024 * 1024
/** End of a larger answer that is kept: its usage is written last, before short metadata. */
export const ANSWER_TAIL_BYTES = 32 * 1024
/** Between looks at a request that a duplicate waits for, doubling: each is a read of Postgres. */
export const IDEMPOTENCY_POLL_MS_MIN = 50
export const IDEMPOTENCY_POLL_MS_MAX = 500
/** Duplicates that wait, of all accounts: each keeps a body and a socket, each key is looked up. */
export const DUPLICATES_WAITING_MAX = 1_024
/** Lease of an idempotent request's row; renewed at a third while its request lives. */
export const IDEMPOTENCY_LEASE_MS = 30_000
/** Query string passed on to an upstream. */
export const QUERY_CHARS_MAX = 2_048
/** Output of a model that names neither an output limit nor a context: beyond today's largest. */
export const UNKNOWN_OUTPUT_TOKENS_MAX = 131_072
/** Context of a model that names none: today's largest windows. */
export const UNKNOWN_CONTEXT_TOKENS_MAX = 2_097_152
/** Calls of hosted tools where a request names no maximum: as many as searches. */
export const TOOL_CALLS_UNSTATED_MAX = 10
/** Bytes of text a token stands for where it cannot be counted: below every tokenizer's average. */
export const BYTES_PER_TOKEN = 4
/** Request line and headers together. SDKs send 1–2 kB; cookies and traces some more. */
export const HEADER_BYTES_MAX = 32 * 1024
/** Idle client connections: longer than the 60 s of common load balancers. */
export const KEEP_ALIVE_MS = 72_000
/** A free or new Postgres connection; longer means it is away or the pool is too small. */
export const POSTGRES_CONNECT_MS_MAX = 5_000
/** One statement of the program. The slowest, a full batch of receipts, takes tens of ms. */
export const STATEMENT_MS_MAX = 10_000
/** How much longer than Postgres the client waits before it gives the connection up. */
export const STATEMENT_GRACE_MS = 2_000
/** A transaction whose process stopped must not keep its locks. */
export const IDLE_IN_TRANSACTION_MS_MAX = 10_000
/** Statement texts kept prepared; the program has fewer, generated ones must not fill Postgres. */
export const PREPARED_MAX = 500
/** One migration. Expand-only changes are quick; an index on a large table is not. */
export const MIGRATION_MS_MAX = 30 * 60_000
/** A migration that waits for a lock blocks all that come after it, so it gives up and repeats. */
export const MIGRATION_LOCK_MS_MAX = 5_000
/** Resolved prices kept in memory, by upstream, model and markup: about 10 kB each at most. */
export const PRICE_CACHE_MAX = 4_096
/** Price versions remembered as in use, until and after they are recorded in Postgres. */
export const PRICE_VERSIONS_MAX = 16_384
/** Text handed to the tokenizer at once: a slice takes milliseconds, so requests take turns. */
export const TOKENIZER_SLICE_CHARS_MAX = 32_768
/** Text of all waiting counts: bounds the memory behind TOKENIZER_QUEUE_MAX. */
export const TOKENIZER_QUEUE_CHARS_MAX = 64 * 1024 * 1024
/** One slice, loading its vocabulary included; past it the thread is stuck and is replaced. */
export const TOKENIZER_SLICE_MS_MAX = 10_000
/** Head of an image that is decoded to find its dimensions; metadata before them may be large. */
export const IMAGE_HEAD_BYTES_MAX = 256 * 1024
/** Stream events kept unparsed per request: most answers report usage and never need their text. */
export const DEFERRED_EVENT_CHARS_MAX = 64 * 1024
/** Web searches assumed where a request names no maximum; Anthropic's own loop stops near ten. */
export const WEB_SEARCHES_UNSTATED_MAX = 10
/** Longest model name that can have a price; providers' longest are under 150. */
export const MODEL_CHARS_MAX = 256
/** Answers per request (`n`): OpenAI's own maximum. */
export const CHOICES_MAX = 128
/** Looks for changed keys and accounts: a revocation is to reach every process within a second. */
export const KEY_POLL_MS = 400
/** How far each look reaches back: longest transaction plus the clocks' difference (doctor). */
export const CHANGES_OVERLAP_MS = 15_000
/** Changed rows read at once. */
export const CHANGES_PAGE_MAX = 1_000
/** A cached key is read again after this, in the background, should no change have been told. */
export const KEY_FRESH_MS = 60_000
/** Secrets that open nothing: remembered so long, and so many, so that guessing stays cheap. */
export const UNKNOWN_KEY_MS = 5_000
export const UNKNOWN_KEY_CACHE_MAX = 10_000
/** A subject_ref in a header: as many characters as an account's may have. */
export const SUBJECT_CHARS_MAX = 255
/** Subjects kept resolved in memory: every user of a product that calls within a day or so. */
export const SUBJECT_CACHE_MAX = 100_000
/** A subject that nobody has is remembered so long: an account may be made for it any moment. */
export const UNKNOWN_SUBJECT_MS = 1_000
/** Secrets looked up by one statement, and waiting for it; past the latter 503. */
export const KEY_LOOKUP_BATCH_MAX = 256
export const KEY_LOOKUP_QUEUE_MAX = 10_000
/** Body of an operator's request. The largest is a price override of some kilobytes. */
export const ADMIN_BODY_BYTES_MAX = 256 * 1024
/** Shortest admin token: 16 characters of a password manager are beyond guessing. */
export const ADMIN_TOKEN_CHARS_MIN = 16
/** Rows of one page of a list. */
export const PAGE_MAX = 200
/** Looks at a suspected breach before it counts: a load or a posting may be under way. */
export const VERIFY_TRIES_MAX = 8
/** Time between two looks, longer than a sweep takes to load a changed account. */
export const VERIFY_RETRY_MS = 400
/** Holds, or findings of one check, that a report names; the rest is only counted. */
export const VERIFY_EVIDENCE_MAX = 100
/** One health check of a store. Load balancers give up after 2 s or more. */
export const HEALTH_CHECK_MS_MAX = 1_500
/** Pause of a background loop that fails over and over, at most. */
export const LOOP_BACKOFF_MS_MAX = 30_000
/** Values of one label of a metric: a deployment has some ten upstreams and protocols. */
export const LABEL_VALUES_MAX = 64
/** Answers kept with one posting transaction: bounds the memory of a statement on both sides. */
export const POST_BATCH_BYTES_MAX = 8 * 1024 * 1024
/** What a receipt counts as in the backlog, without its answer. Most are below 1 kB as JSON. */
export const POST_RECEIPT_BYTES = 1024
/** Between repeats of a batch while Postgres is away: quick for a failover, kind to a restart. */
export const POST_RETRY_MS_MIN = 50
export const POST_RETRY_MS_MAX = 5_000
/** Repeats of a batch that fails for a reason that is neither a row nor an outage. */
export const POST_STRANGE_TRIES_MAX = 3
/** Connections to Postgres of one process: posting needs two, look-ups and the admin API some. */
export const POSTGRES_POOL_MAX = 10
/** Age of the list behind `/v1/models`: making it walks the whole catalogue. */
export const MODEL_LIST_MS = 30_000
/** Price changes by another process's admin API are seen within this. */
export const PRICES_POLL_MS = 2_000
/** Expired answers of idempotent requests dropped in one round. */
export const IDEMPOTENT_DROP_MAX = 1_000
/** Clocks that differ by more are worth a warning: NTP keeps them within some milliseconds. */
export const CLOCK_SKEW_MS_MAX = 500
/** What counts as in use when the doctor looks for prices, and how many names it looks at. */
export const MODELS_IN_USE_MS = 7 * 24 * 3_600_000
export const MODELS_IN_USE_MAX = 500
/** Accounts whose lots are activated or expired in one round of the loop. */
export const LOTS_TURN_MAX = 500
/** Accounts whose entitlements are resolved again in one round of the loop. */
export const ENTITLEMENTS_TURN_MAX = 500
/** Payments and findings that the support view shows: what happened lately. */
export const SUPPORT_ROWS_MAX = 20
/** An exception that is longer than this is a plan. */
export const OVERRIDE_MS_MAX = 10 * 366 * 24 * 3_600_000
/** A stopping process tries so long to post what is settled; with Redis nothing is lost past it. */
export const SHUTDOWN_POST_MS_MAX = 10_000
/** The demo upstream is a small program of our own: it starts in some hundred milliseconds. */
export const DEMO_START_MS_MAX = 15_000
/** Promo credits of a quickstart account: 1 000 credits. */
export const QUICKSTART_MICROS = 1_000_000_000
/** How often a stopping server closes connections that fell idle: a deploy waits for the last. */
export const CLOSE_IDLE_MS = 50
/** A success page polls; Stripe is asked about one checkout at most this often. */
export const CHECKOUT_LOOK_MS_MIN = 1_000
/** Longest URL that every browser and Stripe take. */
export const URL_CHARS_MAX = 2_048
/** Stripe finalises and charges a renewal about an hour into the new period; until it is paid the
 * old period's credits are the only ones. */
export const INCLUDED_OVERLAP_MS = 2 * 3_600_000
/** Time to live of a hold for work elsewhere: above the sweeps' margin, below a forgotten day. */
export const WORK_TTL_S_MIN = 5
export const WORK_TTL_S_MAX = 86_400
/** Ends of such holds that a process decided and did not reach: looked for when so old. */
export const WORK_ENDING_MS = 10_000
export const WORK_ENDINGS_MAX = 100
/** Such holds are kept this long after their end, for late settles and repeated calls. */
export const WORK_KEPT_MS = 30 * 86_400_000
export const WORK_DROP_MAX = 1_000
/** Last pause, after 20 ms and their doubles: a row is written within a second, or not soon. */
export const WORK_TWIN_PAUSE_MS_MAX = 640
/** What a hold may carry for its maker: enough for ids, too little for a payload. */
export const WORK_METADATA_MAX = 20
