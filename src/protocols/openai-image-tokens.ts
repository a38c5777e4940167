/**
 * Output tokens a pixel costs, by quality. OpenAI's table has 272, 1 056 and 4 160 tokens for
 * 1 024 × 1 024 and grows with the area (platform docs, guides/image-generation). What is finer
 * than that table is taken for twice and four times its dearest.
 */
const TOKENS_PER_PIXEL: ReadonlyMap<string, number> = new Map([
  ['low', 272 / 1_048_576],
  ['medium', 1_056 / 1_048_576],
  ['standard', 4_160 / 1_048_576],
  ['hd', 4_160 / 1_048_576],
  ['high', 4_160 / 1_048_576],
  ['xhigh', 8_320 / 1_048_576],
  ['max', 16_640 / 1_048_576],
])
const HIGH = 4_160 / 1_048_576

const SIZE = /^(\d{2,5})x(\d{2,5})$/
/** The largest of the first models, and the largest that is not experimental of later ones. */
const PIXELS_FIRST = 1_024 * 1_536
const PIXELS_LATER = 2_560 * 1_440

function pixelsOf(model: string, size: string | null): number {
  const [, width, height] = SIZE.exec(size ?? '') ?? []
  if (width !== undefined && height !== undefined) return Number(width) * Number(height)
  return /gpt-image-1(?![0-9])/.test(model) ? PIXELS_FIRST : PIXELS_LATER
}

/** Most output tokens of one image; `size` and `quality` as the request has them, null = none. */
export function imageTokensOf(model: string, size: string | null, quality: string | null): number {
  const named = quality?.toLowerCase() ?? 'auto'
  const rate = TOKENS_PER_PIXEL.get(named) ?? (named === 'auto' ? HIGH : 4 * HIGH)
  return Math.ceil(pixelsOf(model, size) * rate)
}
