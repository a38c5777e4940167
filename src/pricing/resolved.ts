import { coversAny } from './covered.ts'
import { ONE } from './decimal.ts'
import type { Price } from './pricing.ts'
import { compileRates, type RateBook } from './rates.ts'
import type { Ruling } from './resolve.ts'
import { chooseTier, type TierChoice } from './service-tiers.ts'
import { compileBands, type Band } from './tariff.ts'
import { versionOf, type PriceVersion } from './version.ts'

/** A price with its compiled rates, one book a service tier, compiled when first asked for. */
export interface ResolvedPrice {
  readonly price: Price
  readonly ruling: Ruling
  readonly version: PriceVersion
  /** Both books in a tier as a request or a response names it; null = standard. */
  bookFor(serviceTier: string | null): RateBook
  /** Provider cost of a tier, lowest context band first. For the view. */
  bandsFor(serviceTier: string | null): readonly Band[]
}

const STANDARD: TierChoice = { key: '', fields: null, multiplier: ONE }

/** Compiles what rules one model at one upstream. */
export function makeResolvedPrice(upstream: string, ruling: Ruling): ResolvedPrice {
  const version = versionOf(upstream, ruling)
  const { document, gaps, terms, provider } = ruling
  const standard = compileBands(document, gaps, STANDARD)
  const standardBook = compileRates(standard, standard, terms)
  const books = new Map<string, RateBook>() // keys are finitely many: see TierChoice
  const bandsOf = (choice: TierChoice) =>
    choice.key === '' ? standard : compileBands(document, gaps, choice)
  return {
    ruling,
    version,
    price: {
      version: version.version,
      modelPattern: ruling.modelPattern,
      maxOutputTokens: document.maxOutputTokens,
      contextTokens: document.contextTokens,
      coversTokens: coversAny(ruling, { input_tokens: 1 }),
    },
    bandsFor: (serviceTier) => bandsOf(chooseTier(serviceTier, document, provider)),
    bookFor(serviceTier) {
      if (serviceTier === null) return standardBook
      const choice = chooseTier(serviceTier, document, provider)
      if (choice.key === '') return standardBook
      const known = books.get(choice.key)
      if (known !== undefined) return known
      const book = compileRates(bandsOf(choice), standard, terms)
      books.set(choice.key, book)
      return book
    },
  }
}
