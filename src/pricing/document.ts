import { invariant } from '../kernel/invariant.ts'
import { parseDecimal, parseRatio, type Ratio } from './decimal.ts'
import type { PriceEntry, SellEntry } from './config.ts'
import { BYTE_UNITS, COUNT_UNITS, MB_NAMES, TOKEN_UNITS, type Unit } from './units.ts'

/** Prices that are named; what is missing is filled in by the tariff. Pico-dollars per unit. */
export type Named = Partial<Record<Unit, bigint>>

/** Prices that rule above a number of input tokens; what it leaves out stays as below it. */
export interface ContextTier {
  readonly above: number
  readonly prices: Named
}

export interface ServiceTierPrices {
  readonly multiplier: Ratio | null
  readonly prices: Named
  readonly tiers: readonly ContextTier[]
}

/** One model's provider cost, whatever it was read from. */
export interface PriceDocument {
  readonly prices: Named
  readonly tiers: readonly ContextTier[]
  readonly serviceTiers: ReadonlyMap<string, ServiceTierPrices>
  readonly maxOutputTokens: number | null
  readonly contextTokens: number | null
}

export const hasPrices = (document: PriceDocument): boolean =>
  Object.keys(document.prices).length > 0

/** What the request of an HTTP API can use; a price of anything else would make it free. */
const HTTP_UNITS = ['request', 'second', 'unit', 'request_byte', 'response_byte'] as const

export const hasHttpPrices = ({ prices }: PriceDocument): boolean =>
  HTTP_UNITS.some((unit) => prices[unit] !== undefined)

/** USD decimals as pico-dollars: 10¹² to the dollar, so 10⁶ a token for a dollar per Mtok. */
function pico(text: string, places: number): bigint {
  const value = parseDecimal(text, places)
  invariant(value !== null, `not a price: ${text}`)
  return value
}

type UsdFields = Omit<PriceEntry, 'upstream' | 'model' | 'tiers' | 'service_tiers'>

function namedOf(fields: UsdFields): Named {
  const named: Named = {}
  for (const unit of TOKEN_UNITS) {
    const text = fields[`${unit}_usd_per_mtok`]
    if (text !== undefined) named[unit] = pico(text, 6)
  }
  for (const unit of COUNT_UNITS) {
    const text = fields[`per_${unit}_usd`]
    if (text !== undefined) named[unit] = pico(text, 12)
  }
  for (const unit of BYTE_UNITS) {
    const text = fields[`per_${MB_NAMES[unit]}_usd`]
    if (text !== undefined) named[unit] = pico(text, 6)
  }
  return named
}

const tiersOf = (tiers: PriceEntry['tiers']): ContextTier[] =>
  (tiers ?? []).map((tier) => ({ above: tier.above_input_tokens, prices: namedOf(tier) }))

/** Reads an entry of the configuration or the admin API. Source: design §10. */
export function documentOf(entry: PriceEntry): PriceDocument {
  const serviceTiers = Object.entries(entry.service_tiers ?? {}).map(
    ([name, tier]): [string, ServiceTierPrices] => [
      name,
      {
        multiplier: tier.multiplier === undefined ? null : parseRatio(tier.multiplier),
        prices: namedOf(tier),
        tiers: tiersOf(tier.tiers),
      },
    ],
  )
  return {
    prices: namedOf(entry),
    tiers: tiersOf(entry.tiers),
    serviceTiers: new Map(serviceTiers),
    maxOutputTokens: entry.max_output_tokens ?? null,
    contextTokens: entry.context_tokens ?? null,
  }
}

/** Prices in micro-credits: per million for tokens and bytes, else per unit. */
export function creditsOf(entry: SellEntry): Named {
  const named: Named = {}
  for (const unit of TOKEN_UNITS) {
    const text = entry[`${unit}_credits_per_mtok`]
    if (text !== undefined) named[unit] = pico(text, 6)
  }
  for (const unit of COUNT_UNITS) {
    const text = entry[`credits_per_${unit}`]
    if (text !== undefined) named[unit] = pico(text, 6)
  }
  for (const unit of BYTE_UNITS) {
    const text = entry[`credits_per_${MB_NAMES[unit]}`]
    if (text !== undefined) named[unit] = pico(text, 6)
  }
  return named
}
