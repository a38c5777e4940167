import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCredits, micros, parseCredits } from '../../src/kernel/money.ts'

describe('credits as decimals', () => {
  it('are written and read back exactly, to the last safe integer', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const amount = micros(value)
        expect(parseCredits(formatCredits(amount))).toBe(amount)
      }),
    )
  })

  it('are refused where they would not be exact', () => {
    for (const text of [
      '',
      '1.',
      '.5',
      '1e3',
      '1.2345678',
      'NaN',
      ' 1',
      '9007199254.740992',
      '+1',
    ]) {
      expect(parseCredits(text)).toBeNull()
    }
    expect(parseCredits('9007199254.740991')).toBe(Number.MAX_SAFE_INTEGER)
  })

  it('are the shortest decimals', () => {
    expect(formatCredits(micros(1_250_000))).toBe('1.25')
    expect(formatCredits(micros(-1))).toBe('-0.000001')
    expect(formatCredits(micros(0))).toBe('0')
  })

  it('never hold what is not a safe integer', () => {
    for (const value of [0.5, Number.NaN, Infinity, 2 ** 53]) {
      expect(() => micros(value)).toThrow('safe integer')
    }
  })
})
