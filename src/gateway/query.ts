import { refuse, type Refusal } from '../kernel/errors.ts'
import { QUERY_CHARS_MAX } from '../kernel/limits/requests.ts'
import type { Family } from '../protocols/protocol.ts'

/** The raw query without the "?" and without our own `key`; null where it is too long. */
export function splitQuery(url: string): { query: string; key: string | null } | null {
  const at = url.indexOf('?')
  if (at < 0) return { query: '', key: null }
  const raw = url.slice(at + 1)
  if (raw.length > QUERY_CHARS_MAX) return null
  if (!raw.includes('key=')) return { query: raw, key: null }
  const params = new URLSearchParams(raw)
  const key = params.get('key')
  params.delete('key')
  return { query: params.toString(), key }
}

/** What Gemini's protocol needs of a query, and the values it may have (null = any). */
const GEMINI: ReadonlyMap<string, RegExp | null> = new Map([
  ['alt', /^(?:sse|json)$/],
  ['prettyPrint', null],
])

/**
 * Google's parameters for all of its APIs, OpenAI-compatible ones too: they hide parts of an
 * answer, change its format, or stand for headers.
 * Source: cloud.google.com/apis/docs/system-parameters.
 */
const SYSTEM =
  /^(?:\$.*|access_token|alt|callback|fields|key|oauth_token|upload_?protocol|upload_?type)$/i

function isOffered(family: Family, name: string, value: string): boolean {
  if (family !== 'gemini') return !SYSTEM.test(name)
  const values = GEMINI.get(name)
  return values === null || values?.test(value) === true
}

/** Why a query cannot go on to a provider of the family; null = it can. */
export function refuseQuery(family: Family, query: string): Refusal | null {
  if (query === '') return null
  const seen = new Set<string>()
  for (const [name, value] of new URLSearchParams(query)) {
    const isRepeated = family === 'gemini' && seen.has(name)
    if (isRepeated || !isOffered(family, name, value)) {
      const shown = JSON.stringify(name.slice(0, 64))
      return refuse('unsupported_feature', `The query's ${shown} is not offered here in this way.`)
    }
    seen.add(name)
  }
  return null
}
