import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  setMembers,
  shapeOf,
  visitMembers,
  withPlainKeys,
  type JsonShape,
} from '../../src/protocols/json-scan.ts'
import { countOr, isObject } from '../../src/protocols/json.ts'
import { findDuplicateKeys } from '../../src/protocols/request-body.ts'

/** JSON text as clients write it: odd white space, escapes, exponents, repeated keys. */
const space = fc.constantFrom('', '', ' ', '\n', '\t ', '\r\n')
const number = fc.constantFrom('0', '-0', '1e400', '-1E-7', '12345678901234567890', '1.50', '7')
const PIECES = ['a', '"', '{', '}', '[', ']', ':', ',', '\u0000', 'é', '漢', '🜁', '\ud800']
const unitsOf = (text: string): string =>
  Array.from({ length: text.length }, (_, at) => text.charCodeAt(at).toString(16).padStart(4, '0'))
    .map((unit) => `\\u${unit}`)
    .join('')
const writtenWith = (pieces: string[]): fc.Arbitrary<string> =>
  fc
    .tuple(fc.array(fc.constantFrom(...pieces), { maxLength: 6 }), fc.boolean())
    .map(([parts, all]) => (all ? `"${unitsOf(parts.join(''))}"` : JSON.stringify(parts.join(''))))
const escaped = writtenWith([...PIECES, '\\'])
// No key has a backslash in it: once V8 met such a key, JSON.parse is no oracle (node#63785).
const key = fc.oneof(
  writtenWith(PIECES),
  fc.constantFrom(
    '"a"',
    '"b"',
    '"\\u0061"',
    '"__proto__"',
    '"constructor"',
    '"stream_options"',
    '""',
  ),
)
const list = (item: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(space, fc.array(fc.tuple(space, item, space), { maxLength: 4 }))
    .map(([pad, items]) =>
      items.length === 0 ? pad : items.map((each) => each.join('')).join(','),
    )
const { object, value } = fc.letrec<{ object: string; value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(number, escaped, fc.constantFrom('true', 'false', 'null')),
    list(tie('value')).map((items) => `[${items}]`),
    tie('object'),
  ),
  object: list(
    fc.tuple(key, space, space, tie('value')).map(([k, a, b, v]) => `${k}${a}:${b}${v}`),
  ).map((members) => `{${members}}`),
}))

const parse = (text: string | Buffer): unknown => JSON.parse(text.toString())

/** Members as JSON.parse sees them one by one: a reviver is called for each, repeated or not. */
function membersOf(raw: Buffer): [string, unknown][] {
  const members: [string, unknown][] = []
  visitMembers(raw, 0, ({ key, valueStart, valueEnd }) => {
    members.push([key, parse(raw.subarray(valueStart, valueEnd))])
  })
  return members
}

