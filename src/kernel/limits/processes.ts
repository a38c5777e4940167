/** Bounds of the processes themselves, each with its reason. */

/** Pause before a worker that ended is started again; doubles while it keeps ending young. */
export const WORKER_RESTART_MS_MIN = 200
export const WORKER_RESTART_MS_MAX = 30_000
/** A worker that lived so long was well: its next restart is quick again. */
export const WORKER_STEADY_MS = 60_000
/** What a worker may take beyond `shutdown_ms`: two rounds of SHUTDOWN_POST_MS_MAX, and closing. */
export const WORKER_STOP_GRACE_MS = 30_000
/** A busy worker that does not give its metrics in this time is left out of a scrape. */
export const WORKER_METRICS_MS_MAX = 1_000
/** One health check of a store. Load balancers give up after 2 s or more. */
export const HEALTH_CHECK_MS_MAX = 1_500
/** Pause of a background loop that fails over and over, at most. */
export const LOOP_BACKOFF_MS_MAX = 30_000
/** Values of one label of a metric: a deployment has some ten upstreams and protocols. */
export const LABEL_VALUES_MAX = 64
/** A stopping process tries so long to post what is settled; with Redis nothing is lost past it. */
export const SHUTDOWN_POST_MS_MAX = 10_000
/** The demo upstream is a small program of our own: it starts in some hundred milliseconds. */
export const DEMO_START_MS_MAX = 15_000
/** Promo credits of a quickstart account: 1 000 credits. */
export const QUICKSTART_MICROS = 1_000_000_000
/** How often a stopping server closes connections that fell idle: a deploy waits for the last. */
export const CLOSE_IDLE_MS = 50
