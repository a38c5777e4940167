/** Bounds of audits and reconciliation, each with its reason. */

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
