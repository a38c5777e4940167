/** Bounds of what is exchanged with Stripe and with whoever is notified, each with its reason. */

/** One event of Stripe. The largest, invoices with many lines, stay below 300 kB. */
export const STRIPE_EVENT_BYTES_MAX = 1024 * 1024
/** Events stored with one commit: more than gather during one; a statement of some milliseconds. */
export const STRIPE_GROUP_EVENTS_MAX = 64
export const STRIPE_GROUP_BYTES_MAX = 4 * 1024 * 1024
/** Events that wait to be stored, in memory. Past it 503: Stripe comes again. */
export const STRIPE_WAITING_BYTES_MAX = 32 * 1024 * 1024
/** Age of a signature, either way: Stripe's own tolerance, for clocks and a slow network. */
export const STRIPE_SIGNATURE_AGE_MS_MAX = 300_000
/** One call of Stripe. Most take less than a second; creating a subscription some. */
export const STRIPE_CALL_MS_MAX = 20_000
/** Who works on an event longer than this is taken for gone: several calls and their repeats. */
export const STRIPE_EVENT_LEASE_MS = 120_000
/** Tries of one event; with the pauses below some ten hours, longer than Stripe has been away. */
export const STRIPE_EVENT_TRIES_MAX = 20
/** What an event names and Stripe has not is looked for so often: within half a minute. */
export const STRIPE_GONE_TRIES = 5
export const STRIPE_EVENT_RETRY_MS_MIN = 2_000
export const STRIPE_EVENT_RETRY_MS_MAX = 3_600_000
/** Events worked on at once by one process; each needs a connection only while it is written. */
export const STRIPE_EVENTS_AT_ONCE_MAX = 8
/** How often the inbox is looked into. A look that finds nothing costs one index probe. */
export const STRIPE_INBOX_POLL_MS = 200
/** Looks at one object in a row while other processes look at it too; each has one at a time. */
export const STRIPE_LOOKS_MAX = 16
/** Taken of each of Stripe's lists by one sync: 100 calls, half a minute. The rest comes next. */
export const STRIPE_SYNC_LISTED_MAX = 10_000
/** Stripe keeps events this long. Source: Stripe, API reference, events. */
export const STRIPE_EVENTS_KEPT_MS = 30 * 24 * 3_600_000
/** Events of this time are all there; of before, objects are listed. A day less, for edges. */
export const STRIPE_EVENTS_SURE_MS = 29 * 24 * 3_600_000
/** What was made longer ago changes no more: invoices are tried again for two months, and refunds
 * that fail do so within weeks. Disputes have a time of their own. */
export const STRIPE_CHANGES_MS = 62 * 24 * 3_600_000
/** One mail or webhook: a receiver that is slower is tried again. */
export const NOTIFICATION_SEND_MS_MAX = 10_000
/** Who sends one longer than this is taken for gone: a mail has three steps of the above. */
export const NOTIFICATION_LEASE_MS = 60_000
export const NOTIFICATIONS_AT_ONCE_MAX = 8
/** Tries of one notification; with the pauses below some three days. */
export const NOTIFICATION_TRIES_MAX = 20
export const NOTIFICATION_RETRY_MS_MIN = 5_000
export const NOTIFICATION_RETRY_MS_MAX = 6 * 3_600_000
/** How often the outbox is looked into. A look that finds nothing costs one index probe. */
export const NOTIFICATION_POLL_MS = 500
/** How often findings are looked at, how many at once, and how far back after an upgrade. */
export const ALERT_POLL_MS = 10_000
export const ALERT_FINDINGS_MAX = 100
/** Findings told one by one within an hour: more have one cause mostly, and bury the first. */
export const ALERTS_AN_HOUR_MAX = 30
export const ALERT_FINDINGS_MS = 24 * 3_600_000
/** Stripe forgets an idempotency key after 24 h; an hour less, for clocks and slow calls. */
export const STRIPE_KEY_KEPT_MS = 23 * 3_600_000
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
/** How often low accounts that posting named are looked at, and how many it may name between. */
export const RECHARGE_TICK_MS = 250
export const RECHARGE_HINTS_MAX = 20_000
/** How often all recharges are looked at, for what a process that ended had noticed. */
export const RECHARGE_SWEEP_MS = 10_000
/** Attempts planned in one transaction, and worked on at once by one process. */
export const RECHARGE_PLANNED_MAX = 200
export const RECHARGES_AT_ONCE_MAX = 8
/** Who works on an attempt longer than this is taken for gone: three calls and their repeats. */
export const RECHARGE_LEASE_MS = 300_000
/** Tries to learn what became of a call; doubles within these. */
export const RECHARGE_RETRY_MS_MIN = 2_000
export const RECHARGE_RETRY_MS_MAX = 600_000
/** A processing payment tells by webhook; should that get lost, it is looked at so often. */
export const RECHARGE_OPEN_LOOK_MS = 3_600_000
/** A payment that waits for its payer is given up after this: off session nobody comes. */
export const RECHARGE_ACTION_MS_MAX = 24 * 3_600_000
/** A call so long ago is over on Stripe's side, whatever became of it. */
export const RECHARGE_QUIET_MS = 300_000
/** Between two attempts of an account: a balance that does not rise must not empty a card. */
export const RECHARGE_PAUSE_MS = 5_000
/** Next attempt after one that failed for a reason that is not the card's. */
export const RECHARGE_TROUBLE_MS = 600_000
/** Declines in a row until another card is wanted, and the pauses between; the card networks
 * take many more tries than that for abuse. */
