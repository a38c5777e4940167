import type { ConditionalPrice, ModelPrice } from '@pydantic/genai-prices'
import { DAY_MS } from '../kernel/clock.ts'
import { invariant } from '../kernel/invariant.ts'

/** The prices that rule at one moment, and from when until when nothing else does. */
export interface DatedPrices {
  readonly prices: ModelPrice
  /** Unix ms, inclusive; −∞ = always so far. */
  readonly fromMs: number
  /** Unix ms, exclusive; ∞ = no change is known. */
  readonly untilMs: number
}

/** "16:30:00Z" as milliseconds after midnight UTC. */
function timeOfDayMs(text: string): number {
  const match = /^(\d{2}):(\d{2})(?::(\d{2}))?(?:Z|\+00:00)?$/.exec(text)
  invariant(match !== null, `the catalogue has an unknown time of day: ${text}`)
  const [, hours = '0', minutes = '0', seconds = '0'] = match
  return (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000
}

function applies(entry: ConditionalPrice, atMs: number): boolean {
  const { constraint } = entry
  if (constraint === undefined) return true
  if (constraint.type === 'start_date') return atMs >= Date.parse(constraint.start_date)
  const time = ((atMs % DAY_MS) + DAY_MS) % DAY_MS
  const [start, end] = [timeOfDayMs(constraint.start_time), timeOfDayMs(constraint.end_time)]
  return end < start ? time >= start || time < end : time >= start && time < end
}

/** Every moment around `atMs` at which another price may begin to rule. */
function changesAround(entries: readonly ConditionalPrice[], atMs: number): number[] {
  const midnight = Math.floor(atMs / DAY_MS) * DAY_MS
  return entries.flatMap(({ constraint }) => {
    if (constraint === undefined) return []
    if (constraint.type === 'start_date') return [Date.parse(constraint.start_date)]
    return [constraint.start_time, constraint.end_time].flatMap((time) =>
      [-DAY_MS, 0, DAY_MS].map((day) => midnight + day + timeOfDayMs(time)),
    )
  })
}

/** The last entry whose condition holds rules; none holds: the first. */
export function pricesAt(
  prices: ModelPrice | readonly ConditionalPrice[],
  atMs: number,
): DatedPrices {
  if (!isDated(prices)) return { prices, fromMs: -Infinity, untilMs: Infinity }
  const ruling = prices.findLast((entry) => applies(entry, atMs)) ?? prices[0]
  const changes = changesAround(prices, atMs)
  return {
    prices: ruling?.prices ?? {},
    fromMs: Math.max(-Infinity, ...changes.filter((ms) => ms <= atMs)),
    untilMs: Math.min(Infinity, ...changes.filter((ms) => ms > atMs)),
  }
}

const isDated = (
  prices: ModelPrice | readonly ConditionalPrice[],
): prices is readonly ConditionalPrice[] => Array.isArray(prices)
