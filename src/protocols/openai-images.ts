import { refuse, type Refusal } from '../kernel/errors.ts'
import { FORM_IMAGES_BYTES_MAX } from '../kernel/limits/forms.ts'
import { IMAGE_HEAD_BYTES_MAX } from '../kernel/limits/models.ts'
import { nonZero, type Iteration, type Usage } from '../kernel/usage.ts'
import { usageTail } from './answer-tail.ts'
import { fieldsOf, type Form } from './form.ts'
import { arrayOr, countOr, isObject, objectOr, parseJson, textOr, type JsonObject } from './json.ts'
import { imageTokensMax } from './media-bounds.ts'
import { mediaUsage } from './media-usage.ts'
import { UNREPORTED } from './openai-chat-usage.ts'
import { IMAGES_COST_KEYS, readImages, type ImagesIn } from './openai-images-request.ts'
import { makeMediaTap, mediaStreamError, type MediaSeen } from './openai-media-tap.ts'
import { producedBeyond } from './output-text.ts'
import type { FormReader, MeterReport, Protocol, RequestView } from './protocol.ts'
import { findMiscasedKey, parseBody } from './request-body.ts'
import { makeFieldReader } from './request-fields.ts'

const REPORT = {
  model: null,
  serviceTier: null,
  produced: producedBeyond(0),
} as const satisfies Partial<MeterReport>

/** Tokens of the model that writes SVG, which the top level leaves out. */
function svgOf(answer: JsonObject): Iteration[] {
  const usage = answer.svg_usage
  if (!isObject(usage)) return []
  const [input, output] = [countOr(usage.input_tokens) ?? 0, countOr(usage.output_tokens) ?? 0]
  const buckets = nonZero({ input_tokens: input, output_tokens: output })
  return [{ type: 'svg', model: textOr(usage.model), usage: buckets }]
}

/** Meters a whole answer; `images` null = its end does not show how many there are. */
function reportOf(answer: JsonObject, images: number | null): MeterReport {
  const reported = isObject(answer.usage) ? mediaUsage(answer.usage, 'text') : UNREPORTED
  const iterations = svgOf(answer)
  const usage: Usage = {
    ...reported.usage,
    ...(images === null ? {} : { images }),
    ...(iterations.length === 0 ? {} : { iterations }),
  }
  const failed = (answer.error ?? null) !== null
  return { ...REPORT, ...reported, usage, complete: true, failed }
}

function meterImages(body: Buffer): MeterReport {
  const answer = parseJson(body.toString('utf8'))
  if (isObject(answer)) return reportOf(answer, arrayOr(answer.data).length)
  return { ...REPORT, ...UNREPORTED, complete: false, failed: false }
}

function sum(a: Usage, b: Usage): Usage {
  const total: Record<string, number> = {}
  for (const [name, count] of [...Object.entries(a), ...Object.entries(b)]) {
    if (typeof count === 'number') total[name] = (total[name] ?? 0) + count
  }
  return total
}

/** Each image's event has its own numbers. */
function reportStream({ usages, complete, failed }: MediaSeen): MeterReport {
  const reported = usages.map((usage) => (usage === null ? UNREPORTED : mediaUsage(usage, 'text')))
  const isTold = reported.length > 0 && reported.every(({ outputReported }) => outputReported)
  const usage = reported.map((each) => each.usage ?? {}).reduce(sum, { images: usages.length })
  return { ...REPORT, usage, inputReported: isTold, outputReported: isTold, complete, failed }
}

/** `images: [{ image_url | file_id }]` of a JSON body, and its mask. */
function imagesInJson(body: JsonObject): ImagesIn {
  const unbounded: string[] = []
  let tokens = 0
  const given = [...arrayOr(body.images), ...(isObject(body.mask) ? [body.mask] : [])]
  for (const image of given.map(objectOr)) {
    const [, base64 = null] =
      /^data:[^,]{0,128};base64,(.*)$/s.exec(textOr(image.image_url) ?? '') ?? []
    tokens += imageTokensMax(base64, 'openai') + FIDELITY_TOKENS
    if (base64 === null) unbounded.push(image.file_id == null ? 'media_by_url' : 'media_by_id')
  }
  return { tokens, unbounded }
}

/** What high fidelity adds to an image that is edited. Source: OpenAI, guides/image-generation. */
const FIDELITY_TOKENS = 6_240
/** A prompt is text in any script; the others bound the cost. */
const SINGLE_FIELDS: ReadonlySet<string> = new Set(
  [...IMAGES_COST_KEYS].filter((name) => name !== 'prompt'),
)
const FILE_FIELDS = /^(?:image|images|mask|markup)(?:\[\d*\])?$/

/** Each image counts, and `n` may come last: only the whole of a form tells what it costs. */
function readEdit(form: Form): RequestView | Refusal {
  const fields = fieldsOf(form, SINGLE_FIELDS)
  if (!fields.ok) return fields
  const files = form.parts.filter(({ filename }) => filename !== null)
  const odd = files.find(({ name }) => !FILE_FIELDS.test(name))
  if (odd !== undefined) return refuse('invalid_request', `'${odd.name}' must not be a file.`)
  if (files.length === 0) return refuse('invalid_request', "'image' must be a file.")
  const tokens = files
    .map(({ data }) => data.toString('base64'))
    .reduce((total, head) => total + imageTokensMax(head, 'openai') + FIDELITY_TOKENS, 0)
  return readImages(makeFieldReader(fields.body), { tokens, unbounded: [] })
}

const EDIT_FORMS: FormReader = {
  bytesMax: FORM_IMAGES_BYTES_MAX,
  fileHeadBytes: IMAGE_HEAD_BYTES_MAX,
  read: readEdit,
}

function readJson(body: unknown): RequestView | Refusal {
  if (!isObject(body)) return refuse('invalid_request', 'The body must be a JSON object.')
  const miscased = findMiscasedKey(body, IMAGES_COST_KEYS)
  if (miscased !== null) {
    return refuse('invalid_request', `Write '${miscased.toLowerCase()}' in lower case.`)
  }
  return readImages(makeFieldReader(body), imagesInJson(body))
}

function makeImages(name: 'generations' | 'edits', end: string): Protocol {
  return {
    name: 'openai-images',
    family: 'openai',
    path: `/v1/images/${name}`,
    endpoint: `images/${name}`,
    read: readJson,
    readBytes(raw) {
      const parsed = parseBody(raw, IMAGES_COST_KEYS)
      return parsed.ok ? readJson(parsed.body) : parsed
    },
    ...(name === 'edits' ? { forms: EDIT_FORMS } : {}),
    rewrite: () => null,
    meterAnswer: meterImages,
    meterTail(tail) {
      const rest = usageTail(tail)
      return rest === null ? null : reportOf(rest, null)
    },
    makeStreamTap: (view) =>
      makeMediaTap({
        ends: new Set([end]),
        count: view.choices,
        hasText: false,
        report: reportStream,
      }),
    streamError: mediaStreamError,
  }
}

/** OpenAI's images, by tokens or by the image. Source: providers.md §1. */
export const openaiImages = makeImages('generations', 'image_generation.completed')
export const openaiImageEdits = makeImages('edits', 'image_edit.completed')
