/** Bounds of audits, reconciliation and margins, each with its reason. */

/** Read of a CSV file to tell its separator and encoding: headings are shorter. */
export const CSV_HEAD_BYTES = 64 * 1024
/** One row of a CSV file. A quote that is never closed must not take the rest into memory. */
export const CSV_RECORD_BYTES_MAX = 1024 * 1024
/** Examples of each oddity that the offline audit names: enough to find the cause. */
export const AUDIT_EXAMPLES_MAX = 10
/** Different plans, prices and words of an export that are kept once: more than any has. */
export const AUDIT_POOL_MAX = 1_000
/** Payment is tried again this long unless told: Stripe's smart retries take two weeks. */
export const AUDIT_GRACE_DAYS = 14
/** Findings shown in a terminal; the files have all. */
export const AUDIT_TABLE_ROWS_MAX = 200
/** Young objects of the offline audit: 200 000 rows a side must fit in 300 MB altogether. */
export const AUDIT_YOUNG_MB = 16
/** What is younger is not judged: its news may be on their way. Source: design §6. */
export const RECONCILE_QUARANTINE_MS = 600_000
/** One step of a run: short enough to be one request, and for another process to take over. */
export const RECONCILE_STEP_MS = 15_000
/** Who is silent this long within a step is taken for gone: a page with slow calls of Stripe's. */
export const RECONCILE_LEASE_MS = 120_000
/** Failures of one page before its check is left out with a finding: half an hour of pauses. */
export const RECONCILE_PAGE_TRIES_MAX = 10
/** Rows of one statement that compares whole tables: more of a kind is one cause. */
export const RECONCILE_ROWS_MAX = 1_000
/** Pause between two payments that are looked at: some five calls each, of 25 a second. */
export const RECONCILE_PAUSE_MS = 200
/** A scheduled run looks back this far: what the hour missed, and what the month did. */
export const RECONCILE_HOURLY_MS = 3 * 86_400_000
export const RECONCILE_NIGHTLY_MS = 40 * 86_400_000
/** How often a process sees whether a run is due or to be taken up. */
export const RECONCILE_POLL_MS = 30_000
/** After a start or a sleep, before a run is begun. */
export const RECONCILE_CATCH_UP_MS = 120_000
/** Payments of one page: each is five calls of Stripe's, and a page must end within a lease. */
export const RECONCILE_LOOKS_MAX = 25
/** Subscriptions that are listed to see a page of ours; what is left is asked for by name. */
export const RECONCILE_LISTED_MAX = 2_000
/** Subscriptions of ours in one page: each that Stripe's list does not have is one call. */
export const RECONCILE_SUBSCRIPTIONS_MAX = 100
/** A statement that compares a table, or a page of accounts: apart from the request path. */
export const RECONCILE_STATEMENT_MS_MAX = 60_000
/** Usage waits this long to be told before it is a finding: reporting may be hours behind. */
export const RECONCILE_USAGE_MS = 24 * 3_600_000
/** Usage this old is urgent: a fortnight later Stripe takes it no more. */
export const RECONCILE_USAGE_LATE_MS = 21 * 86_400_000
/** An invoice is final within hours of its period's end, within three days where events fail. */
export const RECONCILE_UNBILLED_MS = 4 * 86_400_000
/** Where nothing says when a period ends it is a month, and the days of its draft. */
export const RECONCILE_UNBILLED_MS_MAX = 40 * 86_400_000
/** A page of meters asks no longer than this: how many calls a customer takes is not known. */
export const RECONCILE_METERS_MS = 10_000
/** Entries or receipts that one statement of a check reads: 100 ms, a second where all is busy. */
export const LEDGER_CHECK_ROWS_MAX = 10_000
/** A statement of a check of the ledger: ten times what so many rows take at the worst. */
export const LEDGER_CHECK_MS_MAX = 10_000
/** Accounts whose spend by key and day is summed in memory at once. */
export const KEY_SPEND_ACCOUNTS_MAX = 25
/** Events of the quarantine's ten minutes that are read: 100 calls, while the lease lasts. */
export const QUARANTINE_EVENTS_MAX = 10_000
/** A dispute moves money this long after it began: card networks take up to four months. */
export const DISPUTE_OPEN_MS = 120 * 86_400_000
/** Days of one report of margins: two years' months side by side, and each a statement. */
export const MARGIN_PARTS_MAX = 800
/** Statement of one day of margins: some million requests a second, apart from the request path. */
export const MARGIN_PART_MS_MAX = 60_000
/** Groups that one report adds up in memory, 1 KB each. */
export const MARGIN_GROUPS_MAX = 100_000
/** A report of margins looks back this many UTC days where it is told nothing, today included. */
export const MARGIN_DAYS_DEFAULT = 30
/** Rows of an export of costs whose repetition is told: some 100 MB of memory. */
export const COST_ROWS_MAX = 1_000_000
/** Days and models of an export of costs: a year of a hundred models and more. */
export const COST_GROUPS_MAX = 100_000
/** Models of one day: those of a day are compared in one request of the admin API. */
export const COST_DAY_MODELS_MAX = 1_000
/** Days of receipts summed in one request: their receipts are read. */
export const COST_DAYS_MAX = 31
/** Providers count usage late: a day is over for an export when it ended this long before. */
export const COST_SETTLED_MS = 3 * 3_600_000
/** Looks at a suspected breach before it counts: a load or a posting may be under way. */
export const VERIFY_TRIES_MAX = 8
/** Time between two looks, longer than a sweep takes to load a changed account. */
export const VERIFY_RETRY_MS = 400
/** Holds, or findings of one check, that a report names; the rest is only counted. */
export const VERIFY_EVIDENCE_MAX = 100
/** Clocks that differ by more are worth a warning: NTP keeps them within some milliseconds. */
export const CLOCK_SKEW_MS_MAX = 500
