import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { BillingHooks } from '../billing/hooks.ts'
import { RECHARGE_STATES } from '../billing/recharge/rows.ts'
import { MICROS_PER_CREDIT } from '../kernel/money.ts'

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
  /** Reads how many accounts stand where at each scrape; a failed read leaves the old values. */
  watchRecharges(read: () => Promise<ReadonlyMap<string, number>>): void
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

type RechargeMetrics = Pick<BillingMetrics, 'recharged' | 'watchRecharges'>

function rechargeMetrics(registers: Registry[]): RechargeMetrics {
  const attempts = new Counter({
    name: 'farebox_recharge_attempts_total',
    help: 'Attempts to recharge that ended, by outcome: succeeded, or why not.',
    labelNames: ['outcome'] as const,
    registers,
  })
  const credits = new Counter({
    name: 'farebox_recharge_credits_total',
    help: 'Credits that recharges brought.',
    registers,
  })
  return {
    recharged({ outcome, micros }) {
      attempts.inc({ outcome })
      credits.inc(micros / MICROS_PER_CREDIT)
    },
    watchRecharges(read) {
      const accounts = new Gauge({
        name: 'farebox_recharge_accounts',
        help: 'Accounts by their recharge: on, blocked (waits for another card) or off.',
        labelNames: ['state'] as const,
        registers,
        async collect() {
          const counts = await read().catch(() => null)
          if (counts === null) return
          for (const state of RECHARGE_STATES) accounts.set({ state }, counts.get(state) ?? 0)
        },
      })
    },
  }
}

/** What alerts stand on: answered < 99 %, processing > 5 s, duplicates > 5 %. */
export function makeBillingMetrics(registers: Registry[]): BillingMetrics {
  const deliveries = new Counter({
    name: 'farebox_stripe_deliveries_total',
    help: 'Webhook deliveries by result; stored, duplicate and ignored were answered 2xx.',
    labelNames: ['result'] as const,
    registers,
  })
  const processing = new Histogram({
    name: 'farebox_stripe_processing_seconds',
    help: 'From the delivery of an event to its effect or a failed try; not of syncs and replays.',
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
    ...rechargeMetrics(registers),
    delivery: (result) => {
      deliveries.inc({ result })
    },
    processed: (result, durationMs) => {
      if (durationMs !== null) processing.observe({ result }, durationMs / 1000)
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
