import { invariant } from '../kernel/invariant.ts'
import type { Buckets } from '../kernel/usage.ts'

/** What can have a price. Token units first; the order is that of every vector of rates. */
export const TOKEN_UNITS = [
  'input',
  'cache_read',
  'cache_write',
  'cache_write_1h',
  'input_audio',
  'input_image',
  'output',
  'output_audio',
] as const
export const COUNT_UNITS = [
  'web_search',
  'request',
  'image',
  'second',
  'character',
  'unit',
] as const
/** Priced by the megabyte (10^6 bytes), counted by the byte, as tokens are by the million. */
export const BYTE_UNITS = ['request_byte', 'response_byte'] as const
export const MB_NAMES = { request_byte: 'request_mb', response_byte: 'response_mb' } as const
export const UNITS = [...TOKEN_UNITS, ...COUNT_UNITS, ...BYTE_UNITS] as const

export type TokenUnit = (typeof TOKEN_UNITS)[number]
export type CountUnit = (typeof COUNT_UNITS)[number]
export type ByteUnit = (typeof BYTE_UNITS)[number]
export type Unit = TokenUnit | CountUnit | ByteUnit

/** Units that, sold in credits, stand for the whole request: "5 credits an image". */
export const FLAT_UNITS = [
  'request',
  'image',
  'second',
  'character',
  'unit',
  'request_byte',
  'response_byte',
] as const

/** Positions in a vector. Input units are the first six, output units the next two. */
export const INPUT_END = 6
export const TOKEN_END = 8
export const BYTE_START = TOKEN_END + COUNT_UNITS.length
export const indexOf = (unit: Unit): number => UNITS.indexOf(unit)

/** Smallest part of a unit that is counted: seconds may be fractions, everything else is whole. */
export const FRACTION_PARTS = 1_000_000n

/** One request's units in the order of UNITS. */
export interface Quantities {
  readonly counts: readonly number[]
  /** Tokens of the prompt, cached or not: what decides the context tier. */
  readonly inputTokens: number
  readonly hasTokens: boolean
  /** Every count is a whole number. */
  readonly whole: boolean
}

function count(value: number | undefined): number {
  if (value === undefined) return 0
  invariant(value >= 0 && value <= Number.MAX_SAFE_INTEGER, `not a countable usage: ${value}`)
  return value
}

/**
 * Splits buckets into priced units: cache writes without a lifetime count as 5-minute writes,
 * audio output is taken out of all output. `requests` counts where the usage names none.
 * Throws InvariantError on negative or unsafe numbers.
 */
export function quantitiesOf(usage: Buckets, requests: number): Quantities {
  const audio = count(usage.output_audio_tokens)
  const counts = [
    count(usage.input_tokens),
    count(usage.cache_read_tokens),
    count(usage.cache_write_5m_tokens) + count(usage.cache_write_tokens),
    count(usage.cache_write_1h_tokens),
    count(usage.input_audio_tokens),
    count(usage.input_image_tokens),
    Math.max(0, count(usage.output_tokens) - audio),
    audio,
    count(usage.web_search_requests),
    count(usage.requests ?? requests),
    count(usage.images),
    count(usage.seconds),
    count(usage.characters),
    count(usage.units),
    count(usage.request_bytes),
    count(usage.response_bytes),
  ]
  let inputTokens = 0
  let tokens = 0
  let whole = true
  counts.forEach((value, index) => {
    if (index < INPUT_END) inputTokens += value
    if (index < TOKEN_END) tokens += value
    if (!Number.isSafeInteger(value)) whole = false
  })
  return { counts, inputTokens, hasTokens: tokens > 0, whole }
}

/** A count in FRACTION_PARTS of its unit, rounded up. Exact for up to six decimals. */
export function partsOf(value: number): bigint {
  if (Number.isSafeInteger(value)) return BigInt(value) * FRACTION_PARTS
  const fixed = value.toFixed(6)
  const parts = BigInt(fixed.replace('.', ''))
  return Number(fixed) < value ? parts + 1n : parts
}
