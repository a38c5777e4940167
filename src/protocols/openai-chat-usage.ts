import { nonZero, type Buckets, type Usage } from '../kernel/usage.ts'
import { countOr, objectOr, type JsonObject } from './json.ts'

export interface ReportedUsage {
  /** null = no count at all was reported. */
  readonly usage: Usage | null
  readonly inputReported: boolean
  readonly outputReported: boolean
}

export const UNREPORTED: ReportedUsage = {
  usage: null,
  inputReported: false,
  outputReported: false,
}

/**
 * A `usage` object of chat/completions as disjoint buckets: uncached input = prompt − cached −
 * cache writes − audio − image; everything in completion is output, rejected predictions too.
 * Source: providers.md §1.
 */
export function openaiUsage(reported: JsonObject | null): ReportedUsage {
  if (reported === null) return UNREPORTED
  const prompt = countOr(reported.prompt_tokens)
  const completion = countOr(reported.completion_tokens)
  if (prompt === null && completion === null) return UNREPORTED
  const usage = nonZero({
    ...inputBuckets(reported, prompt ?? 0),
    ...outputBuckets(reported, prompt ?? 0, completion ?? 0),
    web_search_requests: webSearches(reported),
  })
  return { usage, inputReported: prompt !== null, outputReported: completion !== null }
}

function inputBuckets(reported: JsonObject, prompt: number): Buckets {
  const details = objectOr(reported.prompt_tokens_details)
  const write = countOr(details.cache_write_tokens) ?? 0
  const read =
    countOr(details.cached_tokens) ?? // deepseek says it twice; older ones only in its own words
    countOr(reported.prompt_cache_hit_tokens) ??
    countOr(reported.cached_tokens) ??
    0
  let audio = countOr(details.audio_tokens) ?? 0
  let image = countOr(details.image_tokens) ?? 0
  let input = prompt - read - write - audio - image
  // The same tokens written and read in one call (OpenRouter) are billed as both.
  if (input < 0) input += Math.min(read, write)
  if (input < 0) {
    // Media inside the cached part: they stay in the cached bucket.
    const fromImage = Math.min(image, -input)
    const fromAudio = Math.min(audio, -input - fromImage)
    image -= fromImage
    audio -= fromAudio
    input = 0
  }
  return {
    input_tokens: input,
    cache_read_tokens: read,
    cache_write_tokens: write,
    input_audio_tokens: audio,
    input_image_tokens: image,
  }
}

function outputBuckets(reported: JsonObject, prompt: number, completion: number): Buckets {
  const details = objectOr(reported.completion_tokens_details)
  const reasoning = countOr(details.reasoning_tokens) ?? 0
  const audio = countOr(details.audio_tokens) ?? 0
  // xAI counts reasoning beside completion; its total tells.
  const outside = countOr(reported.total_tokens) === prompt + completion + reasoning
  const output = outside ? completion + reasoning : completion
  return {
    output_tokens: output,
    output_reasoning_tokens: Math.min(reasoning, output),
    output_audio_tokens: Math.min(audio, output),
  }
}

function webSearches(reported: JsonObject): number {
  const details = objectOr(reported.server_tool_use_details ?? reported.server_tool_use)
  return countOr(details.web_search_requests) ?? 0
}
