import { compileGlob } from '../kernel/glob.ts'
import { parseDecimal } from './decimal.ts'
import type { Named } from './document.ts'

/**
 * What the catalogue lacks. `fill` takes the place of what is missing, `least` raises what is too
 * low for how we meter. The first line that matches a field gives it. Globs on the model's name.
 */
interface Gap {
  readonly provider: string
  readonly model: string
  readonly maxOutputTokens?: number
  readonly fill?: Named
  readonly least?: Named
  /** `fill` is the model's whole price: it has one even where the catalogue does not know it. */
  readonly whole?: true
}

const mtok = (text: string): bigint => parseDecimal(text, 6) ?? 0n
const usd = (text: string): bigint => parseDecimal(text, 12) ?? 0n

const limit = (provider: string, tokens: number, ...models: string[]): Gap[] =>
  models.map((model) => ({ provider, model, maxOutputTokens: tokens }))

/** Output limits: developers.openai.com/api/docs/models, read 2026-11. In doubt the larger one. */
const OPENAI_LIMITS: readonly Gap[] = [
  ...limit('openai', 4_096, 'gpt-4o-2024-05-13', 'gpt-4-turbo*', 'gpt-4-*-preview', 'gpt-3.5*'),
  ...limit('openai', 4_096, 'gpt-35*'),
  ...limit('openai', 2_000, 'gpt-4o-transcribe*', 'gpt-4o-mini-transcribe*'),
  ...limit('openai', 16_384, 'gpt-4o*', 'ft:gpt-4o*', 'chatgpt-4o*', 'gpt-audio*', 'gpt-4.5*'),
  ...limit('openai', 32_768, 'gpt-4.1*', 'o1-preview*'),
  ...limit('openai', 65_536, 'o1-mini*'),
  ...limit('openai', 100_000, 'o1*', 'o3*', 'o4-mini*', 'codex-mini*'),
  ...limit('openai', 272_000, 'gpt-5-pro*'),
  ...limit('openai', 128_000, 'gpt-5*', 'gpt-6*'),
  ...limit('openai', 131_072, 'gpt-oss*'),
  ...limit('openai', 8_192, 'gpt-4', 'gpt-4-0*'),
]

/** Output limits: platform.claude.com/docs/en/about-claude/models, read 2026-11. */
const ANTHROPIC_LIMITS: readonly Gap[] = [
  ...limit('anthropic', 4_096, 'claude-2*', 'claude-v1', 'claude-3-haiku*', 'claude-3-opus*'),
  ...limit('anthropic', 4_096, 'claude-3-sonnet*'),
  ...limit('anthropic', 8_192, 'claude-3-5-*', 'claude-3.5-*'),
  ...limit('anthropic', 128_000, 'claude-3-7-*'), // 64 000 without its output-128k beta header
  ...limit('anthropic', 32_000, 'claude-opus-4-0*', 'claude-opus-4-1*', 'claude-opus-4-2025*'),
  ...limit('anthropic', 64_000, 'claude-haiku-4*', 'claude-sonnet-4-0*', 'claude-sonnet-4-2025*'),
  ...limit('anthropic', 64_000, 'claude-sonnet-4-5*', 'claude-opus-4-5*'),
  ...limit('anthropic', 128_000, 'claude-*'),
]

/** Output limits: ai.google.dev/gemini-api/docs/models, read 2026-11. Thoughts are inside. */
const GOOGLE_LIMITS: readonly Gap[] = [
  ...limit('google', 8_192, 'gemini-1*', 'gemini-2.0*'),
  ...limit('google', 32_768, 'gemini-2.5-flash-image*'),
  ...limit('google', 65_536, 'gemini-*'),
]

/** Prices: developers.openai.com/api/docs/pricing and …/docs/models/<model>, read 2026-11. */
const OPENAI_PRICES: readonly Gap[] = [
  {
    provider: 'openai',
    model: 'gpt-4o-audio-preview*',
    fill: { input_audio: mtok('40'), output_audio: mtok('80') },
  },
  {
    provider: 'openai',
    model: 'gpt-4o-mini-audio*',
    fill: { input_audio: mtok('10'), output_audio: mtok('20') },
  },
  // Cached image input is dearer than cached text and comes in the same bucket.
  { provider: 'openai', model: 'gpt-image-1-mini*', least: { cache_read: mtok('0.25') } },
  { provider: 'openai', model: 'gpt-image-1.5*', least: { cache_read: mtok('2') } },
  { provider: 'openai', model: 'gpt-image-1*', least: { cache_read: mtok('2.5') } },
  { provider: 'openai', model: 'gpt-image-2*', least: { cache_read: mtok('2') } },
  // The preview models' searches: $25 a thousand, not $10.
  { provider: 'openai', model: 'gpt-4o-*search-preview*', least: { web_search: usd('0.025') } },
  { provider: 'openai', model: 'tts-1-hd*', fill: { character: usd('0.00003') }, whole: true },
  { provider: 'openai', model: 'tts-1*', fill: { character: usd('0.000015') }, whole: true },
  // Their price goes by size and quality, which no answer reports: the dearest of them.
  { provider: 'openai', model: 'dall-e-3', fill: { image: usd('0.12') }, whole: true },
  { provider: 'openai', model: 'dall-e-2', fill: { image: usd('0.02') }, whole: true },
  // Free of charge by OpenAI's own word: an explicit zero, not a missing price.
  { provider: 'openai', model: '*moderation*', fill: { request: 0n }, whole: true },
]

/** Hour-long cache writes are 2 times input, others 1.25 times: see GapRules. */
const GAPS = [...OPENAI_LIMITS, ...ANTHROPIC_LIMITS, ...GOOGLE_LIMITS, ...OPENAI_PRICES].map(
  (gap) => ({
    ...gap,
    matches: compileGlob(gap.model),
  }),
)

export interface GapFill {
  readonly maxOutputTokens: number | null
  readonly fill: Named
  readonly least: Named
  readonly whole: boolean
}

/** What our own table knows about a model of a catalogue provider. */
export function gapsOf(provider: string, model: string): GapFill {
  const name = model.toLowerCase().trim()
  const found = GAPS.filter((gap) => gap.provider === provider && gap.matches(name))
  return {
    maxOutputTokens: found.find((gap) => gap.maxOutputTokens)?.maxOutputTokens ?? null,
    fill: found.find((gap) => gap.fill)?.fill ?? {},
    least: found.find((gap) => gap.least)?.least ?? {},
    whole: found.some((gap) => gap.whole),
  }
}

/** Pico-dollars of a web search where no price is listed: the provider's dearest. */
export function webSearchDefault(provider: string | null): bigint {
  if (provider === 'anthropic') return usd('0.01')
  if (provider === 'openai') return usd('0.025')
  return usd('0.035') // Google's grounding, the dearest listed search of 2025–26
}
