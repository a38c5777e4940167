/** Bounds of the usage that Stripe's meters are told, each with its reason. */

/** An hour is sealed this long after its end: receipts arrive within seconds, most of them. */
export const METER_SEAL_GRACE_MS = 120_000
/** How often sealing looks for what is due, and how many accounts a look takes. */
export const METER_SEAL_POLL_MS = 5_000
export const METER_SEAL_ACCOUNTS_MAX = 200
/** Receipts of one account sealed in one transaction: some 100 ms. The rest is the next one's. */
export const METER_SEAL_ROWS_MAX = 20_000
/** What one event of a meter may say: 15 digits. Source: stripe.md §4. */
export const METER_VALUE_MAX = 999_999_999_999_999
/** Calls of one process at once. Stripe takes 25 a second by default; one lasts some 200 ms. */
export const METER_LANES_AT_ONCE_MAX = 4
export const METER_SEND_POLL_MS = 500
/** Reports that one lane sends before others have their turn. */
export const METER_LANE_REPORTS_MAX = 50
/** Who holds a lane longer than this between two calls is taken for gone. */
export const METER_LEASE_MS = 120_000
export const METER_RETRY_MS_MIN = 1_000
export const METER_RETRY_MS_MAX = 600_000
/** Where the key is wrong or the meter does not exist, a person must act; this often is enough. */
export const METER_WAIT_MS = 300_000
/** A lane tells what it finds of its meter every METER_WAIT_MS. Untold for so long it is gone. */
export const METER_QUIET_MS = 3_600_000
/** Stripe knows an identifier for at least 24 h; less, for clocks and calls that hang. */
export const METER_IDENTIFIER_MS = 20 * 3_600_000
/** Stripe cancels events within 24 h of taking them; an hour less, for clocks. */
export const METER_CANCEL_MS_MAX = 23 * 3_600_000
/** Summaries lag behind events: only what is older than this is compared with them. */
export const METER_SUMMARY_LAG_MS = 3_600_000
/** Stripe takes events of the past 35 days; an hour less, for clocks. */
export const METER_AGE_MS_MAX = 35 * 24 * 3_600_000 - 3_600_000
/** Reports are compared and corrected for as long as Stripe takes events, and as long again. */
export const METER_KEPT_MS = 70 * 24 * 3_600_000
/** The longest period of an invoice is a year; its reports are needed until it is final. */
export const METER_PERIOD_MS_MAX = 400 * 24 * 3_600_000
/** A reversal takes back from meters what the outbox says a receipt added: those of a year. */
export const METER_RECEIPTS_KEPT_MS = 400 * 24 * 3_600_000
/** Reports that a finding names; it counts all of them. */
export const METER_NAMED_MAX = 50
/** Rows looked at in one transaction that prunes: some 20 ms, so that nothing waits for it. */
export const METER_PRUNE_ROWS_MAX = 2_000
/** Such transactions in one go: more than an hour of a busy deployment writes. */
export const METER_PRUNE_BATCHES_MAX = 200
export const METER_PRUNE_POLL_MS = 3_600_000
/** What is known of Stripe's meters is asked again after this. */
export const METER_DIRECTORY_MS = 60_000
/** Groups of a customer and hour compared in one look at a refused window; the rest is told. */
export const METER_CHECK_GROUPS_MAX = 1_000
/** How often refused times and stopped meters are looked at: they wait for an hour anyway. */
export const METER_CHECK_POLL_MS = 60_000
