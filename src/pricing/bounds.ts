import type { BucketName } from '../kernel/usage.ts'
import type { Micros } from '../kernel/money.ts'
import { invariant } from '../kernel/invariant.ts'
import { roundUp } from './arithmetic.ts'
import type { Bound } from './pricing.ts'
import type { RateBook } from './rates.ts'
import { indexOf, INPUT_END, partsOf, TOKEN_END, FRACTION_PARTS } from './units.ts'

/** Which buckets can fill a token unit; a unit is out of the bound when all of them are absent. */
const FILLED_BY: readonly (readonly BucketName[])[] = [
  ['input_tokens'],
  ['cache_read_tokens'],
  ['cache_write_5m_tokens', 'cache_write_tokens'],
  ['cache_write_1h_tokens'],
  ['input_audio_tokens'],
  ['input_image_tokens'],
  ['output_tokens'],
  ['output_audio_tokens'],
]

const SEARCH = indexOf('web_search')
const REQUEST = indexOf('request')

/**
 * A bound is linear in the output: (fixed + output × rate) ÷ den micros. `floor` is what flat
 * units cost, which is charged instead where it applies.
 */
interface Line {
  readonly fixed: bigint
  readonly rate: bigint
  readonly den: bigint
}

function dearest(
  book: RateBook,
  inputTokens: number,
  from: number,
  to: number,
  absent: readonly BucketName[] | undefined,
): bigint {
  let most = 0n
  for (const band of book.bands) {
    if (band.above >= inputTokens && band.above >= 0) break
    for (let index = from; index < to; index++) {
      const rate = band.sell.exact[index] ?? 0n
      if (rate > most && !isAbsent(index, absent)) most = rate
    }
  }
  return most
}

function isAbsent(index: number, absent: readonly BucketName[] | undefined): boolean {
  if (absent === undefined) return false
  const filled = FILLED_BY[index] ?? []
  return filled.length > 0 && filled.every((bucket) => absent.includes(bucket))
}

const COUNTED = [
  ['requests', REQUEST],
  ['images', indexOf('image')],
  ['seconds', indexOf('second')],
  ['characters', indexOf('character')],
  ['units', indexOf('unit')],
  ['request_bytes', indexOf('request_byte')],
  ['response_bytes', indexOf('response_byte')],
] as const

/** Σ over the units other than tokens of parts × what one part costs. */
function otherUnits(
  { unitsMax, webSearchesMax }: Bound,
  rateOf: (index: number) => bigint,
): bigint {
  const searches = webSearchesMax > 0 ? partsOf(webSearchesMax) * rateOf(SEARCH) : 0n
  // Requests count once where the bound names none.
  if (unitsMax === undefined) return searches + FRACTION_PARTS * rateOf(REQUEST)
  let sum = searches
  for (const [name, index] of COUNTED) {
    const most = unitsMax[name] ?? (index === REQUEST ? 1 : 0)
    if (most > 0) sum += partsOf(most) * rateOf(index)
  }
  return sum
}

function tokenLine(book: RateBook, bound: Bound): Line {
  const { inputTokensMax, absent, unitsBesideTokens = false } = bound
  const input = dearest(book, inputTokensMax, 0, INPUT_END, absent)
  const units = otherUnits(bound, (index) => {
    let most = 0n
    for (const { sell, sellAlone } of book.bands) {
      const rate = sell.exact[index] ?? 0n
      if (rate > most) most = rate
      const alone = unitsBesideTokens ? 0n : (sellAlone.exact[index] ?? 0n)
      if (alone > most) most = alone
    }
    return most
  })
  const fixed = BigInt(inputTokensMax) * input * FRACTION_PARTS + units
  const rate = dearest(book, inputTokensMax, INPUT_END, TOKEN_END, absent) * FRACTION_PARTS
  return { fixed, rate, den: book.den * FRACTION_PARTS }
}

function flatLine(book: RateBook, bound: Bound): Line | null {
  const { flat } = book
  if (flat === null) return null
  const fixed = otherUnits(bound, (index) => flat.exact[index] ?? 0n)
  return { fixed, rate: 0n, den: book.den * FRACTION_PARTS }
}

/** The lines whose largest value bounds every charge within `bound`. Source: providers.md §4. */
function linesOf(book: RateBook, bound: Bound): Line[] {
  const { inputTokensMax, webSearchesMax } = bound
  invariant(
    Number.isSafeInteger(inputTokensMax) && inputTokensMax >= 0,
    `not a bound of input tokens: ${inputTokensMax}`,
  )
  invariant(
    Number.isSafeInteger(webSearchesMax) && webSearchesMax >= 0,
    `not a bound of web searches: ${webSearchesMax}`,
  )
  const flat = flatLine(book, bound)
  if (flat === null) return [tokenLine(book, bound)]
  return book.flatAlways ? [flat] : [flat, tokenLine(book, bound)]
}

/** Micros, not yet bounded to a safe integer. */
export function boundOf(books: readonly RateBook[], bound: Bound): bigint {
  // A limit that a client named may be any number; past the safe integers it only has to be huge.
  const limit = Math.ceil(Math.max(0, bound.outputTokensMax))
  const output = BigInt(Math.min(limit, Number.MAX_SAFE_INTEGER))
  let most = 0n
  for (const book of books) {
    for (const { fixed, rate, den } of linesOf(book, bound)) {
      const value = roundUp({ num: fixed + output * rate, den })
      if (value > most) most = value
    }
  }
  return most
}

/**
 * The greatest n with boundOf(output n) ≤ budget, at most 2^53−1; 0 where not even none fits:
 * ⌈(fixed + n × rate) ÷ den⌉ ≤ budget ⇔ n ≤ (budget × den − fixed) ÷ rate.
 */
export function outputWithin(books: readonly RateBook[], bound: Bound, budget: Micros): number {
  let least = BigInt(Number.MAX_SAFE_INTEGER)
  for (const { fixed, rate, den } of books.flatMap((book) => linesOf(book, bound))) {
    const left = BigInt(budget) * den - fixed
    if (left < 0n) return 0
    if (rate > 0n && left / rate < least) least = left / rate
  }
  return Number(least)
}
