import { invariant } from '../kernel/invariant.ts'
import type { Catalogue } from './catalogue.ts'
import { webSearchDefault } from './catalogue-gaps.ts'
import type { CreditsConfig, PriceEntry, SellEntry } from './config.ts'
import { parseRatio, times, type Ratio } from './decimal.ts'
import { creditsOf, documentOf, hasHttpPrices, hasPrices, type PriceDocument } from './document.ts'
import { rankEntries, type Overrides, type Ranked } from './entries.ts'
import type { PriceQuery } from './pricing.ts'
import type { SellTerms } from './rates.ts'
import type { GapRules } from './tariff.ts'

/** What pricing knows of an upstream. Source: design §10. */
export interface PricedUpstream {
  readonly name: string
  /** 'anthropic' fills missing cache-write prices by Anthropic's multiples. */
  readonly protocol: string
  /** Provider id of the seed, or null = no seed; see `catalogueOf`. */
  readonly catalogue: string | null
}

/** Everything prices follow from. Replaced as a whole, on reload or an admin's change. */
export interface BookSources {
  readonly upstreams: readonly PricedUpstream[]
  readonly credits: CreditsConfig
  readonly config: Overrides
  readonly admin: Overrides
}

export type PriceSource = 'admin' | 'config' | 'seed'

/** Which sources rule one model, and what they say; not yet compiled to rates. */
export interface Ruling {
  readonly source: PriceSource
  readonly modelPattern: string
  readonly provider: string | null
  readonly document: PriceDocument
  readonly gaps: GapRules
  readonly terms: SellTerms
  readonly markup: string
  readonly perUsd: string
  readonly sellEntry: Ranked<SellEntry> | null
  readonly fromMs: number
  readonly untilMs: number
}

export interface Resolver {
  /** null = no price. */
  resolve(query: PriceQuery): Ruling | null
  readonly priceEntries: readonly Ranked<PriceEntry>[]
  readonly sellEntries: readonly Ranked<SellEntry>[]
}

/** The seed an upstream gets: named in the config ('none' = none), else told by its base URL. */
export function catalogueOf(
  catalogue: Catalogue,
  upstream: { readonly catalogue?: string | undefined; readonly baseUrl: string },
): string | null {
  if (upstream.catalogue === undefined) return catalogue.providerFor(upstream.baseUrl)
  return upstream.catalogue === 'none' ? null : upstream.catalogue
}

interface Found {
  readonly source: PriceSource
  readonly pattern: string
  readonly provider: string | null
  readonly document: PriceDocument
  readonly fromMs: number
  readonly untilMs: number
}

/** Limits and service tiers come from the highest source that names them, prices from one only. */
function overlay(layers: readonly PriceDocument[], prices: PriceDocument): PriceDocument {
  const first = (read: (document: PriceDocument) => number | null): number | null =>
    layers.map(read).find((value) => value !== null) ?? null
  const above = layers.slice(0, layers.indexOf(prices) + 1)
  return {
    prices: prices.prices,
    tiers: prices.tiers,
    serviceTiers: new Map(above.toReversed().flatMap((layer) => [...layer.serviceTiers])),
    maxOutputTokens: first((layer) => layer.maxOutputTokens),
    contextTokens: first((layer) => layer.contextTokens),
  }
}

function ratio(text: string): Ratio {
  const value = parseRatio(text)
  invariant(value !== null, `not a factor: ${text}`)
  return value
}

const ALWAYS = { fromMs: -Infinity, untilMs: Infinity }

/** A price for models of any upstream says nothing of an API. */
const isMeantFor = (entry: PriceEntry, protocol: string | undefined): boolean =>
  entry.upstream !== undefined || protocol !== 'http'

const isPriced = (document: PriceDocument, protocol: string | undefined): boolean =>
  protocol === 'http' ? hasHttpPrices(document) : hasPrices(document)

export function makeResolver(catalogue: Catalogue, sources: BookSources): Resolver {
  const priceEntries = rankEntries(sources.admin.prices, sources.config.prices)
  const sellEntries = rankEntries(sources.admin.sell, sources.config.sell)
  const documents = new Map(priceEntries.map(({ entry }) => [entry, documentOf(entry)]))
  const upstreams = new Map(sources.upstreams.map((upstream) => [upstream.name, upstream]))

  /** All that match, highest first, down to the seed. */
  function layersOf({ upstream, model, atMs }: PriceQuery): Found[] {
    const layers: Found[] = []
    const providerId = upstreams.get(upstream)?.catalogue ?? null
    for (const { source, entry, pattern, matches } of priceEntries) {
      const document = documents.get(entry)
      if (document === undefined || !matches(upstream, model)) continue
      if (!isMeantFor(entry, upstreams.get(upstream)?.protocol)) continue
      layers.push({ source, pattern, provider: providerId, document, ...ALWAYS })
    }
    const seed = providerId === null ? null : catalogue.find(providerId, model, atMs)
    if (seed !== null) layers.push({ ...seed, source: 'seed', pattern: seed.modelId })
    return layers
  }

  function termsOf(query: PriceQuery): Pick<Ruling, 'terms' | 'markup' | 'perUsd' | 'sellEntry'> {
    const matching = sellEntries.filter((entry) => entry.matches(query.upstream, query.model))
    const sellEntry = matching[0] ?? null
    const ofEntry = matching.find(({ entry }) => entry.markup !== undefined)?.entry.markup
    const markup = query.accountMarkup ?? ofEntry ?? sources.credits.markup
    const perUsd = sources.credits.per_usd
    const credits = sellEntry === null ? {} : creditsOf(sellEntry.entry)
    const terms = { credits, factor: times(ratio(markup), ratio(perUsd)) }
    return { terms, markup, perUsd, sellEntry }
  }

  return {
    priceEntries,
    sellEntries,
    resolve(query) {
      const layers = layersOf(query)
      const protocol = upstreams.get(query.upstream)?.protocol
      const ruling = layers.find(({ document }) => isPriced(document, protocol))
      if (ruling === undefined) return null
      return {
        source: ruling.source,
        modelPattern: ruling.pattern,
        provider: ruling.provider,
        document: overlay(
          layers.map((layer) => layer.document),
          ruling.document,
        ),
        gaps: {
          dearCacheWrites: protocol === 'anthropic',
          webSearch: webSearchDefault(ruling.provider),
        },
        ...termsOf(query),
        // Limits of a dated seed entry do not change with its date: only its prices do.
        fromMs: ruling.fromMs,
        untilMs: ruling.untilMs,
      }
    },
  }
}
