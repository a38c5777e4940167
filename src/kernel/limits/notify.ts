/** Bounds of what customers and operators are told, each with its reason. */

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
