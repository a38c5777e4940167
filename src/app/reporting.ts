import type { Watch } from '../billing/effects/effects.ts'
import type { Others } from '../billing/effects/of-event.ts'
import { makeFindings } from '../billing/findings.ts'
import { makeStripe } from '../billing/stripe.ts'
import type { Reload } from '../access/reload.ts'
import type { Config, Environment } from '../config.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import {
  METER_CHECK_POLL_MS,
  METER_PRUNE_POLL_MS,
  METER_SEAL_POLL_MS,
  METER_SEND_POLL_MS,
} from '../kernel/limits/meters.ts'
import type { Log } from '../kernel/log.ts'
import type { Loops } from '../ops/loops.ts'
import type { MeterMetrics } from '../ops/meter-metrics.ts'
import {
  makeMeterOutbox,
  makeReporting,
  type MeterOutbox,
  type Reporting,
} from '../reporting/reporting.ts'
import { makeMeterViews, type MeterViews } from '../reporting/status.ts'
import type { Db } from '../store/db.ts'

/** Usage on its way to Stripe: what postings write of it, and who sends it. */
export interface UsageOut extends Pick<MeterOutbox, 'alongside' | 'reversed'> {
  readonly views: MeterViews
  /** null = no Stripe key is set: usage waits in the outbox. */
  readonly reporting: Reporting | null
  /** What it hears of Stripe. */
  readonly heard: { readonly watch?: Watch; readonly others?: Others }
  configure(config: Config): void
}

export function makeUsageOut(parts: {
  readonly environment: Pick<Environment, 'stripe'>
  readonly config: Config
  readonly db: Db
  readonly metrics: MeterMetrics
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
}): UsageOut {
  const { environment, db, ids, clock, metrics } = parts
  const outbox = makeMeterOutbox(parts.config)
  const views = makeMeterViews({ db, clock })
  metrics.watchMeters(() => views.backlog())
  const findings = makeFindings({ db, ids, clock })
  const reporting =
    environment.stripe === null
      ? null
      : makeReporting({
          ...parts,
          stripe: makeStripe(environment.stripe),
          book: outbox.book,
          note: (finding, tx) => findings.note(finding, tx),
          random: Math.random,
          onCall: (result) => {
            metrics.meterCalled(result)
          },
        })
  return { ...outbox, views, reporting, heard: reporting === null ? {} : heardBy(reporting, clock) }
}

const heardBy = ({ watch, news }: Reporting, clock: Clock): UsageOut['heard'] => ({
  watch,
  others: async (event) => {
    const write = await news(event)
    return write === null ? null : (tx) => write(tx, clock.now())
  },
})

export function startReportingLoops(loops: Loops, reporting: Reporting, reload: Reload): void {
  const { reporter } = reporting
  loops.start({
    name: 'meter-seal',
    periodMs: METER_SEAL_POLL_MS,
    jitter: 0.5,
    run: async () => {
      await reporting.seal()
    },
  })
  loops.start({ name: 'meter-fit', periodMs: METER_CHECK_POLL_MS, run: () => reporting.fit() })
  loops.start({
    name: 'meter-prune',
    periodMs: METER_PRUNE_POLL_MS,
    jitter: 0.5,
    run: async () => {
      await reporting.prune()
    },
  })
  loops.start({ name: 'meter-send', periodMs: METER_SEND_POLL_MS, run: () => reporter.tick() })
  loops.start({
    name: 'meter-check',
    periodMs: METER_CHECK_POLL_MS,
    run: async () => {
      for (const accountId of await reporting.check()) await reload(accountId)
    },
  })
}
