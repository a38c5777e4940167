import { waitForUpdate, type Provider } from '@pydantic/genai-prices'
import { pricesAt } from './catalogue-dates.ts'
import { readPrices } from './catalogue-document.ts'
import { gapsOf } from './catalogue-gaps.ts'
import { findModel } from './catalogue-match.ts'
import { hasPrices, type Named, type PriceDocument } from './document.ts'
import { UNITS } from './units.ts'

/** One model of the seed at one moment. */
export interface CatalogueMatch {
  readonly provider: string
  /** The catalogue's id of the entry that matched; our own table's models carry their name. */
  readonly modelId: string
  readonly document: PriceDocument
  /** Unix ms between which this answer holds: from inclusive, until exclusive. */
  readonly fromMs: number
  readonly untilMs: number
}

/** The seeded price data, read-only. */
export interface Catalogue {
  readonly providerIds: readonly string[]
  /** The provider whose API a base URL is; null = unknown, so there is no seed for it. */
  providerFor(baseUrl: string): string | null
  /** null = the catalogue has no such model, or names no price for it (never free). */
  find(providerId: string, model: string, atMs: number): CatalogueMatch | null
  /** The ids of a provider's models, in the catalogue's order. */
  modelIds(providerId: string): readonly string[]
}

function applyGaps(named: Named, fill: Named, least: Named): Named {
  const filled: Named = { ...fill, ...named }
  for (const unit of UNITS) {
    const [price, floor] = [filled[unit], least[unit]]
    if (price !== undefined && floor !== undefined && floor > price) filled[unit] = floor
    if (price === undefined && floor !== undefined) filled[unit] = floor
  }
  return filled
}

/** Makes a catalogue of the given data. The data is trusted: it is pinned by package-lock.json. */
export function makeCatalogue(data: readonly Provider[]): Catalogue {
  const providers = new Map(data.map((provider) => [provider.id, provider]))
  const patterns = data.map(({ id, api_pattern }) => ({
    id,
    pattern: new RegExp(`^(?:${api_pattern})`),
  }))
  return {
    providerIds: data.map((provider) => provider.id),
    providerFor: (baseUrl) => patterns.find(({ pattern }) => pattern.test(baseUrl))?.id ?? null,
    modelIds: (providerId) => (providers.get(providerId)?.models ?? []).map((model) => model.id),
    find(providerId, model, atMs) {
      const provider = providers.get(providerId)
      if (provider === undefined) return null
      const found = findModel(providers, provider, model)
      const owner = found?.provider.id ?? providerId
      const dated = pricesAt(found?.model.prices ?? {}, atMs)
      const read = readPrices(dated.prices)
      const gaps = gapsOf(owner, model)
      const document: PriceDocument = {
        prices: applyGaps(read.prices, gaps.fill, gaps.least),
        tiers: read.tiers,
        serviceTiers: new Map(),
        maxOutputTokens: gaps.maxOutputTokens,
        contextTokens: found?.model.context_window ?? null,
      }
      if ((found === null && !gaps.whole) || !hasPrices(document)) return null
      return {
        provider: owner,
        modelId: found?.model.id ?? model,
        document,
        fromMs: dated.fromMs,
        untilMs: dated.untilMs,
      }
    },
  }
}

/**
 * The catalogue of the installed package. Its only way to the bundled data is the promise of its
 * current data; nothing is fetched unless `updatePrices` is called, which nobody does.
 */
export async function loadCatalogue(): Promise<Catalogue> {
  return makeCatalogue((await waitForUpdate()) ?? [])
}