export const RECHARGE_DECLINES_MAX = 3
export const RECHARGE_DECLINE_MS_MIN = 6 * 3_600_000
export const RECHARGE_DECLINE_MS_MAX = 48 * 3_600_000
/** Attempts that are shown. */
export const RECHARGE_ATTEMPTS_SHOWN = 10
/** How often refused times and stopped meters are looked at: they wait for an hour anyway. */
export const METER_CHECK_POLL_MS = 60_000
/** Who claimed a key may have the answer again so long: a lost answer, a browser started anew. */
export const CLAIM_AGAIN_MS = 600_000
/** Links that nobody ever made, asked for at one process within a second: more is guessing. */
export const CLAIM_MISSES_PER_S_MAX = 20
/** A claim's form holds one number of 43 characters. */
export const CLAIM_FORM_BYTES_MAX = 1_024
/** How far alerts of billing look back, how often, and how long a day's counts are kept. */
export const BILLING_WINDOW_MS = 300_000
export const BILLING_WATCH_MS = 15_000
export const BILLING_COUNTS_KEPT_MS = 24 * 3_600_000
/** What is seen again within an hour is the same occasion: who tries secrets tries on. */
export const BILLING_QUIET_MS = 3_600_000
/** A share of fewer says nothing. */
export const BILLING_COUNT_MIN = 20
export const BILLING_HITS_MIN = 3
/** Longer, an event or a payment is late; one that nobody has taken up by then is stuck. */
export const BILLING_PROCESSING_MS_MAX = 5_000
export const BILLING_USABLE_MS_MAX = 60_000
export const BILLING_WAITING_MS_MAX = 60_000
/** How often passed periods are looked for, and how many a process reads again in one round. */
export const RENEWALS_TICK_MS = 15_000
export const RENEWALS_AT_ONCE_MAX = 20
/** Between two reads of one: soon, for clocks that differ by minutes; later while it stays so. */
export const RENEWAL_AGAIN_MS = 120_000
export const RENEWAL_AGAIN_LATER_MS = 3_600_000
export const RENEWAL_SOON_MS = 3_600_000
/** The end of a trial is told so long before, as Stripe's own event of it comes. */
export const TRIAL_NOTICE_MS = 3 * 24 * 3_600_000
/** So many products Stripe lets customers change between in its portal. */
export const PORTAL_PRODUCTS_MAX = 10
/** How long a process goes on with the portal's settings that it found: they change by hand. */
export const PORTAL_FOUND_MS = 300_000
/** Past this nobody waits for the news of a period any more; reconciliation compares the rest. */
export const RENEWAL_GIVEN_UP_MS = 3 * 24 * 3_600_000
