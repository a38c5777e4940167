import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CONDENSED_BYTES_MAX, CUT_STRING_BYTES } from '../../src/kernel/limits/answers.ts'
import { Condensed } from '../../src/protocols/condensed.ts'
import { makeSseSplitter } from '../../src/protocols/sse.ts'
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
  object: fc.dictionary(
    fc.oneof(fc.constantFrom('a', 'usage', 'say "x"', '\\'), text),
    tie('any'),
    {
      maxKeys: 3,
    },
  ),
})).any

const lengthOf = (string: string): number => Buffer.byteLength(JSON.stringify(string)) - 2
const isLong = (string: string): boolean => lengthOf(string) > CUT_STRING_BYTES

/** The same value with what is to be cut out of it. */
const cut = (json: string): unknown =>
  JSON.parse(json, (_, each: unknown): unknown => {
    if (typeof each === 'string') return isLong(each) ? { farebox_cut: lengthOf(each) } : each
    if (typeof each !== 'object' || each === null || Array.isArray(each)) return each
    const named = Object.entries(each).map(([key, value]: [string, unknown]) => [
      isLong(key) ? 'farebox_key' : key,
      value,
    ])
    return Object.fromEntries(named)
  })

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
  for (const text of [
    ...['', 'a"', '"\\', '"\\\n"', '\\"a"b\\\\"', '"\r"\n"'],
    'event: a"b\ndata: {"x":"y"}\n\n',
  ]) {
    const bytes = Buffer.from(text)
    expect(condensed(bytes, everyByte(bytes))).toBe(text)
  }
})

/** What beside its data an event may have, with quotes that are no JSON. */
const odd = fc.constantFrom(
  'event: a"b',
  ': say \\"',
  `: "${'x'.repeat(2 * CUT_STRING_BYTES)}`,
  'id: "',
)
const size = fc.constantFrom(0, CUT_STRING_BYTES, 100_000, CONDENSED_BYTES_MAX)
const huge = fc
  .tuple(fc.constantFrom('a', '\\', '"', 'é', '\n'), size, fc.nat(3))
  .map(([each, length, more]) => each.repeat(length + more))
const usage = fc.record({ input_tokens: fc.nat(), output_tokens: fc.nat() })

/** JSON as some write it: spaces, and a line of data for each of its own. */
const written = (json: unknown, indent: number): string =>
  JSON.stringify(json, null, indent).replace(/(?<=")(?=:|,)/g, indent === 0 ? '' : ' ')

describe('usage of a large event', () => {
  const data = (bytes: Buffer, cuts: Iterable<number>): string[] => {
    const found: string[] = []
    const splitter = makeSseSplitter({
      event: (event) => (found.push(event.data ?? ''), 'drop'),
      oversized: () => (found.push('too much of it'), 'drop'),
    })
    let from = 0
    for (const to of [...cuts, bytes.length]) {
      splitter.push(bytes.subarray(from, to))
      from = to
    }
    return found
  }

  it('is that of all of it, wherever long strings and keys are, and odd quotes', () => {
    const members = fc.tuple(huge, huge, huge, huge)
    const shape = fc.record({ members, usage, lines: fc.array(odd, { maxLength: 2 }) })
    const pieces = fc.record({ seed: fc.nat(), most: fc.constantFrom(700, 16_384, 300_000) })
    const ends = fc.constantFrom('\n', '\r', '\r\n')
    fc.assert(
      fc.property(
        shape,
        pieces,
        ends,
        fc.constantFrom(0, 2),
        (one, { seed, most }, end, indent) => {
          const [key, text, inner, item] = one.members
          const json = {
            [key]: text,
            a: [item, { [inner]: 1 }],
            usage: one.usage,
            [`${key}z`]: item,
          }
          const lines = written(json, indent).split('\n')
          const event = [...one.lines, ...lines.map((line) => `data: ${line}`), '', ''].join(end)
          const bytes = Buffer.from(event)
          const [only, ...more] = data(bytes, randomCuts(bytes, seed, most))
          expect(more).toEqual([])
          expect(JSON.parse(only ?? '')).toMatchObject({ usage: one.usage })
        },
      ),
      { numRuns: 100 },
    )
  })
})
