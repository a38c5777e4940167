import { describe, expect, test } from 'vitest'
import { decimalOf, readAmount } from '../../../src/reconcile/audit/amounts.ts'

describe('an amount', () => {
  test.each([
    // What can be read in one way only is read so in both.
    ['20.00', 20, 20],
    ['20,00', 20, 20],
    ['1,234.50', 1234.5, 1234.5],
    ['1.234,50', 1234.5, 1234.5],
    ['1.000.000', 1_000_000, 1_000_000],
    ['1.000.000,5', 1_000_000.5, 1_000_000.5],
    ['12,34,567.00', 1_234_567, 1_234_567],
    ['0.005', 0.005, 0.005],
    ['0,005', 0.005, 0.005],
    ['.500', 0.5, 0.5],
    ['-1.234,5 €', -1234.5, -1234.5],
    ['$20', 20, 20],
    ['1234.567', 1234.567, 1234.567],
    // What cannot follows the file.
    ['1.000', 1, 1000],
    ['1,000', 1000, 1],
    ['-12.345', -12.345, -12_345],
    // And what is no amount is none.
    ['', null, null],
    ['free', null, null],
    ['1.2,3.4', null, null],
    ['1,2,3', null, null],
    ['1-2', null, null],
  ])('%s is %s with a decimal point, %s with a decimal comma', (text, point, comma) => {
    const micros = (units: number | null) => units && Math.round(units * 1_000_000)
    expect(readAmount(text, '.')).toBe(micros(point))
    expect(readAmount(text, ',')).toBe(micros(comma))
  })
})

describe('the decimal mark of a file', () => {
  test.each([
    [['1.000', '12,50'], ',', ',', '12,50'],
    [['1.000', '12.50'], ';', '.', '12.50'],
    [['1.000', '2.500'], ';', ',', null],
    [['1.000', '2.500'], ',', '.', null],
    [['1.000', '1.000.000'], ',', ',', '1.000.000'],
    [['12.50', '12,50'], ';', ',', null],
    [[], '\t', '.', null],
  ] as const)('of %j parted by "%s" is "%s"', (amounts, separator, decimal, sure) => {
    expect(decimalOf(amounts, separator)).toEqual({ decimal, sure })
  })
})
