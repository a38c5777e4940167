import { nonZero, type Usage } from '../kernel/usage.ts'
import { arrayOr, countOr, objectOr, type JsonObject } from './json.ts'

export interface GeminiUsage {
  /** null = no count was reported. */
  readonly usage: Usage | null
  readonly inputReported: boolean
  /** Candidates and thoughts so far: running until the answer is complete. */
  readonly outputTokens: number
}

/** Tokens of one modality in a list of [{modality, tokenCount}]. */
function tokensOf(details: unknown, modality: string): number {
  return arrayOr(details)
    .map(objectOr)
    .filter((detail) => detail.modality === modality)
    .reduce((sum, detail) => sum + (countOr(detail.tokenCount) ?? 0), 0)
}

/**
 * A `usageMetadata` as disjoint buckets: the prompt includes what was cached, billed output is
 * candidates and thoughts, and what tools brought is more input. Sound and pictures inside the
 * cached part stay in the cached bucket. Source: providers.md §1.
 */
export function geminiUsage(reported: JsonObject): GeminiUsage {
  const prompt = countOr(reported.promptTokenCount)
  const candidates = countOr(reported.candidatesTokenCount)
  const thoughts = countOr(reported.thoughtsTokenCount) ?? 0
  const outputTokens = (candidates ?? 0) + thoughts
  if (prompt === null && candidates === null) {
    return { usage: null, inputReported: false, outputTokens }
  }
  const cached = Math.min(countOr(reported.cachedContentTokenCount) ?? 0, prompt ?? 0)
  const uncached = (prompt ?? 0) - cached
  const beside = (modality: string, room: number): number => {
    const all = tokensOf(reported.promptTokensDetails, modality)
    return Math.min(Math.max(0, all - tokensOf(reported.cacheTokensDetails, modality)), room)
  }
  const audio = beside('AUDIO', uncached)
  const image = beside('IMAGE', uncached - audio)
  const audioOut = tokensOf(reported.candidatesTokensDetails, 'AUDIO')
  const usage = nonZero({
    input_tokens: uncached - audio - image + (countOr(reported.toolUsePromptTokenCount) ?? 0),
    cache_read_tokens: cached,
    input_audio_tokens: audio,
    input_image_tokens: image,
    output_tokens: outputTokens,
    output_reasoning_tokens: thoughts,
    output_audio_tokens: Math.min(audioOut, outputTokens),
  })
  return { usage, inputReported: prompt !== null, outputTokens }
}
