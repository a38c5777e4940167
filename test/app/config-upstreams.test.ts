import { describe, expect, it } from 'vitest'
import { ConfigError, parseConfig } from '../../src/config.ts'

const HEAD = `upstreams:
  main:
    protocol: openai
    fallback: `
const REST = `
  other: { protocol: openai, fallback: main }
  claude: { protocol: anthropic }
  weather: { protocol: http, base_url: https://weather.example }
  wind: { protocol: http, base_url: https://wind.example, fallback: [weather] }
`

/** What is said of a configuration; null = it is a good one. */
function complaint(fallback: string): string | null {
  try {
    parseConfig(HEAD + fallback + REST, 'farebox.yaml', {})
    return null
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
}

it('a key that is empty is told as that, and how it may have become so', () => {
  const file = "upstreams: { openai: { protocol: openai, api_key: '${OPENAI_API_KEY}' } }"
  expect(() => parseConfig(file, 'farebox.yaml', { OPENAI_API_KEY: '' })).toThrow(
    'upstreams.openai.api_key: is empty: set its variable, or leave the upstream out',
  )
})

describe('an upstream that stands in for another', () => {
  it('is one or several of the same protocol, also each for the other', () => {
    expect(complaint('other')).toBeNull()
    expect(complaint('[other]')).toBeNull()
  })

  it.each([
    ['nobody', 'there is no upstream "nobody"'],
    ['[other, nobody]', 'there is no upstream "nobody"'],
    ['main', 'an upstream cannot stand in for itself'],
    ['claude', '"claude" speaks anthropic, not openai'],
    ['weather', '"weather" speaks http, not openai'],
    ['[other, other]', '"other" is named twice'],
    ['constructor', 'there is no upstream "constructor"'],
    ['[]', 'Too small'],
  ])('%s is refused, with the place and the reason', (fallback, reason) => {
    const said = complaint(fallback)
    expect(said).toMatch(
      /^The configuration is not valid\.\nfarebox\.yaml:4: upstreams\.main\.fallback/,
    )
    expect(said).toContain(reason)
  })
})

describe('a base URL', () => {
  const said = (baseUrl: string): string | null =>
    complaint(`other\n  more: { protocol: openai, base_url: '${baseUrl}' }`)

  it.each(['https://one.example', 'http://127.0.0.1:8000/v1', 'https://one.example/a/b/'])(
    'is scheme, host and path: %s',
    (baseUrl) => {
      expect(said(baseUrl)).toBeNull()
    },
  )

  it.each([
    'https://user:secret@one.example/v1',
    'https://one.example/v1?api-version=preview',
    'https://one.example/v1#fragment',
  ])('is not what would be left out: %s', (baseUrl) => {
    expect(said(baseUrl)).toContain('takes no login, query or fragment')
  })
})
