import type { Catalogue } from './catalogue.ts'
import type { PriceEntry, SellEntry } from './config.ts'
import { formatRatio } from './decimal.ts'
import type { ResolvedPrice } from './resolved.ts'
import type { BookSources, PriceSource, Resolver } from './resolve.ts'
import { BYTE_UNITS, COUNT_UNITS, indexOf, MB_NAMES, TOKEN_UNITS, type Unit } from './units.ts'

/** One line of `farebox prices`: something that rules where nothing above it does. */
export type ListedPrice =
  | { kind: 'cost'; source: PriceSource; upstream: string | null; model: string; entry: PriceEntry }
  | { kind: 'sell'; source: PriceSource; upstream: string | null; model: string; entry: SellEntry }
  | { kind: 'seed'; source: 'seed'; upstream: string; provider: string; model: string }

/** Effective prices of one context band, decimal text; units that cost nothing are left out. */
export interface ExplainedBand {
  /** null = from the first token. */
  readonly above_input_tokens: number | null
  readonly cost: Readonly<Record<string, string>>
  readonly sell: Readonly<Record<string, string>>
}

/** How one model is priced: what `farebox prices` and GET /admin/v1/prices show. */
export interface PriceExplanation {
  readonly upstream: string
  readonly model: string
  readonly version: string
  readonly source: PriceSource
  readonly model_pattern: string
  readonly provider: string | null
  readonly sell_source: 'admin' | 'config' | 'cost × markup'
  readonly sell_pattern: string | null
  readonly markup: string
  readonly credits_per_usd: string
  readonly max_output_tokens: number | null
  readonly context_tokens: number | null
  readonly service_tiers: readonly string[]
  readonly bands: readonly ExplainedBand[]
}

/** Units that are counted: `per` of them the named price is, as the name says it. */
const COUNTED: readonly { unit: Unit; name: string; per: bigint }[] = [
  ...COUNT_UNITS.map((unit) => ({ unit, name: unit, per: 1n })),
  ...BYTE_UNITS.map((unit) => ({ unit, name: MB_NAMES[unit], per: 1_000_000n })),
]

/** Cost in `…_usd_per_mtok` and `per_…_usd`, sell in `…_credits_per_mtok`, `credits_per_…`. */
function explainBands(resolved: ResolvedPrice): ExplainedBand[] {
  const book = resolved.bookFor(null)
  return book.bands.map((band) => {
    const cost: Record<string, string> = {}
    const sell: Record<string, string> = {}
    for (const unit of TOKEN_UNITS) {
      const pico = band.cost.exact[indexOf(unit)] ?? 0n
      const rate = band.sell.exact[indexOf(unit)] ?? 0n
      if (pico > 0n) cost[`${unit}_usd_per_mtok`] = formatRatio({ num: pico, den: 1_000_000n })
      // Micros a token are credits a million tokens.
      if (rate > 0n && !book.flatAlways)
        sell[`${unit}_credits_per_mtok`] = formatRatio({ num: rate, den: book.den })
    }
    for (const { unit, name, per } of COUNTED) {
      const index = indexOf(unit)
      const pico = band.cost.exact[index] ?? 0n
      const isFlat = book.flatIndexes.includes(index)
      const rate = (isFlat ? book.flat?.exact[index] : band.sell.exact[index]) ?? 0n
      if (pico > 0n) cost[`per_${name}_usd`] = formatRatio({ num: pico * per, den: 10n ** 12n })
      if (isFlat || (rate > 0n && !book.flatAlways)) {
        sell[`credits_per_${name}`] = formatRatio({ num: rate * per, den: book.den * 1_000_000n })
      }
    }
    return { above_input_tokens: band.above < 0 ? null : band.above, cost, sell }
  })
}

export function explainPrice(
  asked: { upstream: string; model: string },
  resolved: ResolvedPrice,
): PriceExplanation {
  const { ruling, price } = resolved
  return {
    upstream: asked.upstream,
    model: asked.model,
    version: price.version,
    source: ruling.source,
    model_pattern: ruling.modelPattern,
    provider: ruling.provider,
    sell_source: ruling.sellEntry?.source ?? 'cost × markup',
    sell_pattern: ruling.sellEntry?.pattern ?? null,
    markup: ruling.markup,
    credits_per_usd: ruling.perUsd,
    max_output_tokens: price.maxOutputTokens,
    context_tokens: price.contextTokens,
    service_tiers: [...ruling.document.serviceTiers.keys()],
    bands: explainBands(resolved),
  }
}

/** Entries in the order in which they rule, then the models of each upstream's seed. */
export function listPrices(
  catalogue: Catalogue,
  sources: BookSources,
  resolver: Resolver,
): ListedPrice[] {
  const costs = resolver.priceEntries.map(({ source, entry, pattern }) => ({
    kind: 'cost' as const,
    source,
    upstream: entry.upstream ?? null,
    model: pattern,
    entry,
  }))
  const sells = resolver.sellEntries.map(({ source, entry, pattern }) => ({
    kind: 'sell' as const,
    source,
    upstream: entry.upstream ?? null,
    model: pattern,
    entry,
  }))
  const seeds = sources.upstreams.flatMap(({ name, catalogue: provider }) =>
    provider === null
      ? []
      : catalogue.modelIds(provider).map((model) => ({
          kind: 'seed' as const,
          source: 'seed' as const,
          upstream: name,
          provider,
          model,
        })),
  )
  return [...costs, ...sells, ...seeds]
}
