import type Stripe from 'stripe'
import type { Clock } from '../kernel/clock.ts'
import { METER_DIRECTORY_MS } from '../kernel/limits/meters.ts'

/** A meter as Stripe has it. */
export interface StripeMeter {
  readonly id: string
  readonly eventName: string
  readonly isActive: boolean
  /** How it counts what it is told: we tell it what is to be added up. */
  readonly formula: string
  /** Of which only the last event would count; null = every event does. */
  readonly window: string | null
  readonly customerKey: string
  readonly valueKey: string
}

/** What Stripe says of its meters, METER_DIRECTORY_MS old at most. Throws where it is not there. */
export interface MeterDirectory {
  /** The active one, else an inactive one; null = there is none. */
  byEvent(eventName: string): Promise<StripeMeter | null>
  byId(id: string): Promise<StripeMeter | null>
  /** Asks again, whatever was known. */
  refresh(): Promise<void>
  /** Of a customer in [fromS, toS), by the hour (Unix s of its start); both on whole hours. */
  summaries(meterId: string, customer: string, fromS: number, toS: number): Promise<HourlySums>
}

export type HourlySums = ReadonlyMap<number, number>

/** More meters than an account may have, and more hours than are ever asked for at once. */
const LIST_MAX = 10_000

const read = (meter: Stripe.Billing.Meter): StripeMeter => ({
  id: meter.id,
  eventName: meter.event_name,
  isActive: meter.status === 'active',
  formula: meter.default_aggregation.formula,
  window: meter.event_time_window,
  customerKey: meter.customer_mapping.event_payload_key,
  valueKey: meter.value_settings.event_payload_key,
})

export function makeMeterDirectory(deps: {
  readonly stripe: Pick<Stripe, 'billing'>
  readonly clock: Clock
}): MeterDirectory {
  const { clock } = deps
  const { meters } = deps.stripe.billing
  let known: { readonly all: readonly StripeMeter[]; readonly atMs: number } | null = null

  async function load(): Promise<readonly StripeMeter[]> {
    const all = await meters.list({ limit: 100 }).autoPagingToArray({ limit: LIST_MAX })
    known = { all: all.map(read), atMs: clock.monotonicMs() }
    return known.all
  }
  const all = async (): Promise<readonly StripeMeter[]> =>
    known === null || clock.monotonicMs() - known.atMs > METER_DIRECTORY_MS ? load() : known.all

  return {
    async byEvent(eventName) {
      const named = (await all()).filter((meter) => meter.eventName === eventName)
      return named.find(({ isActive }) => isActive) ?? named[0] ?? null
    },
    async byId(id) {
      return (await all()).find((meter) => meter.id === id) ?? null
    },
    async refresh() {
      await load()
    },
    async summaries(meterId, customer, fromS, toS) {
      const sums = new Map<number, number>()
      const window = { customer, start_time: fromS, end_time: toS, limit: 100 }
      const grouped = { ...window, value_grouping_window: 'hour' as const }
      for await (const one of meters.listEventSummaries(meterId, grouped)) {
        sums.set(one.start_time, one.aggregated_value)
      }
      return sums
    },
  }
}
