import type { Refusal } from '../kernel/errors.ts'
import { IMAGES_MAX } from '../kernel/limits/forms.ts'
import { BYTES_PER_TOKEN } from '../kernel/limits/models.ts'
import { imageTokensOf } from './openai-image-tokens.ts'
import type { MeterReport, RequestView, Used } from './protocol.ts'
import type { FieldReader } from './request-fields.ts'

/** What bounds the cost of a request for images: each may be there once, in this spelling. */
export const IMAGES_COST_KEYS: ReadonlySet<string> = new Set([
  'model',
  'prompt',
  'n',
  'size',
  'quality',
  'stream',
  'partial_images',
  'output_format',
  'svg',
  'frame_count',
])

/** A partial image on the way to the whole one. Source: OpenAI, guides/image-generation. */
const PARTIAL_TOKENS = 100
const PARTIALS_MAX = 3
/** Text that newer models write or think beside the picture; not published, so generous. */
const TEXT_TOKENS = 1_024
/** What the provider tells the model about its task; not published, so generous. */
const FRAME_TOKENS = 512
/** Formats that are more than one picture's tokens: frames, and markup by another model. */
const BEYOND_A_PICTURE: ReadonlySet<string> = new Set(['gif', 'svg'])

/** Images that come with a request. */
export interface ImagesIn {
  readonly tokens: number
  readonly unbounded: readonly string[]
}

const reportsTokens = (model: string): boolean => /(?:^|\/)(?:chat)?gpt-/.test(model)

export interface ImagesAsked {
  readonly kind: 'images'
  readonly count: number
  /** Output tokens of one of them. */
  readonly tokensEach: number
  readonly isTokenPriced: boolean
  readonly inputTokens: number
}

/**
 * The units of an answer: its images, and its tokens where the model reports any. An image that
 * was begun and not seen to its end counts as whole, as it is made.
 */
export function usedImages(asked: ImagesAsked, report: MeterReport): Used {
  const { usage, complete, failed, outputReported } = report
  const seen = usage?.images
  const begun = complete || failed ? 0 : 1
  const images = seen === undefined ? asked.count : Math.min(asked.count, seen + begun)
  const isWhole = complete && usage !== null
  if (outputReported && isWhole) return { usage: { ...usage, images }, estimated: false }
  if (!asked.isTokenPriced) return { usage: { images }, estimated: !isWhole || seen === undefined }
  const unreported = outputReported ? images - (seen ?? 0) : images
  return {
    usage: {
      ...usage,
      ...(report.inputReported ? {} : { input_tokens: asked.inputTokens }),
      output_tokens: (usage?.output_tokens ?? 0) + unreported * asked.tokensEach,
      images,
    },
    estimated: true,
  }
}

/** Reads the fields of a request for images, as JSON or as a form. Source: providers.md §1. */
export function readImages(fields: FieldReader, images: ImagesIn): RequestView | Refusal {
  const model = fields.model()
  const prompt = fields.text('prompt') ?? ''
  if (prompt === '') fields.fail("'prompt' is required.")
  const count = fields.integer('n', 1, IMAGES_MAX) ?? 1
  const stream = fields.boolean('stream')
  const partials = fields.integer('partial_images', 0, PARTIALS_MAX) ?? 0
  const tokensEach = imageTokensOf(model, fields.text('size'), fields.text('quality'))
  const format = fields.text('output_format')?.toLowerCase() ?? 'png'
  const unbounded = new Set(images.unbounded)
  if (BEYOND_A_PICTURE.has(format)) unbounded.add(`${format}_output`)
  if (fields.value('svg') !== null) unbounded.add('svg_output')
  if (fields.value('frame_count') !== null) unbounded.add('gif_output')
  const bytes = Buffer.byteLength(prompt)
  const isTokenPriced = reportsTokens(model)
  const inputTokens = Math.ceil(bytes / BYTES_PER_TOKEN) + images.tokens
  return (
    fields.refusal ?? {
      ok: true,
      model,
      stream,
      inputTokensMax: bytes + FRAME_TOKENS + images.tokens,
      outputTokensLimit: tokensEach + partials * PARTIAL_TOKENS + TEXT_TOKENS,
      choices: count,
      wantsUsageChunk: true, // the event of each image carries it
      serviceTier: null,
      unbounded: [...unbounded],
      absentBuckets: ['input_audio_tokens', 'output_audio_tokens'],
      unitsMax: { images: count },
      unitsBesideTokens: isTokenPriced,
      webSearchesMax: 0,
      inputText: () => [prompt],
      inputTokensBeyondText: images.tokens + FRAME_TOKENS,
      asked: { kind: 'images', count, tokensEach, isTokenPriced, inputTokens },
    }
  )
}
