import type { CachingAuthenticator } from '../access/authenticator.ts'
import type { KeyRows } from '../gateway/idempotency/rows.ts'
import type { StoredIds } from '../gateway/stored/stored-ids.ts'
import type { Clock } from '../kernel/clock.ts'
import { KEY_POLL_MS } from '../kernel/limits/access.ts'
import { RECONCILE_POLL_MS } from '../kernel/limits/books.ts'
import { CHANGED_SWEEP_MS, RENEW_TICK_MS } from '../kernel/limits/holds.ts'
import { IDEMPOTENT_DROP_MAX } from '../kernel/limits/idempotency.ts'
import { PRICES_POLL_MS } from '../kernel/limits/models.ts'
import { ALERT_POLL_MS, NOTIFICATION_POLL_MS } from '../kernel/limits/notify.ts'
import { LOTS_TURN_MAX } from '../kernel/limits/posting.ts'
import {
  BILLING_WATCH_MS,
  RECHARGE_TICK_MS,
  RENEWALS_TICK_MS,
  STRIPE_INBOX_POLL_MS,
} from '../kernel/limits/stripe.ts'
import type { Log } from '../kernel/log.ts'
import { loadTurned } from '../ledger/turn-each.ts'
import { makeLoops, type Loops } from '../ops/loops.ts'
import type { Metrics } from '../ops/metrics.ts'
import type { Reconcile } from '../reconcile/run.ts'
import { makeSchedule } from '../reconcile/schedule.ts'
import type { Billing } from './billing.ts'
import type { Core } from './credits.ts'
import type { Notify } from './notify.ts'
import type { Prices } from './prices.ts'
import { startReportingLoops, type UsageOut } from './reporting.ts'

/** Loops whose rounds the metrics count. */
export const makeCountedLoops = (deps: {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}): Loops =>
  makeLoops({
    ...deps,
    random: Math.random,
    onRun: (...run) => {
      deps.metrics.loopRan(...run)
    },
  })

/** Everything that runs beside requests, each with the period that its promise needs. */
export function startLoops(deps: {
  loops: Loops
  core: Core
  prices: Prices
  authenticator: CachingAuthenticator
  keyRows: KeyRows
  billing: Billing | null
  notify: Notify
  usage: UsageOut
  stored: StoredIds
  reconcile: Reconcile
  clock: Clock
  leaseMs: number
}): void {
  const { loops, core, prices, clock } = deps
  const { credits, books, reload } = core
  loops.start({
    name: 'renew',
    periodMs: RENEW_TICK_MS,
    run: () => credits.renewals.tick(),
  })
  loops.start({
    name: 'recover',
    periodMs: deps.leaseMs / 3,
    run: async () => {
      await credits.recovery.sweep()
    },
  })
  loops.start({ name: 'changes', periodMs: CHANGED_SWEEP_MS, run: () => credits.changes.sweep() })
  loops.start({ name: 'keys', periodMs: KEY_POLL_MS, run: () => deps.authenticator.poll() })
  loops.start({
    name: 'prices',
    periodMs: PRICES_POLL_MS,
    run: async () => {
      await prices.refresh()
      await prices.record()
    },
  })
  loops.start({
    name: 'lots',
    periodMs: 1_000,
    run: async () => {
      await loadTurned(await books.turn(clock.now(), LOTS_TURN_MAX), reload)
    },
  })
  loops.start({
    name: 'expired',
    periodMs: 60_000,
    run: () => dropExpired(deps),
  })
  startTellingLoops(deps)
  startStripeLoops(deps)
}

async function dropExpired(deps: {
  keyRows: KeyRows
  stored: StoredIds
  clock: Clock
}): Promise<void> {
  await deps.keyRows.dropExpired(deps.clock.now(), IDEMPOTENT_DROP_MAX)
  await deps.stored.dropExpired()
}

function startTellingLoops(deps: {
  loops: Loops
  reconcile: Reconcile
  notify: Notify
  clock: Clock
}): void {
  const { loops, reconcile, notify, clock } = deps
  const run = makeSchedule(reconcile, clock)
  loops.start({ name: 'reconcile', periodMs: RECONCILE_POLL_MS, run })
  loops.start({
    name: 'notifications',
    periodMs: NOTIFICATION_POLL_MS,
    run: () => notify.sender.tick(),
  })
  loops.start({ name: 'alerts', periodMs: ALERT_POLL_MS, run: () => notify.alert() })
}

function startStripeLoops(deps: {
  loops: Loops
  core: Core
  billing: Billing | null
  usage: UsageOut
}): void {
  const { loops, billing, usage } = deps
  if (usage.reporting !== null) startReportingLoops(loops, usage.reporting, deps.core.reload)
  if (billing === null) return
  const { worker, recharges, renewals, health } = billing
  loops.start({ name: 'stripe-inbox', periodMs: STRIPE_INBOX_POLL_MS, run: () => worker.tick() })
  loops.start({
    name: 'renewals',
    periodMs: RENEWALS_TICK_MS,
    run: async () => {
      await renewals()
    },
  })
  loops.start({ name: 'stripe-health', periodMs: BILLING_WATCH_MS, run: () => health.tick() })
  loops.start({ name: 'recharges', periodMs: RECHARGE_TICK_MS, run: () => recharges.tick() })
}
