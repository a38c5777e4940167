import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { BillingHooks } from '../billing/hooks.ts'

/** From milliseconds to the hours that a late delivery takes. Alerts stand at 5 s. */
const PROCESSING_S = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600]

/** What waits in the inbox. */
export interface InboxState {
  readonly pending: number
  readonly dead: number
  /** Age of the event that waits longest, ms; 0 = none waits. */
  readonly oldestMs: number
}

export interface BillingMetrics extends BillingHooks {
  /** Reads the inbox's backlog at each scrape from now on; a failed read leaves the old value. */
  watchInbox(read: () => Promise<InboxState>): void
}

function watchInbox(registers: Registry[], read: () => Promise<InboxState>): void {
  const events = new Gauge({
    name: 'farebox_stripe_events',
    help: 'Events of Stripe that wait (pending) or were given up (dead).',
    labelNames: ['state'] as const,
    registers,
    async collect() {
      const state = await read().catch(() => null)
      if (state === null) return
      events.set({ state: 'pending' }, state.pending)
      events.set({ state: 'dead' }, state.dead)
      oldest.set(state.oldestMs / 1000)
    },
  })
  const oldest = new Gauge({
    name: 'farebox_stripe_oldest_event_seconds',
    help: 'Age of the event that waits longest.',
    registers,
  })
}

/** Source: issue of billing: alerts at answered < 99 %, processing > 5 s, duplicates > 5 %. */
export function makeBillingMetrics(registers: Registry[]): BillingMetrics {
  const deliveries = new Counter({
    name: 'farebox_stripe_deliveries_total',
    help: 'Webhook deliveries by result; stored, duplicate and ignored were answered 2xx.',
    labelNames: ['result'] as const,
    registers,
  })
  const processing = new Histogram({
    name: 'farebox_stripe_processing_seconds',
    help: 'From the arrival of an event to its effect, or to a failed try.',
    buckets: PROCESSING_S,
    labelNames: ['result'] as const,
    registers,
  })
  const usable = new Histogram({
    name: 'farebox_stripe_paid_to_usable_seconds',
    help: 'From Stripe’s payment to the posting of the credits.',
    buckets: PROCESSING_S,
    registers,
  })
  const notGranted = new Counter({
    name: 'farebox_stripe_not_granted_total',
    help: 'Payments that were made and could not be granted; each is an urgent finding.',
    registers,
  })
  return {
    delivery: (result) => {
      deliveries.inc({ result })
    },
    processed: (result, durationMs) => {
      processing.observe({ result }, durationMs / 1000)
    },
    usable: (durationMs) => {
      usable.observe(Math.max(0, durationMs) / 1000)
    },
    notGranted: () => {
      notGranted.inc()
    },
    watchInbox: (read) => {
      watchInbox(registers, read)
    },
  }
}
