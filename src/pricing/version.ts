import { createHash } from 'node:crypto'
import type { Named, PriceDocument } from './document.ts'
import { formatRatio } from './decimal.ts'
import type { PriceSource, Ruling } from './resolve.ts'

/** A version that receipts may name, with all that its charges follow from. */
export interface PriceVersion {
  readonly version: string
  readonly source: PriceSource
  readonly upstream: string
  readonly model: string
  /** JSON text, keys sorted: the same content gives the same text everywhere. */
  readonly document: string
}

/** Hex digits of SHA-256 kept: 2^64 names, so that no two of some million contents meet. */
const HASH_DIGITS = 16

/** What JSON can hold; fields that are undefined are left out. */
export type Json =
  string | number | null | readonly Json[] | { readonly [key: string]: Json | undefined }

const isList = (value: Json): value is readonly Json[] => Array.isArray(value)

/** JSON with sorted keys. */
export function canonical(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (isList(value)) return `[${value.map(canonical).join(',')}]`
  const fields = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, field]) =>
      field === undefined ? [] : [`${JSON.stringify(key)}:${canonical(field)}`],
    )
  return `{${fields.join(',')}}`
}

export const contentHash = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, HASH_DIGITS)

const pricesJson = (named: Named): Json =>
  Object.fromEntries(Object.entries(named).map(([unit, price]) => [unit, String(price)]))

function documentJson(document: PriceDocument): Json {
  const tiers = (list: PriceDocument['tiers']): Json =>
    list.map(({ above, prices }) => ({ above_input_tokens: above, prices: pricesJson(prices) }))
  const services = [...document.serviceTiers].map(([name, tier]): [string, Json] => [
    name,
    {
      multiplier: tier.multiplier === null ? null : formatRatio(tier.multiplier),
      prices: pricesJson(tier.prices),
      tiers: tiers(tier.tiers),
    },
  ])
  return {
    prices: pricesJson(document.prices),
    tiers: tiers(document.tiers),
    service_tiers: Object.fromEntries(services),
  }
}

/** Names a ruling by its content. Costs are in pico-dollars per unit. */
export function versionOf(upstream: string, ruling: Ruling): PriceVersion {
  const document = canonical({
    kind: 'resolved',
    upstream,
    model: ruling.modelPattern,
    provider: ruling.provider,
    cost_pico_usd: documentJson(ruling.document),
    cache_writes: ruling.gaps.dearCacheWrites ? 'anthropic' : 'as input',
    web_search_default_pico_usd: String(ruling.gaps.webSearch),
    markup: ruling.markup,
    credits_per_usd: ruling.perUsd,
    sell_micros: pricesJson(ruling.terms.credits),
  })
  return {
    version: `${ruling.source}:${contentHash(document)}`,
    source: ruling.source,
    upstream,
    model: ruling.modelPattern,
    document,
  }
}
