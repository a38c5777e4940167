import fc from 'fast-check'
import { expect, it } from 'vitest'
import { CONDENSED_BYTES_MAX, CUT_STRING_BYTES } from '../../src/kernel/limits-body.ts'
import { Condensed } from '../../src/protocols/condensed.ts'
import { everyByte, randomCuts } from './support.ts'

const unit = fc.constantFrom('a', '"', '\\', '\\"', '\n', 'é', '漢', '🜁', '{', ',"x":', '\\\\')
/** Lengths on both sides of where strings are cut, as they are written in JSON. */
const text = fc
  .tuple(unit, fc.constantFrom(0, 1, 7, 100, CUT_STRING_BYTES), fc.integer({ min: -3, max: 3 }))
  .map(([each, bytes, more]) => {
    const size = Buffer.byteLength(JSON.stringify(each)) - 2
    return each.repeat(Math.max(0, Math.floor(bytes / size) + more))
  })
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    text,
    fc.constantFrom(null, 1, true),
    tie('list'),
    tie('object'),
  ),
  list: fc.array(tie('any'), { maxLength: 3 }),
  object: fc.dictionary(fc.constantFrom('a', 'usage', 'say "x"', '\\'), tie('any'), { maxKeys: 3 }),
})).any

const lengthOf = (string: string): number => Buffer.byteLength(JSON.stringify(string)) - 2
const isLong = (string: string): boolean => lengthOf(string) > CUT_STRING_BYTES

/** The same value with what is to be cut out of it. */
const cut = (json: string): unknown =>
  JSON.parse(json, (_, each: unknown) =>
    typeof each === 'string' && isLong(each) ? { farebox_cut: lengthOf(each) } : each,
  )

function condensed(bytes: Buffer, cuts: Iterable<number>): string | null {
  const kept = new Condensed()
  let from = 0
  for (const to of [...cuts, bytes.length]) {
    if (!kept.add(bytes.subarray(from, to))) return null
    from = to
  }
  return kept.take().toString()
}

it('what is left of JSON is all but its long strings, whatever the pieces', () => {
  fc.assert(
    fc.property(value, fc.nat(), fc.constantFrom(3, 500, 70_000), (whole, seed, most) => {
      const json = JSON.stringify(whole)
      const bytes = Buffer.from(json)
      const left = condensed(bytes, randomCuts(bytes, seed, most))
      expect(left === null ? null : JSON.parse(left)).toEqual(cut(json))
    }),
    { numRuns: 300 },
  )
})

it('is told of too much by what is left, not by what came', () => {
  const picture = Buffer.from(JSON.stringify({ a: 'x'.repeat(20_000_000), b: 1 }))
  expect(condensed(picture, randomCuts(picture, 1, 100_000))).toBe(
    '{"a":{"farebox_cut":20000000},"b":1}',
  )
  const numbers = Buffer.from(JSON.stringify(new Array(CONDENSED_BYTES_MAX / 2).fill(7)))
  expect(condensed(numbers, randomCuts(numbers, 1, 100_000))).toBeNull()
  expect(condensed(numbers.subarray(0, -1000), randomCuts(numbers, 1, 100_000))).not.toBeNull()
})

it('is as it was where it is no JSON', () => {
  for (const text of ['', 'a"', '"\\', '\\"a"b\\\\"', 'event: a"b\ndata: {"x":"y"}\n\n']) {
    const bytes = Buffer.from(text)
    expect(condensed(bytes, everyByte(bytes))).toBe(text)
  }
})
