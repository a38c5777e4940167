import { invariant } from '../kernel/invariant.ts'
import { MODEL_CHARS_MAX, PRICE_CACHE_MAX, PRICE_VERSIONS_MAX } from '../kernel/limits/models.ts'
import type { Usage } from '../kernel/usage.ts'
import { addRatios, microsOf, priceExact, roundUp, saturated } from './arithmetic.ts'
import { boundOf, outputWithin } from './bounds.ts'
import { makeGenerationCache } from './cache.ts'
import type { Catalogue } from './catalogue.ts'
import { coversAny } from './covered.ts'
import { explainPrice, listPrices, type ListedPrice, type PriceExplanation } from './explain.ts'
import { keepPrice, revivePrice, type KeptPrice } from './kept.ts'
import type { Bound, Charge, Price, PriceBook, PriceQuery } from './pricing.ts'
import type { RateBook } from './rates.ts'
import { makeResolvedPrice, type ResolvedPrice } from './resolved.ts'
import { makeResolver, type BookSources } from './resolve.ts'
import { quantitiesOf } from './units.ts'
import type { PriceVersion } from './version.ts'

export type ExplainQuery = Pick<PriceQuery, 'upstream' | 'model'> & Partial<PriceQuery>

/** The price book as the composition root, the CLI and the admin API see it. */
export interface ManagedPriceBook extends PriceBook {
  /** Takes new sources at once (SIGHUP, admin PUT). Prices already found stay good. */
  replace(change: Partial<BookSources>): void
  /** Everything that can rule, in ruling order, then the seed of each upstream. */
  list(): readonly ListedPrice[]
  /** Which source rules one model now, and what it makes a unit cost. null = no price. */
  explain(query: ExplainQuery, nowMs: number): PriceExplanation | null
  /** Versions that charges may name and that were not yet confirmed as recorded. */
  unrecorded(): readonly PriceVersion[]
  /** Confirms that these versions are in the `prices` table. */
  recorded(versions: readonly string[]): void
}

/** One look-up that was made; null = no price. Good for moments between `fromMs` and `untilMs`. */
interface Cached {
  readonly resolved: ResolvedPrice | null
  readonly fromMs: number
  readonly untilMs: number
}

const NEVER_CHANGES = { fromMs: -Infinity, untilMs: Infinity }

/** Versions that charges may name, until they are recorded. */
function makeVersionNotes() {
  const versions = new Map<string, PriceVersion>()
  const recorded = new Set<string>()
  return {
    note: (version: PriceVersion): void => {
      if (recorded.has(version.version)) return
      // Past the bound the oldest goes: it is found again by the same name when used again.
      const oldest = versions.size >= PRICE_VERSIONS_MAX ? versions.keys().next().value : undefined
      if (oldest !== undefined) versions.delete(oldest)
      versions.set(version.version, version)
    },
    unrecorded: () => [...versions.values()],
    recorded: (names: readonly string[]): void => {
      for (const name of names) {
        versions.delete(name)
        if (recorded.size < PRICE_VERSIONS_MAX) recorded.add(name)
      }
    },
  }
}

