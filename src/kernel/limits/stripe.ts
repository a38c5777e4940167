/** Bounds of what is exchanged with Stripe, each with its reason. */

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
/** Stripe forgets an idempotency key after 24 h; an hour less, for clocks and slow calls. */
export const STRIPE_KEY_KEPT_MS = 23 * 3_600_000
/** A success page polls; Stripe is asked about one checkout at most this often. */
export const CHECKOUT_LOOK_MS_MIN = 1_000
/** Longest URL that every browser and Stripe take. */
export const URL_CHARS_MAX = 2_048
/** Stripe finalises and charges a renewal about an hour into the new period; until it is paid the
 * old period's credits are the only ones. */
export const INCLUDED_OVERLAP_MS = 2 * 3_600_000
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
/** How often passed periods are looked for, and how many a process reads again in one round. */
export const RENEWALS_TICK_MS = 15_000
export const RENEWALS_AT_ONCE_MAX = 20
/** Between two reads of one: soon, for clocks that differ by minutes; later while it stays so. */
export const RENEWAL_AGAIN_MS = 120_000
export const RENEWAL_AGAIN_LATER_MS = 3_600_000
export const RENEWAL_SOON_MS = 3_600_000
/** Past this nobody waits for the news of a period any more; reconciliation compares the rest. */
export const RENEWAL_GIVEN_UP_MS = 3 * 24 * 3_600_000
/** The end of a trial is told so long before, as Stripe's own event of it comes. */
export const TRIAL_NOTICE_MS = 3 * 24 * 3_600_000
/** So many products Stripe lets customers change between in its portal. */
export const PORTAL_PRODUCTS_MAX = 10
/** How long a process goes on with the portal's settings that it found: they change by hand. */
export const PORTAL_FOUND_MS = 300_000
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
