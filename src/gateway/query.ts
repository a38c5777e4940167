import { QUERY_CHARS_MAX } from '../kernel/limits.ts'

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
