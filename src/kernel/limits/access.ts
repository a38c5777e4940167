/** Bounds of accounts, keys, subjects and what they may, each with its reason. */

/** Keys kept resolved in memory; an LRU, 1 kB each. */
export const KEY_CACHE_MAX = 50_000
/** Looks for changed keys and accounts: a revocation is to reach every process within a second. */
export const KEY_POLL_MS = 400
/** A cached key is read again after this, in the background, should no change have been told. */
export const KEY_FRESH_MS = 60_000
/** Secrets looked up by one statement, and waiting for it; past the latter 503. */
export const KEY_LOOKUP_BATCH_MAX = 256
export const KEY_LOOKUP_QUEUE_MAX = 10_000
/** Secrets that open nothing: remembered so long, and so many, so that guessing stays cheap. */
export const UNKNOWN_KEY_MS = 5_000
export const UNKNOWN_KEY_CACHE_MAX = 10_000
/** A subject that nobody has is remembered so long: an account may be made for it any moment. */
export const UNKNOWN_SUBJECT_MS = 1_000
/** A subject_ref in a header: as many characters as an account's may have. */
export const SUBJECT_CHARS_MAX = 255
/** Subjects kept resolved in memory: every user of a product that calls within a day or so. */
export const SUBJECT_CACHE_MAX = 100_000
/** How far each look reaches back: longest transaction plus the clocks' difference (doctor). */
export const CHANGES_OVERLAP_MS = 15_000
/** Changed rows read at once. */
export const CHANGES_PAGE_MAX = 1_000
/** Body of an operator's request. The largest is a price override of some kilobytes. */
export const ADMIN_BODY_BYTES_MAX = 256 * 1024
/** Shortest admin token: 16 characters of a password manager are beyond guessing. */
export const ADMIN_TOKEN_CHARS_MIN = 16
/** Rows of one page of a list. */
export const PAGE_MAX = 200
/** Accounts whose entitlements are resolved again in one round of the loop. */
export const ENTITLEMENTS_TURN_MAX = 500
/** An exception that is longer than this is a plan. */
export const OVERRIDE_MS_MAX = 10 * 366 * 24 * 3_600_000
/** Payments and findings that the support view shows: what happened lately. */
export const SUPPORT_ROWS_MAX = 20
/** Who claimed a key may have the answer again so long: a lost answer, a browser started anew. */
export const CLAIM_AGAIN_MS = 600_000
/** Links that nobody ever made, asked for at one process within a second: more is guessing. */
export const CLAIM_MISSES_PER_S_MAX = 20
/** A claim's form holds one number of 43 characters. */
export const CLAIM_FORM_BYTES_MAX = 1_024
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
