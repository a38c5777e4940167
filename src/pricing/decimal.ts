/** A non-negative exact fraction. `den` is never zero. */
export interface Ratio {
  readonly num: bigint
  readonly den: bigint
}

export const ONE: Ratio = { num: 1n, den: 1n }

const DECIMAL = /^(\d{1,15})(?:\.(\d{1,18}))?$/

/**
 * Reads a plain decimal ("0.10") as an integer of 10^-`places`, without a float. null where it is
 * none, or where it has more than `places` decimals that are not zero.
 */
export function parseDecimal(text: string, places: number): bigint | null {
  const match = DECIMAL.exec(text)
  if (!match) return null
  const [, whole = '', fraction = ''] = match
  const kept = fraction.replace(/0+$/, '')
  if (kept.length > places) return null
  return BigInt(whole + kept.padEnd(places, '0'))
}

/** Reads a plain decimal of up to 18 places as a fraction; null where it is none. */
export function parseRatio(text: string): Ratio | null {
  const num = parseDecimal(text, 18)
  return num === null ? null : reduce({ num, den: 10n ** 18n })
}

/**
 * The exact value of the shortest decimal that stands for a double, as an integer of 10^-`places`,
 * rounded up. Float noise past 15 significant digits is dropped first (0.18000000000000002 is
 * 0.18). null where it is not a finite number ≥ 0.
 */
export function scaledUp(value: number, places: number): bigint | null {
  if (!Number.isFinite(value) || value < 0) return null
  const [digits = '', exponent = ''] = value.toExponential(14).split('e')
  const scale = Number(exponent) - 14 + places
  const integer = BigInt(digits.replace('.', ''))
  return scale >= 0 ? integer * 10n ** BigInt(scale) : divideUp(integer, 10n ** BigInt(-scale))
}

/** ⌈num ÷ den⌉ for num ≥ 0, den > 0. */
export const divideUp = (num: bigint, den: bigint): bigint => (num + den - 1n) / den

export const times = (a: Ratio, b: Ratio): Ratio =>
  reduce({ num: a.num * b.num, den: a.den * b.den })

/** ⌈value × ratio⌉. */
export const timesUp = (value: bigint, ratio: Ratio): bigint =>
  divideUp(value * ratio.num, ratio.den)

export function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b]
  while (y !== 0n) [x, y] = [y, x % y]
  return x
}

function reduce({ num, den }: Ratio): Ratio {
  const divisor = gcd(num, den)
  return { num: num / divisor, den: den / divisor }
}

/** "0.0125": exact where the denominator has no factor but 2 and 5, else cut at 24 places. */
export function formatRatio(ratio: Ratio): string {
  const whole = ratio.num / ratio.den
  let rest = ratio.num % ratio.den
  let fraction = ''
  while (rest !== 0n && fraction.length < 24) {
    rest *= 10n
    fraction += String(rest / ratio.den)
    rest %= ratio.den
  }
  return fraction === '' ? String(whole) : `${whole}.${fraction}`
}
