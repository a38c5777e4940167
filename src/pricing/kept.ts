import { z } from 'zod'
import { invariant } from '../kernel/invariant.ts'
import { parseRatio, times, type Ratio } from './decimal.ts'
import type { Named } from './document.ts'
import type { Ruling } from './resolve.ts'
import { makeResolvedPrice, type ResolvedPrice } from './resolved.ts'
import { UNITS } from './units.ts'
import { canonical } from './version.ts'

const digits = z.string().regex(/^\d{1,40}$/)
const named = z.partialRecord(z.enum(UNITS), digits)
const tiers = z.array(z.object({ above_input_tokens: z.int().min(0), prices: named }))
const factor = z.string().refine((text) => parseRatio(text) !== null)

/** As `versionOf` writes a ruling down. Costs in pico-dollars, sell prices in micros. */
const termsSchema = z.object({
  kind: z.literal('resolved'),
  upstream: z.string(),
  model: z.string(),
  provider: z.string().nullable(),
  cost_pico_usd: z.object({
    prices: named,
    tiers,
    service_tiers: z.record(
      z.string(),
      z.object({ multiplier: factor.nullable(), prices: named, tiers }),
    ),
  }),
  cache_writes: z.enum(['anthropic', 'as input']),
  web_search_default_pico_usd: digits,
  markup: factor,
  credits_per_usd: factor,
  sell_micros: named,
})

/**
 * A price as it is written down beside the work that it was promised to: all that charges follow
 * from, under the name that receipts give it. JSON holds it unchanged.
 */
export const keptPriceSchema = z.object({
  version: z.string().regex(/^(?:admin|config|seed):/),
  terms: termsSchema,
})
export type KeptPrice = z.infer<typeof keptPriceSchema>

export function keepPrice({ version }: ResolvedPrice): KeptPrice {
  const terms: unknown = JSON.parse(version.document)
  return keptPriceSchema.parse({ version: version.version, terms })
}

function namedOf(prices: z.infer<typeof named>): Named {
  const read: Named = {}
  for (const unit of UNITS) {
    const text = prices[unit]
    if (text !== undefined) read[unit] = BigInt(text)
  }
  return read
}

const tiersOf = (list: z.infer<typeof tiers>) =>
  list.map((tier) => ({ above: tier.above_input_tokens, prices: namedOf(tier.prices) }))

function ratioOf(text: string): Ratio {
  const value = parseRatio(text)
  invariant(value !== null, `not a factor: ${text}`)
  return value
}

function sourceOf(version: string): Ruling['source'] {
  if (version.startsWith('admin:')) return 'admin'
  return version.startsWith('config:') ? 'config' : 'seed'
}

function rulingOf({ version, terms }: KeptPrice): Ruling {
  const { cost_pico_usd: cost, markup, credits_per_usd: perUsd } = terms
  const services = Object.entries(cost.service_tiers).map(([name, tier]) => {
    const multiplier = tier.multiplier === null ? null : ratioOf(tier.multiplier)
    return [name, { multiplier, prices: namedOf(tier.prices), tiers: tiersOf(tier.tiers) }] as const
  })
  return {
    source: sourceOf(version),
    modelPattern: terms.model,
    provider: terms.provider,
    document: {
      prices: namedOf(cost.prices),
      tiers: tiersOf(cost.tiers),
      serviceTiers: new Map(services),
      // Limits of what may be asked for: what was asked for was bounded when the price was kept.
      maxOutputTokens: null,
      contextTokens: null,
    },
    gaps: {
      dearCacheWrites: terms.cache_writes === 'anthropic',
      webSearch: BigInt(terms.web_search_default_pico_usd),
    },
    terms: {
      credits: namedOf(terms.sell_micros),
      factor: times(ratioOf(markup), ratioOf(perUsd)),
    },
    markup,
    perUsd,
    sellEntry: null,
    fromMs: -Infinity,
    untilMs: Infinity,
  }
}

/** The price that was kept, under its own name whatever this release would call it. */
export function revivePrice(kept: KeptPrice): ResolvedPrice {
  const { upstream } = kept.terms
  const resolved = makeResolvedPrice(upstream, rulingOf(kept))
  const version = { ...resolved.version, version: kept.version, document: canonical(kept.terms) }
  return { ...resolved, version, price: { ...resolved.price, version: kept.version } }
}
