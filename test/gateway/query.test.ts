import { describe, expect, it } from 'vitest'
import { splitQuery } from '../../src/gateway/query.ts'

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
