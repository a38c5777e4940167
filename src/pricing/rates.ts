import { gcd, timesUp, type Ratio } from './decimal.ts'
import type { Named } from './document.ts'
import type { Band } from './tariff.ts'
import { BYTE_START, FLAT_UNITS, indexOf, TOKEN_END, UNITS, type Unit } from './units.ts'

/** One vector of integer rates; `fast` are the same as numbers where all are safe integers. */
export interface Rates {
  readonly exact: readonly bigint[]
  readonly fast: readonly number[] | null
}

export interface RateBand {
  readonly above: number
  /** Pico-dollars; `…Alone` where the request reports no tokens. */
  readonly cost: Rates
  readonly costAlone: Rates
  /** Micro-credits × `den` of the book. */
  readonly sell: Rates
  readonly sellAlone: Rates
}

/** Both books of one model in one service tier. Charge = ⌈Σ units × sell ÷ den⌉ micros. */
export interface RateBook {
  readonly den: bigint
  readonly bands: readonly RateBand[]
  /** Units sold in credits that stand for the whole request, null = none. */
  readonly flat: Rates | null
  /** Which they are, as positions in a vector. */
  readonly flatIndexes: readonly number[]
  /** A request itself is sold: nothing else is ever charged. */
  readonly flatAlways: boolean
}

const SAFE = BigInt(Number.MAX_SAFE_INTEGER)

function ratesOf(exact: readonly bigint[]): Rates {
  return { exact, fast: exact.every((rate) => rate <= SAFE) ? exact.map(Number) : null }
}

/** Token units without a price in credits take it from their kin, like costs do. */
const CREDIT_KIN: Partial<Record<Unit, readonly Unit[]>> = {
  cache_read: ['input'],
  cache_write: ['input'],
  cache_write_1h: ['cache_write', 'input'],
  input_audio: ['input'],
  input_image: ['input'],
  output_audio: ['output'],
}

function creditOf(credits: Named, unit: Unit): bigint | undefined {
  const own = credits[unit]
  if (own !== undefined) return own
  return (CREDIT_KIN[unit] ?? []).map((kin) => credits[kin]).find((price) => price !== undefined)
}

/**
 * How much dearer a service tier makes a unit, ≥ 1. Prices in credits are meant for the standard
 * tier; the client chooses the tier, so they rise with the cost. Context bands do not move them.
 */
function tierRise(standard: Band | undefined, tier: Band | undefined, index: number): Ratio {
  const [num, den] = [tier?.cost[index] ?? 0n, standard?.cost[index] ?? 0n]
  return den > 0n && num > den ? { num, den } : { num: 1n, den: 1n }
}

const steeper = (a: Ratio, b: Ratio): Ratio => (a.num * b.den >= b.num * a.den ? a : b)

export interface SellTerms {
  /** Micro-credits: per million tokens or bytes, or per unit. */
  readonly credits: Named
  /** markup × credits.per_usd. */
  readonly factor: Ratio
}

/** Joins a tier's costs with the terms of sale. `standard` are the bands of the standard tier. */
export function compileRates(
  bands: readonly Band[],
  standard: readonly Band[],
  terms: SellTerms,
): RateBook {
  const { credits, factor } = terms
  // micros = pico × factor ÷ 10⁶, and a price per Mtok is a millionth a token: one denominator.
  const den = factor.den * 1_000_000n
  const rises = UNITS.map((_, index) => tierRise(standard[0], bands[0], index))
  const steepest = rises.slice(0, TOKEN_END).reduce(steeper, { num: 1n, den: 1n })
  const inCredits = UNITS.map((unit, index) => {
    const price = creditOf(credits, unit)
    if (price === undefined) return undefined
    if (unit === 'web_search') return price * den
    const rise = rises[index] ?? steepest
    if (index < TOKEN_END) return timesUp(price, rise) * factor.den
    if (index >= BYTE_START) return price * factor.den
    return timesUp(price, steeper(rise, steepest)) * den
  })
  const isFlat = (unit: Unit) => FLAT_UNITS.some((flat) => flat === unit)
  const sellOf = (cost: readonly bigint[]) =>
    UNITS.map((unit, index) => {
      const price = isFlat(unit) ? undefined : inCredits[index]
      return price ?? (cost[index] ?? 0n) * factor.num
    })
  const flatUnits = FLAT_UNITS.filter((unit) => credits[unit] !== undefined)
  const flat =
    flatUnits.length > 0
      ? UNITS.map((unit, index) => (isFlat(unit) ? (inCredits[index] ?? 0n) : 0n))
      : null
  const raw = bands.map((band) => ({ band, sell: sellOf(band.cost), alone: sellOf(band.alone) }))
  const divisor = raw
    .flatMap(({ sell, alone }) => [...sell, ...alone])
    .concat(flat ?? [])
    .reduce(gcd, den)
  const shrink = (values: readonly bigint[]) => ratesOf(values.map((value) => value / divisor))
  return {
    den: den / divisor,
    bands: raw.map(({ band, sell, alone }) => ({
      above: band.above,
      cost: ratesOf(band.cost),
      costAlone: ratesOf(band.alone),
      sell: shrink(sell),
      sellAlone: shrink(alone),
    })),
    flat: flat === null ? null : shrink(flat),
    flatIndexes: flatUnits.map(indexOf),
    flatAlways: credits.request !== undefined,
  }
}
