import { nonZero, type Usage } from '../kernel/usage.ts'
import { UNREPORTED, type ReportedUsage } from './openai-chat-usage.ts'
import { countOr, objectOr, type JsonObject } from './json.ts'

/** Longest sound that is believed, a year: beyond it a number is a fault. */
const SECONDS_MAX = 31_536_000

/** Seconds as providers report them: fractions too. null = none, or no length of time. */
export const secondsOr = (value: unknown): number | null =>
  typeof value === 'number' && value >= 0 && value <= SECONDS_MAX ? value : null

/**
 * The `usage` of OpenAI's images and audio as disjoint buckets: tokens, split by what they are, or
 * a duration. Its details are named in the singular by transcriptions. Source: providers.md §1.
 */
export function mediaUsage(reported: JsonObject, output: 'text' | 'audio'): ReportedUsage {
  const seconds = secondsOr(reported.seconds)
  if (reported.type === 'duration' && seconds !== null) {
    return { usage: nonZero({ seconds }), inputReported: true, outputReported: true }
  }
  const [input, out] = [countOr(reported.input_tokens), countOr(reported.output_tokens)]
  if (input === null && out === null) return UNREPORTED
  const details = objectOr(reported.input_tokens_details ?? reported.input_token_details)
  const total = input ?? 0
  const cached = Math.min(countOr(details.cached_tokens) ?? 0, total)
  const image = Math.min(countOr(details.image_tokens) ?? 0, total - cached)
  const audio = Math.min(countOr(details.audio_tokens) ?? 0, total - cached - image)
  const usage: Usage = {
    input_tokens: total - cached - image - audio,
    cache_read_tokens: cached,
    input_image_tokens: image,
    input_audio_tokens: audio,
    output_tokens: out ?? 0,
    output_audio_tokens: output === 'audio' ? (out ?? 0) : 0,
  }
  return { usage: nonZero(usage), inputReported: input !== null, outputReported: out !== null }
}
