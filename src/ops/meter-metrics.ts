import { Counter, Gauge, type Registry } from 'prom-client'

/** Usage on its way to Stripe. */
export interface MeterBacklog {
  /** Receipts not sealed yet. */
  readonly open: number
  /** Reports that are not with Stripe, by state. */
  readonly ready: number
  readonly refused: number
  readonly late: number
  readonly unclear: number
  /** Age of the oldest usage that Stripe was not told of and still will be, ms; 0 = none. */
  readonly oldestMs: number
}

export interface MeterMetrics {
  /** One call that told Stripe something. */
  meterCalled(result: string): void
  /** Reads the backlog at each scrape from now on; a failed read leaves the old value. */
  watchMeters(read: () => Promise<MeterBacklog>): void
}

const STATES = ['ready', 'refused', 'late', 'unclear'] as const

/** The age of what waits for Stripe, and rows by state. Source: design §7 (metered usage). */
export function makeMeterMetrics(registers: Registry[]): MeterMetrics {
  const calls = new Counter({
    name: 'farebox_meter_calls_total',
    help: 'Meter events sent to Stripe, by what became of the call.',
    labelNames: ['result'] as const,
    registers,
  })
  return {
    meterCalled: (result) => {
      calls.inc({ result })
    },
    watchMeters(read) {
      const open = new Gauge({
        name: 'farebox_meter_outbox_receipts',
        help: 'Receipts whose usage is not sealed yet.',
        registers,
      })
      const oldest = new Gauge({
        name: 'farebox_meter_oldest_seconds',
        help: 'Age of the oldest usage that Stripe was not told of yet.',
        registers,
      })
      const reports = new Gauge({
        name: 'farebox_meter_reports',
        help: 'Sealed usage that Stripe does not have, by state; only ready will be sent.',
        labelNames: ['state'] as const,
        registers,
        async collect() {
          const backlog = await read().catch(() => null)
          if (backlog === null) return
          for (const state of STATES) reports.set({ state }, backlog[state])
          open.set(backlog.open)
          oldest.set(backlog.oldestMs / 1000)
        },
      })
    },
  }
}