/** Resolves queries once, remembers them, and knows the rates behind each price it gave out. */
function makeFinder(catalogue: Catalogue, sources: () => BookSources) {
  let resolver = makeResolver(catalogue, sources())
  const cache = makeGenerationCache<Cached>(PRICE_CACHE_MAX)
  const { note, unrecorded, recorded } = makeVersionNotes()
  const known = new WeakMap<Price, ResolvedPrice>()

  function learn(resolved: ResolvedPrice): ResolvedPrice {
    known.set(resolved.price, resolved)
    note(resolved.version)
    return resolved
  }

  function resolve(query: PriceQuery): Cached {
    const ruling = resolver.resolve(query)
    if (ruling === null) return { resolved: null, ...NEVER_CHANGES }
    const resolved = learn(makeResolvedPrice(query.upstream, ruling))
    return { resolved, fromMs: ruling.fromMs, untilMs: ruling.untilMs }
  }

  return {
    resolver: () => resolver,
    reset() {
      resolver = makeResolver(catalogue, sources())
      cache.clear()
    },
    find(query: PriceQuery): ResolvedPrice | null {
      if (query.model.length > MODEL_CHARS_MAX) return null
      // The model is last: neither of the others can hold a line feed.
      const key = `${query.upstream}\n${query.accountMarkup ?? ''}\n${query.model}`
      const hit = cache.get(key)
      if (hit !== undefined && query.atMs >= hit.fromMs && query.atMs < hit.untilMs) {
        return hit.resolved
      }
      const fresh = resolve(query)
      // A request that began before a price change must not push out the price of today.
      if (hit === undefined || query.atMs >= hit.untilMs) cache.set(key, fresh)
      return fresh.resolved
    },
    of(price: Price): ResolvedPrice {
      const resolved = known.get(price)
      invariant(resolved !== undefined, `a price that no book gave out: ${price.version}`)
      return resolved
    },
    revive: (kept: KeptPrice): ResolvedPrice => learn(revivePrice(kept)),
    unrecorded,
    recorded,
  }
}

type Finder = ReturnType<typeof makeFinder>

function chargeUsage(
  finder: Finder,
  price: Price,
  query: PriceQuery,
  usage: Usage,
  serviceTier: string | null,
): Charge {
  const own = finder.of(price)
  const total = priceExact(own.bookFor(serviceTier), quantitiesOf(usage, 1))
  let { cost, charge } = total
  for (const { model, usage: part } of usage.iterations ?? []) {
    const ofModel = model === null ? own : (finder.find({ ...query, model }) ?? own)
    const priced = priceExact(ofModel.bookFor(serviceTier), quantitiesOf(part, 0))
    cost = addRatios(cost, priced.cost)
    if (!total.flat) charge = addRatios(charge, priced.charge)
  }
  const priceVersion = price.version
  return { costPicoUsd: roundUp(cost), micros: microsOf(charge), priceVersion }
}

/** The books a bound has to hold in: a provider may serve a request in the standard tier too. */
function booksOf(finder: Finder, price: Price, bound: Bound): readonly RateBook[] {
  const resolved = finder.of(price)
  const [standard, asked] = [resolved.bookFor(null), resolved.bookFor(bound.serviceTier)]
  return asked === standard ? [standard] : [standard, asked]
}

/** The two books over the seed, the configuration and the admin API. Source: design §1 and §10. */
export function makePriceBook(deps: {
  catalogue: Catalogue
  sources: BookSources
}): ManagedPriceBook {
  let { sources } = deps
  const finder = makeFinder(deps.catalogue, () => sources)
  const find = (query: PriceQuery): Price | null => finder.find(query)?.price ?? null
  return {
    find,
    findAnswered(query, answeredModel, requested) {
      if (answeredModel === null || answeredModel === query.model) return requested
      const answered = find({ ...query, model: answeredModel })
      return answered === null || answered.version === find(query)?.version ? requested : answered
    },
    charge: (price, query, usage, serviceTier) =>
      chargeUsage(finder, price, query, usage, serviceTier),
    boundMicros: (price, _query, bound) => saturated(boundOf(booksOf(finder, price, bound), bound)),
    outputTokensWithin: (price, _query, bound, budget) =>
      outputWithin(booksOf(finder, price, bound), bound, budget),
    replace(change) {
      sources = { ...sources, ...change }
      finder.reset()
    },
    list: () => listPrices(deps.catalogue, sources, finder.resolver()),
    explain(query, nowMs) {
      const { upstream, model, atMs = nowMs, accountMarkup = null } = query
      const resolved = finder.find({ upstream, model, atMs, accountMarkup })
      return resolved === null ? null : explainPrice({ upstream, model }, resolved)
    },
    unrecorded: () => finder.unrecorded(),
    recorded: (versions) => {
      finder.recorded(versions)
    },
    keep: (price) => keepPrice(finder.of(price)),
    revive: (kept) => finder.revive(kept).price,
    covers: (price, usage) => coversAny(finder.of(price).ruling, usage),
  }
}
