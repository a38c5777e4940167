/**
 * Disjoint units of one request: every token is in exactly one bucket, save the two `output_…`
 * details, which are parts of `output_tokens`. A bucket that is absent was not reported or is
 * zero. Source: design §8 (receipt), providers.md §1.
 */
export interface Buckets {
  input_tokens?: number
  cache_read_tokens?: number
  cache_write_5m_tokens?: number
  cache_write_1h_tokens?: number
  /** Cache writes whose lifetime the provider did not split. Priced as 5-minute writes. */
  cache_write_tokens?: number
  input_audio_tokens?: number
  input_image_tokens?: number
  /** All output: text, reasoning, audio, rejected predictions. */
  output_tokens?: number
  output_reasoning_tokens?: number
  output_audio_tokens?: number
  web_search_requests?: number
  images?: number
  seconds?: number
  characters?: number
  requests?: number
  request_bytes?: number
  response_bytes?: number
  units?: number
}

export type BucketName = keyof Buckets

const BUCKETS: readonly BucketName[] = [
  'input_tokens',
  'cache_read_tokens',
  'cache_write_5m_tokens',
  'cache_write_1h_tokens',
  'cache_write_tokens',
  'input_audio_tokens',
  'input_image_tokens',
  'output_tokens',
  'output_reasoning_tokens',
  'output_audio_tokens',
  'web_search_requests',
  'images',
  'seconds',
  'characters',
  'requests',
  'request_bytes',
  'response_bytes',
  'units',
]

/** Usage that the provider bills beside its top-level numbers (compaction, advisor, …). */
export interface Iteration {
  type: string
  /** null: the model of the request. */
  model: string | null
  usage: Buckets
}

export interface Usage extends Buckets {
  iterations?: Iteration[]
}

/** Drops zero and absent buckets; the form that is stored and shown. */
export function nonZero(usage: Usage): Usage {
  const kept: Usage = {}
  for (const name of BUCKETS) {
    const value = usage[name]
    if (value !== undefined && value !== 0) kept[name] = value
  }
  if (usage.iterations !== undefined && usage.iterations.length > 0) {
    kept.iterations = usage.iterations
  }
  return kept
}
