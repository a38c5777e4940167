import type { Log } from '../kernel/log.ts'
import type { Meter, MeterBook } from './config.ts'
import type { MeterDirectory, StripeMeter } from './directory.ts'

/** What of a meter of Stripe's decides whether it counts what it is told. */
export type MeterShape = Pick<
  StripeMeter,
  'isActive' | 'formula' | 'window' | 'customerKey' | 'valueKey'
>

/** Why a meter cannot be told anything; null = it can. Source: stripe.md §4. */
export function whyUnfit(meter: MeterShape | null): string | null {
  if (meter === null) return 'Stripe has no meter of this event name'
  const { formula, window } = meter
  if (formula !== 'sum') return `the meter does not add up: its aggregation is ${formula}, not sum`
  if (window !== null) return `the meter keeps one event a ${window}: its event_time_window is set`
  return meter.isActive ? null : 'the meter is not active'
}

/** Dimensions that would be taken for the customer or the value; null = none. */
export function whyHidden(meter: MeterShape, dimensions: readonly string[]): string | null {
  const own = dimensions.find((key) => key === meter.customerKey || key === meter.valueKey)
  return own === undefined ? null : `the meter reads ${own} itself: no dimension can be called so`
}

const keysOf = ({ dimensions }: Meter): string[] => dimensions.map(([key]) => key)

/** A configured meter as doctor asks for it: several may share an event's name. */
export interface ExpectedMeter {
  readonly eventName: string
  readonly dimensions: readonly string[]
}

export function expectedMeters({ meters }: MeterBook): ExpectedMeter[] {
  const byEvent = Map.groupBy(meters, ({ eventName }) => eventName)
  return [...byEvent]
    .map(([eventName, of]) => ({ eventName, dimensions: [...new Set(of.flatMap(keysOf))] }))
    .toSorted((a, b) => (a.eventName < b.eventName ? -1 : 1))
}

/**
 * Warns of configured meters that Stripe does not have as they must be; once for each
 * configuration, and again after a call that failed. Throws where Stripe is not there: nothing
 * waits for it.
 */
export function makeMeterFit(deps: {
  readonly directory: Pick<MeterDirectory, 'byEvent'>
  readonly book: () => MeterBook
  readonly log: Log
}) {
  let seen: MeterBook | null = null
  return async (): Promise<void> => {
    const book = deps.book()
    if (book === seen) return
    for (const { eventName, dimensions } of expectedMeters(book)) {
      const meter = await deps.directory.byEvent(eventName)
      const why = whyUnfit(meter) ?? (meter === null ? null : whyHidden(meter, dimensions))
      if (why !== null) deps.log.warn({ meter: eventName, reason: why }, 'usage waits for a meter')
    }
    seen = book
  }
}
