import { describe, expect, it } from 'vitest'
import {
  formatRatio,
  parseDecimal,
  parseRatio,
  scaledUp,
  timesUp,
} from '../../src/pricing/decimal.ts'

describe('decimals', () => {
  it('are read exactly, at the limits too', () => {
    expect(parseDecimal('0.10', 6)).toBe(100_000n)
    expect(parseDecimal('0.000001', 6)).toBe(1n)
    expect(parseDecimal('999999999999999.999999', 6)).toBe(999_999_999_999_999_999_999n)
    expect(parseDecimal('1.2000000000', 1)).toBe(12n)
    expect(parseDecimal('1.25', 1)).toBeNull()
    for (const text of ['', '.5', '5.', '+1', '-1', '1e3', ' 1', '1 ', '0x1', 'NaN', '1,5']) {
      expect(parseDecimal(text, 6)).toBeNull()
    }
  })

  it('become fractions in lowest terms and print again', () => {
    expect(parseRatio('1.20')).toEqual({ num: 6n, den: 5n })
    expect(formatRatio({ num: 6n, den: 5n })).toBe('1.2')
    expect(formatRatio({ num: 300n, den: 1n })).toBe('300')
    expect(formatRatio({ num: 1n, den: 1_000_000n })).toBe('0.000001')
  })

  it('come from doubles by their shortest decimal, rounded up only past the last place', () => {
    expect(scaledUp(0.1, 6)).toBe(100_000n)
    expect(scaledUp(0.075, 6)).toBe(75_000n)
    expect(scaledUp(0.003625, 6)).toBe(3_625n)
    expect(scaledUp(0.18000000000000002, 6)).toBe(180_000n)
    expect(scaledUp(0.08333333333333334, 6)).toBe(83_334n)
    expect(scaledUp(150, 6)).toBe(150_000_000n)
    expect(scaledUp(0, 6)).toBe(0n)
    expect(scaledUp(-1, 6)).toBeNull()
    expect(scaledUp(Number.NaN, 6)).toBeNull()
  })

  it('multiply upwards', () => {
    expect(timesUp(83_333n, { num: 1n, den: 2n })).toBe(41_667n)
    expect(timesUp(0n, { num: 6n, den: 1n })).toBe(0n)
  })
})
