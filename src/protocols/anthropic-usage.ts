import { nonZero, type Buckets, type Iteration, type Usage } from '../kernel/usage.ts'
import { arrayOr, countOr, isObject, objectOr, textOr, type JsonObject } from './json.ts'

interface CacheSplit {
  readonly fiveMinutes: number
  readonly oneHour: number
}

/** Cache writes by lifetime; `total` may be newer than `split` (a delta raises it alone). */
function cacheWrites(total: number | null, split: CacheSplit | null): Buckets {
  if (split === null) return { cache_write_tokens: total ?? 0 }
  const rest = (total ?? 0) - split.fiveMinutes - split.oneHour
  // A total below its parts replaced them: what remains has no stated lifetime.
  if (total !== null && rest < 0) return { cache_write_tokens: total }
  return {
    cache_write_5m_tokens: split.fiveMinutes,
    cache_write_1h_tokens: split.oneHour,
    cache_write_tokens: Math.max(0, rest),
  }
}

function cacheSplit(reported: unknown): CacheSplit | null {
  if (!isObject(reported)) return null
  const fiveMinutes = countOr(reported.ephemeral_5m_input_tokens)
  const oneHour = countOr(reported.ephemeral_1h_input_tokens)
  if (fiveMinutes === null && oneHour === null) return null
  return { fiveMinutes: fiveMinutes ?? 0, oneHour: oneHour ?? 0 }
}

/** Buckets of one usage object of the Messages API. `input_tokens` excludes the cache there. */
function anthropicBuckets(reported: JsonObject): Buckets {
  const output = countOr(reported.output_tokens) ?? 0
  const thinking = countOr(objectOr(reported.output_tokens_details).thinking_tokens) ?? 0
  const { web_search_requests: searches } = objectOr(reported.server_tool_use)
  return nonZero({
    input_tokens: countOr(reported.input_tokens) ?? 0,
    cache_read_tokens: countOr(reported.cache_read_input_tokens) ?? 0,
    ...cacheWrites(
      countOr(reported.cache_creation_input_tokens),
      cacheSplit(reported.cache_creation),
    ),
    output_tokens: output,
    output_reasoning_tokens: Math.min(thinking, output),
    web_search_requests: countOr(searches) ?? 0,
  })
}

interface Attempt {
  readonly type: string
  readonly model: string | null
  readonly buckets: Buckets
}

const readAttempt = (reported: JsonObject): Attempt => ({
  type: textOr(reported.type) ?? 'unknown',
  model: textOr(reported.model),
  buckets: anthropicBuckets(reported),
})

/** All input, cached or not. */
export const inputOf = (buckets: Buckets): number =>
  (buckets.input_tokens ?? 0) +
  (buckets.cache_read_tokens ?? 0) +
  (buckets.cache_write_tokens ?? 0) +
  (buckets.cache_write_5m_tokens ?? 0) +
  (buckets.cache_write_1h_tokens ?? 0)

const sum = (attempts: readonly Attempt[], of: (buckets: Buckets) => number): number =>
  attempts.reduce((total, { buckets }) => total + of(buckets), 0)

const FALLBACK = 'fallback_message'

/**
 * Which iterations the top level already contains. By their nature: `message` and
 * `fallback_message` do, compaction and advisor do not; of an answer that a fallback served, only
 * the fallback's own. The numbers decide where they fit one reading: the first whose sums are the
 * top level's. Source: providers.md §1, @anthropic-ai/sdk BetaFallbackMessageIterationUsage.
 */
function partsOfTop(attempts: readonly Attempt[], top: Buckets): readonly Attempt[] {
  const server = attempts.findLast(({ type }) => type === FALLBACK)
  const messages = attempts.filter(({ type }) => type === 'message' || type === FALLBACK)
  const served = messages.filter(({ type, model }) => type === FALLBACK || model === server?.model)
  const usual = server === undefined ? messages : served
  const readings = [usual, messages, attempts, attempts.filter((each) => each === server)]
  const outputOf = (buckets: Buckets): number => buckets.output_tokens ?? 0
  const fits = (parts: readonly Attempt[]): boolean =>
    sum(parts, inputOf) === inputOf(top) && sum(parts, outputOf) === outputOf(top)
  return readings.find(fits) ?? usual
}

export interface AnthropicUsage {
  readonly usage: Usage
  /** The model of the fallback that served the answer, null = none did. */
  readonly servedBy: string | null
}

/** A merged usage object as buckets, with the iterations that its top level leaves out. */
export function anthropicUsage(reported: JsonObject, model: string | null): AnthropicUsage {
  const top = anthropicBuckets(reported)
  const attempts = arrayOr(reported.iterations).filter(isObject).map(readAttempt)
  const servedBy = attempts.findLast(({ type }) => type === FALLBACK)?.model ?? null
  const inside = new Set(partsOfTop(attempts, top))
  const iterations: Iteration[] = attempts
    .filter((each) => !inside.has(each) && Object.keys(each.buckets).length > 0)
    .map((each) => ({ type: each.type, model: each.model ?? model, usage: each.buckets }))
  return { usage: iterations.length === 0 ? top : { ...top, iterations }, servedBy }
}
