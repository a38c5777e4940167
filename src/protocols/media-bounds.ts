import { IMAGE_HEAD_BYTES_MAX } from '../kernel/limits/models.ts'
import { imageSize, type ImageSize } from './image-size.ts'

/** Whose rule counts an image: it follows from the protocol and the model's name. */
export type ImageRule = 'openai' | 'openai-4o-mini' | 'anthropic' | 'gemini' | 'any'

const OPENAI_NAME = /^(?:openai\/)?(?:ft:)?(?:gpt-|chatgpt-|o\d|computer-use)/

export function imageRuleOf(family: 'openai' | 'anthropic', model: string): ImageRule {
  if (family === 'anthropic') return 'anthropic'
  if (model.includes('4o-mini')) return 'openai-4o-mini'
  return OPENAI_NAME.test(model) ? 'openai' : 'any'
}

/** Shortest side scaled to 768 px, longest at most 2 048: two rows of at most four tiles. */
function tileTokens(size: ImageSize, base: number, perTile: number): number {
  const ratio = Math.max(size.width, size.height) / Math.min(size.width, size.height)
  const longest = Math.min(768 * ratio, 2_048)
  return base + perTile * 2 * Math.ceil(longest / 512)
}

const cells = ({ width, height }: ImageSize, edge: number): number =>
  Math.ceil(width / edge) * Math.ceil(height / edge)

/** Patch models count at most 1 536; `detail: original` of the newest allows 10 000. */
const PATCHES_MAX = 10_000
const PATCH_TOKENS_MAX = 2.46
/** Claude scales to a long edge of 2 576 px at most: 92 × 92 patches. */
const CLAUDE_IMAGE_TOKENS_MAX = 92 * 92
/** Open models (Qwen-VL and kin) take up to 16 384 patches of 28 px. */
const ANY_IMAGE_TOKENS_MAX = 16_384

/** The newest models take so many for any image, however small, at the highest resolution. */
const GEMINI_IMAGE_TOKENS = 2_240

/** 258 a tile; tiles are two thirds of the shorter side, from 256 to 768 px. */
function geminiTokens(size: ImageSize): number {
  const edge = Math.floor(Math.min(size.width, size.height) / 1.5)
  const tiles = cells(size, Math.min(Math.max(edge, 256), 768))
  return Math.max(258 * Math.min(tiles, 64), GEMINI_IMAGE_TOKENS)
}

const LARGEST: ImageSize = { width: 65_536, height: 65_536 }

function tokensOf(size: ImageSize, rule: ImageRule): number {
  const patches = Math.ceil(Math.min(cells(size, 32), PATCHES_MAX) * PATCH_TOKENS_MAX)
  const openai = Math.max(tileTokens(size, 85, 170), patches)
  const squares = cells(size, 28)
  switch (rule) {
    case 'openai':
      return openai
    case 'openai-4o-mini': // its tiles cost 33 times gpt-4o's, at a thirty-third of the price
      return tileTokens(size, 2_833, 5_667)
    case 'anthropic':
      return Math.min(squares, CLAUDE_IMAGE_TOKENS_MAX)
    case 'gemini':
      return geminiTokens(size)
    case 'any': {
      return Math.max(openai, geminiTokens(size), Math.min(squares, ANY_IMAGE_TOKENS_MAX))
    }
  }
}

/**
 * Upper bound of an image's input tokens. `base64` null = not at hand, or not base64: the rule's
 * maximum, as for a size that cannot be read. Source: providers.md §4.
 */
export function imageTokensMax(base64: string | null, rule: ImageRule): number {
  const headChars = Math.ceil(IMAGE_HEAD_BYTES_MAX / 3) * 4
  const head = base64 === null ? null : Buffer.from(base64.slice(0, headChars), 'base64')
  const size = head === null ? null : imageSize(head)
  if (size !== null) return tokensOf(size, rule)
  // 4o-mini's tiles cost most where the image is long, patches where it is large.
  return Math.max(tokensOf(LARGEST, rule), tokensOf({ width: 65_536, height: 1 }, rule))
}

/** Gemini's 32 is the most that a provider counts per second; OpenAI counts about ten. */
const AUDIO_TOKENS_PER_SECOND = 32
/** 4 kbit/s: below the slowest speech codec a provider decodes. */
const AUDIO_BYTES_PER_SECOND_MIN = 500
const WAV_HEAD_BYTES = 44
const PCM_FORMATS = new Set([1, 3])

/** Bytes per second of plain PCM in a WAV container; null = something else. */
function pcmRate(head: Buffer): number | null {
  if (head.length < WAV_HEAD_BYTES || head.toString('latin1', 0, 4) !== 'RIFF') return null
  if (head.toString('latin1', 8, 16) !== 'WAVEfmt ') return null
  if (!PCM_FORMATS.has(head.readUInt16LE(20))) return null
  const channels = head.readUInt16LE(22)
  const samplesPerSecond = head.readUInt32LE(24)
  const bytesPerSample = Math.ceil(head.readUInt16LE(34) / 8)
  const rate = channels * samplesPerSecond * bytesPerSample
  return rate > 0 ? rate : null
}

/** Upper bound of the input tokens of a piece of audio. Source: providers.md §4. */
export function audioTokensMax(base64: string): number {
  const bytes = Math.ceil(base64.length * 0.75)
  const head = Buffer.from(base64.slice(0, WAV_HEAD_BYTES * 2), 'base64')
  const rate = pcmRate(head) ?? AUDIO_BYTES_PER_SECOND_MIN
  return Math.ceil(bytes / rate) * AUDIO_TOKENS_PER_SECOND
}
