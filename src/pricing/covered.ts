import type { Buckets } from '../kernel/usage.ts'
import type { Ruling } from './resolve.ts'
import { TOKEN_UNITS, type Unit } from './units.ts'

/** Buckets beside tokens. */
const UNIT_OF: ReadonlyMap<string, Unit> = new Map<string, Unit>([
  ['web_search_requests', 'web_search'],
  ['images', 'image'],
  ['seconds', 'second'],
  ['characters', 'character'],
  ['requests', 'request'],
  ['request_bytes', 'request_byte'],
  ['response_bytes', 'response_byte'],
  ['units', 'unit'],
])
/** Told in tokens where they come alone; see Band. */
const TOLD_IN_TOKENS: ReadonlySet<Unit> = new Set(['image', 'second', 'character', 'web_search'])

/**
 * Whether a price says of anything in `usage` what it costs, be it nothing: what it is silent about
 * would be free by mistake. A price of the request itself covers every usage.
 * Source: providers.md §5 (a missing price is never free).
 */
export function coversAny({ document, terms }: Ruling, usage: Buckets): boolean {
  const names = (unit: Unit): boolean =>
    document.prices[unit] !== undefined || terms.credits[unit] !== undefined
  const pricesTokens = TOKEN_UNITS.some(names)
  const covers = (bucket: string): boolean => {
    const unit = UNIT_OF.get(bucket)
    if (unit === undefined) return pricesTokens
    return names(unit) || (pricesTokens && TOLD_IN_TOKENS.has(unit))
  }
  const used = Object.entries(usage).flatMap(([name, count]) => (count > 0 ? [name] : []))
  return used.length === 0 || names('request') || used.some(covers)
}
