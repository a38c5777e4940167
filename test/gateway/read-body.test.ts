import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { splitQuery } from '../../src/gateway/plugin.ts'
import { nestsDeeper } from '../../src/gateway/read-body.ts'

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

describe('nesting of a body', () => {
  it('is found by bytes as by parsing, whatever the strings contain', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 0, max: 7 }), (value, max) => {
        const raw = Buffer.from(JSON.stringify(value))
        expect(nestsDeeper(raw, max)).toBe(depthOf(value) > max)
      }),
    )
  })

  it('ignores brackets inside strings with escapes', () => {
    const raw = Buffer.from(JSON.stringify({ a: '[[[[\\"[[[[\\\\' }))
    expect(nestsDeeper(raw, 1)).toBe(false)
  })

  it('ends on a truncated body', () => {
    expect(nestsDeeper(Buffer.from('{"a": "unfinished \\'), 4)).toBe(false)
    expect(nestsDeeper(Buffer.from('['.repeat(100_000)), 128)).toBe(true)
  })
})

describe('the query', () => {
  it('goes on as it came', () => {
    expect(splitQuery('/v1/messages?beta=true')).toEqual({ query: 'beta=true', key: null })
    expect(splitQuery('/v1/messages')).toEqual({ query: '', key: null })
  })

  it('loses the key that it carried', () => {
    expect(splitQuery('/v1/x?key=fb_test_a&beta=true')).toEqual({
      query: 'beta=true',
      key: 'fb_test_a',
    })
  })

  it('is bounded', () => {
    expect(splitQuery(`/v1/x?${'a'.repeat(5_000)}`)).toBeNull()
  })
})
