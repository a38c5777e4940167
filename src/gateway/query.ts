import { refuse, type Refusal } from '../kernel/errors.ts'
import { QUERY_CHARS_MAX } from '../kernel/limits.ts'
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

/**
 * Parameters that change nothing of what is metered, and the values they may have (null = any).
 * Google takes others, on its OpenAI-compatible paths too, that hide parts of an answer, change
 * its format, or stand for headers. Source: cloud.google.com/apis/docs/system-parameters.
 */
const PASSED: Readonly<Record<Family, ReadonlyMap<string, RegExp | null>>> = {
  openai: new Map([
    ['beta', null],
    ['api-version', null],
  ]),
  anthropic: new Map([['beta', null]]),
  gemini: new Map([
    ['alt', /^(?:sse|json)$/],
    ['prettyPrint', null],
  ]),
}

/** Why a query cannot go on to a provider of the family; null = it can. */
export function refuseQuery(family: Family, query: string): Refusal | null {
  const seen = new Set<string>()
  for (const [name, value] of new URLSearchParams(query)) {
    const values = PASSED[family].get(name)
    const isPassed = values === null || values?.test(value) === true
    if (!isPassed || seen.has(name)) {
      const shown = JSON.stringify(name.slice(0, 64))
      return refuse('unsupported_feature', `The query's ${shown} is not offered here in this way.`)
    }
    seen.add(name)
  }
  return null
}