describe('the scanner', () => {
  it('finds the members that JSON.parse finds, the last of repeated ones ruling', () => {
    fc.assert(
      fc.property(space, object, space, (before, text, after) => {
        const raw = Buffer.from(`${before}${text}${after}`)
        const parsed = parse(raw)
        const scanned: Record<string, unknown> = {}
        for (const [name, each] of membersOf(raw)) {
          Object.defineProperty(scanned, name, {
            value: each,
            enumerable: true,
            writable: true,
            configurable: true,
          })
        }
        expect(scanned).toEqual(parsed)
        expect(Object.keys(scanned)).toEqual(Object.keys(parsed ?? {}))
      }),
      { numRuns: 2_000 },
    )
  })

  it('measures depth and members as a parser does', () => {
    const shape = (json: unknown): JsonShape => {
      if (typeof json !== 'object' || json === null)
        return { depth: 0, members: 0, nodes: 0, values: 0, escapedKeys: false }
      const inner = Object.values(json).map(shape)
      const sumOf = (name: 'nodes' | 'values') => inner.reduce((sum, each) => sum + each[name], 0)
      return {
        nodes: 1 + (Array.isArray(json) ? 0 : inner.length) + sumOf('nodes'),
        values: Math.max(1, inner.length) + sumOf('values'),
        escapedKeys:
          (!Array.isArray(json) &&
            Object.keys(json).some((name) => JSON.stringify(name).slice(1, -1) !== name)) ||
          inner.some(({ escapedKeys }) => escapedKeys),
        depth: 1 + Math.max(0, ...inner.map(({ depth }) => depth)),
        members:
          (Array.isArray(json) ? 0 : inner.length) +
          inner.reduce((sum, { members }) => sum + members, 0),
      }
    }
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 5 }),
        fc.constantFrom(undefined, 1, '\t'),
        (json, indent) => {
          expect(shapeOf(Buffer.from(JSON.stringify(json, null, indent)))).toEqual(shape(json))
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('sets members and leaves every other byte as it came', () => {
    fc.assert(
      fc.property(
        object,
        value,
        fc.constantFrom('a', '__proto__', 'stream_options'),
        (text, set, name) => {
          const raw = Buffer.from(text)
          const edited = setMembers(raw, new Map([[name, Buffer.from(set)]]))
          if (edited === null) throw new Error('not an object')
          const before = membersOf(raw)
          const after = membersOf(edited)
          const there = before.some(([each]) => each === name)
          expect(after.map(([each]) => each)).toEqual([
            ...before.map(([each]) => each),
            ...(there ? [] : [name]),
          ])
          for (const [at, [each, json]] of after.entries()) {
            expect(json).toEqual(each === name ? parse(set) : before[at]?.[1])
          }
          expect(bytesOutside(edited, name)).toBe(bytesOutside(raw, name))
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('finds the keys that are repeated, whatever their spelling', () => {
    fc.assert(
      fc.property(object, (text) => {
        const raw = Buffer.from(text)
        const parsed = parse(raw)
        if (!isObject(parsed)) throw new Error('not an object')
        const names = membersOf(raw).map(([name]) => name)
        const twice = names.filter((name, at) => names.indexOf(name) !== at)
        const found = findDuplicateKeys(raw, parsed, new Set(names)).filter(({ inside }) => !inside)
        expect(new Set(found.map(({ key }) => key))).toEqual(new Set(twice))
      }),
      { numRuns: 1_000 },
    )
  })

  it('finds a key that is repeated inside a value', () => {
    const cases = [
      '{"a":[{"x":1,"x":2}]}',
      '{"a":{"x":{"y":1,"\\u0079":2}}}',
      '{"a":{"__proto__":1,"__proto__":2}}',
    ]
    for (const text of cases) {
      const parsed = parse(text)
      if (!isObject(parsed)) throw new Error('not an object')
      expect(findDuplicateKeys(Buffer.from(text), parsed, new Set(['a']))).toEqual([
        { key: 'a', inside: true },
      ])
      expect(findDuplicateKeys(Buffer.from(text), parsed, new Set(['b']))).toEqual([])
    }
  })

  it('writes keys plainly without changing what the text says', () => {
    fc.assert(
      fc.property(object, (text) => {
        const plain = withPlainKeys(Buffer.from(text))
        expect(parse(plain)).toEqual(parse(text))
        expect(shapeOf(plain)).toMatchObject({ members: shapeOf(Buffer.from(text)).members })
        expect(plain.toString()).not.toMatch(/"\\u0061"\s*:/)
      }),
      { numRuns: 1_000 },
    )
  })

  it('ends on any bytes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('{', '}', '[', ']', '"', '\\', ':', ',', ' ', 'a', '1'), {
          maxLength: 40,
        }),
        (parts) => {
          const raw = Buffer.from(parts.join(''))
          let members = 0
          visitMembers(raw, 0, () => {
            members += 1
          })
          expect(members).toBeLessThanOrEqual(raw.length)
          expect(countOr(shapeOf(raw).members)).not.toBeNull()
        },
      ),
      { numRuns: 3_000 },
    )
  })
})

/** The text with the values of `name` cut out, and the member that was appended for it. */
function bytesOutside(raw: Buffer, name: string): string {
  let text = ''
  let copied = 0
  visitMembers(raw, 0, ({ key, valueStart, valueEnd }) => {
    if (key !== name) return
    text += raw.toString('utf8', copied, valueStart)
    copied = valueEnd
  })
  text += raw.toString('utf8', copied)
  return text.replace(new RegExp(`,?${JSON.stringify(name)}:(?=\\s*\\}$)`), '')
}
