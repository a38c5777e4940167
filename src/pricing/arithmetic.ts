import { micros, microsFromBigInt, type Micros } from '../kernel/money.ts'
import { divideUp, type Ratio } from './decimal.ts'
import type { RateBand, RateBook, Rates } from './rates.ts'
import { FRACTION_PARTS, partsOf, type Quantities } from './units.ts'

/**
 * Σ counts × rates as a number, or null where it may not be exact. All terms are ≥ 0, and a
 * rounded product or sum of numbers past 2^53−1 stays past it: so a total of at most 2^53−1 proves
 * that no step was rounded.
 */
function sumFast(counts: readonly number[], fast: readonly number[] | null): number | null {
  if (fast === null) return null
  let sum = 0
  for (let index = 0; index < counts.length; index++) {
    const count = counts[index] ?? 0
    if (count !== 0) sum += count * (fast[index] ?? 0)
  }
  return sum <= Number.MAX_SAFE_INTEGER ? sum : null
}

/** Σ counts × rates, exact. */
function sumExact(quantities: Quantities, rates: Rates): Ratio {
  const { counts, whole } = quantities
  const fast = whole ? sumFast(counts, rates.fast) : null
  if (fast !== null) return { num: BigInt(fast), den: 1n }
  let num = 0n
  counts.forEach((count, index) => {
    if (count !== 0) num += (whole ? BigInt(count) : partsOf(count)) * (rates.exact[index] ?? 0n)
  })
  return { num, den: whole ? 1n : FRACTION_PARTS }
}

/** The band that rules for a number of input tokens. */
function bandFor(book: RateBook, inputTokens: number): RateBand {
  let [ruling] = book.bands
  for (const band of book.bands) if (inputTokens > band.above) ruling = band
  if (ruling === undefined) throw new RangeError('a rate book without bands')
  return ruling
}

/** Exact cost in pico-dollars and charge in micros, both still fractions. */
export interface Priced {
  readonly cost: Ratio
  readonly charge: Ratio
  /** The charge is a flat price: nothing is to be added to it. */
  readonly flat: boolean
}

export function priceExact(book: RateBook, quantities: Quantities): Priced {
  const band = bandFor(book, quantities.inputTokens)
  const alone = !quantities.hasTokens
  const cost = sumExact(quantities, alone ? band.costAlone : band.cost)
  const isFlat =
    book.flatAlways || book.flatIndexes.some((index) => (quantities.counts[index] ?? 0) > 0)
  const perUnit = alone ? band.sellAlone : band.sell
  const sum = sumExact(quantities, isFlat && book.flat !== null ? book.flat : perUnit)
  return { cost, charge: { num: sum.num, den: sum.den * book.den }, flat: isFlat }
}

export const addRatios = (a: Ratio, b: Ratio): Ratio =>
  a.den === b.den
    ? { num: a.num + b.num, den: a.den }
    : { num: a.num * b.den + b.num * a.den, den: a.den * b.den }

/** The one rounding of a charge: up. Throws InvariantError past 2^53−1. */
export const microsOf = (charge: Ratio): Micros => microsFromBigInt(roundUp(charge))

export const roundUp = ({ num, den }: Ratio): bigint => (den === 1n ? num : divideUp(num, den))

const MAX_MICROS = BigInt(Number.MAX_SAFE_INTEGER)

/** Bounds saturate instead of throwing: nobody has so many credits, so the request is refused. */
export const saturated = (value: bigint): Micros =>
  value > MAX_MICROS ? micros(Number.MAX_SAFE_INTEGER) : micros(Number(value))
