import { describe, expect, it } from 'vitest'
import { refuseQuery, splitQuery } from '../../src/gateway/query.ts'

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

describe('a parameter that goes on', () => {
  it.each([
    ['gemini', ''],
    ['gemini', 'alt=sse'],
    ['gemini', 'alt=json&prettyPrint=false'],
    ['anthropic', 'beta=true'],
    ['openai', 'api-version=2025-04-01-preview'],
    ['openai', 'trace=1&trace=2'],
  ] as const)('is one that changes nothing of what is metered: %s %s', (family, query) => {
    expect(refuseQuery(family, query)).toBeNull()
  })

  it.each([
    ['gemini', '$alt=sse', '$alt'],
    ['gemini', '%24alt=sse', '$alt'],
    ['gemini', 'alt=json&alt=sse', 'alt'],
    ['gemini', 'alt=sse&%61lt=sse', 'alt'],
    ['gemini', 'alt=proto', 'alt'],
    ['gemini', 'alt=media', 'alt'],
    ['gemini', 'alt=SSE', 'alt'],
    ['gemini', 'alt=sse;fields=x', 'alt'],
    ['gemini', 'alt=sse#x', 'alt'],
    ['gemini', 'alt', 'alt'],
    ['gemini', 'Alt=sse', 'Alt'],
    ['gemini', 'alt=sse&fields=candidates(content)', 'fields'],
    ['gemini', '$fields=candidates', '$fields'],
    ['gemini', '$httpHeaders=x-goog-fieldmask:candidates', '$httpHeaders'],
    ['gemini', 'callback=f', 'callback'],
    ['gemini', '%6bey=theirs', 'key'],
    ['gemini', 'access_token=theirs', 'access_token'],
    ['openai', 'fields=choices', 'fields'],
    ['openai', '$alt=sse', '$alt'],
    ['anthropic', 'alt=sse', 'alt'],
  ] as const)('is refused where it could hide what was used: %s %s', (family, query, named) => {
    const refusal = refuseQuery(family, query)
    expect(refusal).toMatchObject({ code: 'unsupported_feature' })
    expect(refusal?.message).toContain(`"${named}"`)
  })
})
