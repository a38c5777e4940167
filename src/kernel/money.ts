import { invariant, PastCountError } from './invariant.ts'

/**
 * Integer micro-credits: 1 credit = 1 000 000 micros. Always a safe integer (|x| ≤ 2^53−1).
 * Source: design §1.
 */
export type Micros = number & { readonly __unit: 'micros' }

export const MICROS_PER_CREDIT = 1_000_000

/** Brands a number as micros. Throws InvariantError, PastCountError where it is beyond 2^53−1. */
export function micros(value: number): Micros {
  const wrong = `not a safe integer of micros: ${value}`
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) throw new PastCountError(wrong)
  invariant(Number.isInteger(value), wrong)
  return (value === 0 ? 0 : value) as Micros // −0 would print as "-0"
}

export const ZERO: Micros = micros(0)

export const addMicros = (a: Micros, b: Micros): Micros => micros(a + b)
export const subMicros = (a: Micros, b: Micros): Micros => micros(a - b)
export const minMicros = (a: Micros, b: Micros): Micros => (a < b ? a : b)
export const maxMicros = (a: Micros, b: Micros): Micros => (a > b ? a : b)

/** Narrows an exact result. Throws PastCountError past 2^53−1. */
export function microsFromBigInt(value: bigint): Micros {
  return micros(Number(value))
}

const DECIMAL = /^(-?)(\d{1,16})(?:\.(\d{1,6}))?$/

/**
 * Reads a decimal string of credits ("10.5", at most six decimals) without a float.
 * Returns null for anything else, also where the amount would not be a safe integer.
 */
export function parseCredits(text: string): Micros | null {
  const match = DECIMAL.exec(text)
  if (!match) return null
  const [, sign = '', whole = '', fraction = ''] = match
  const exact = BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(6, '0'))
  if (exact > BigInt(Number.MAX_SAFE_INTEGER)) return null
  return micros(sign === '-' ? -Number(exact) : Number(exact))
}

/** "1.25" for 1 250 000 micros: the shortest exact decimal. */
export function formatCredits(amount: Micros): string {
  const sign = amount < 0 ? '-' : ''
  const digits = String(Math.abs(amount)).padStart(7, '0')
  let end = digits.length
  while (digits[end - 1] === '0' && end > digits.length - 6) end -= 1
  const fraction = digits.slice(digits.length - 6, end)
  return `${sign}${digits.slice(0, -6)}${fraction === '' ? '' : `.${fraction}`}`
}

/** How an amount looks in every JSON body. Source: design §8. */
export interface CreditsView {
  micros: number
  credits: string
}

export const viewCredits = (amount: Micros): CreditsView => ({
  micros: amount,
  credits: formatCredits(amount),
})
