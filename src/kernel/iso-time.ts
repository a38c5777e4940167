let second = NaN
let secondText = ''

/**
 * ISO 8601 in UTC, to the millisecond, of Unix ms; fractions are dropped. `toISOString` costs five
 * times as much where most times are of the same second. Throws RangeError for a time that is none.
 */
export function isoTime(ms: number): string {
  const whole = Math.floor(ms)
  const its = Math.floor(whole / 1_000)
  if (its !== second) {
    secondText = new Date(its * 1_000).toISOString().slice(0, -4) // without its ms and Z
    second = its
  }
  return `${secondText}${String(whole - its * 1_000).padStart(3, '0')}Z`
}
