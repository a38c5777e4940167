import { isRefusal, refuse, type Refusal } from '../kernel/errors.ts'
import {
  FORM_LATE_PROMPT_BYTES,
  FORM_SOUND_BYTES_MAX,
  SOUND_HEAD_BYTES,
} from '../kernel/limits/forms.ts'
import { BYTES_PER_TOKEN } from '../kernel/limits/models.ts'
import type { Usage } from '../kernel/usage.ts'
import { fieldsOf, type Form, type FormPart } from './form.ts'
import { isObject, parseJson, textOr } from './json.ts'
import { mediaUsage, secondsOr } from './media-usage.ts'
import { UNREPORTED, type ReportedUsage } from './openai-chat-usage.ts'
import { makeMediaTap, mediaStreamError, type MediaSeen } from './openai-media-tap.ts'
import { producedBeyond } from './output-text.ts'
import { soundBound, soundLength, type SoundLength } from './sound-length.ts'
import type {
  BegunForm,
  FormReader,
  FormSounds,
  MeterReport,
  Protocol,
  RequestView,
} from './protocol.ts'
import { makeFieldReader, type FieldReader } from './request-fields.ts'

/** Fields that bound the cost. A prompt is text in any script. */
const SINGLE_FIELDS: ReadonlySet<string> = new Set(['model', 'response_format', 'stream'])
/** As OpenAI prices them: $0.006 a minute at $6 a million tokens. */
const TOKENS_PER_SECOND = 17
/** Fast speech in the languages that take most tokens for it. */
const TEXT_TOKENS_PER_SECOND = 8
const TEXT_TOKENS_LEAST = 256
const NOT_READ = refuse('gateway_unavailable', 'Sounds cannot be read right now. Try again.')
const FORM_ONLY = 'Send the sound as multipart/form-data with a file.'

const REPORT = {
  model: null,
  serviceTier: null,
  failed: false,
  produced: producedBeyond(0),
} as const satisfies Partial<MeterReport>

const reportsTokens = (model: string): boolean => /(?:^|\/)gpt-/.test(model)

interface Heard {
  readonly length: SoundLength
  readonly isTokenPriced: boolean
  readonly promptTokens: number
}

const textTokens = ({ produced }: MeterReport): number => {
  const { text, beyond } = produced()
  const bytes = text.reduce((sum, fragment) => sum + Buffer.byteLength(fragment), beyond)
  return Math.ceil(bytes / BYTES_PER_TOKEN)
}

/** What the answer reports; else the length of the file, in the units that the model has. */
function usedBy(heard: Heard, report: MeterReport): { usage: Usage; estimated: boolean } {
  const { usage, outputReported } = report
  if (usage !== null && outputReported) return { usage, estimated: false }
  const { length, isTokenPriced, promptTokens } = heard
  const seconds = Math.max(length.seconds, usage?.seconds ?? 0)
  if (!isTokenPriced) return { usage: { seconds }, estimated: !length.isRead }
  const tokens: Usage = {
    input_tokens: promptTokens,
    input_audio_tokens: Math.ceil(seconds * TOKENS_PER_SECOND),
    output_tokens: textTokens(report),
  }
  return { usage: tokens, estimated: true }
}

type HeardView = RequestView & Required<Pick<RequestView, 'used'>>

/** `latePromptBytes`: those of a prompt that may still come. */
function viewOf(
  fields: FieldReader,
  length: SoundLength,
  latePromptBytes: number,
): HeardView | Refusal {
  const model = fields.model()
  const given = fields.text('prompt')
  const prompt = given ?? ''
  const stream = fields.boolean('stream')
  const isTokenPriced = reportsTokens(model)
  const promptBytes = given === null ? latePromptBytes : Buffer.byteLength(prompt)
  const promptTokens = Math.ceil(promptBytes / BYTES_PER_TOKEN)
  const seconds = length.secondsMax
  return (
    fields.refusal ?? {
      ok: true,
      model,
      stream,
      inputTokensMax: promptBytes + (isTokenPriced ? Math.ceil(seconds * TOKENS_PER_SECOND) : 0),
      outputTokensLimit: isTokenPriced
        ? TEXT_TOKENS_LEAST + Math.ceil(seconds * TEXT_TOKENS_PER_SECOND)
        : 0,
      choices: 1,
      wantsUsageChunk: true, // the last event carries it
      serviceTier: null,
      unbounded: [],
      absentBuckets: ['input_image_tokens', 'output_audio_tokens'],
      unitsMax: { seconds },
      unitsBesideTokens: isTokenPriced,
      webSearchesMax: 0,
      inputText: () => (prompt === '' ? [] : [prompt]),
      inputTokensBeyondText: Math.ceil(seconds * TOKENS_PER_SECOND),
      used: (report) => usedBy({ length, isTokenPriced, promptTokens }, report),
    }
  )
}

/** The one file of a form. */
function soundOf({ parts }: Form): FormPart | Refusal {
  const files = parts.filter(({ filename }) => filename !== null)
  const [file] = files
  if (files.length !== 1 || file?.name !== 'file') {
    return refuse('invalid_request', "'file' must be one file, the only one of the form.")
  }
  return file
}

async function readSound(form: Form, sounds: FormSounds): Promise<HeardView | Refusal> {
  const fields = fieldsOf(form, SINGLE_FIELDS)
  if (!fields.ok) return fields
  const sound = soundOf(form)
  if (isRefusal(sound)) return sound
  const length = await soundLength(sound, sounds)
  return length === null ? NOT_READ : viewOf(makeFieldReader(fields.body), length, 0)
}

const BEYOND = refuse('invalid_request', 'The form is more than its beginning told.')

const isBeyond = (whole: RequestView, bound: RequestView): boolean =>
  whole.model !== bound.model ||
  whole.inputTokensMax > bound.inputTokensMax ||
  (whole.outputTokensLimit ?? 0) > (bound.outputTokensLimit ?? 0) ||
  (whole.unitsMax?.seconds ?? 0) > (bound.unitsMax?.seconds ?? 0)

/** A form whose model is known when its file begins: all that follows is bounded by its size. */
function beginSound(form: Form, bodyBytesMax: number): BegunForm | null {
  const fields = fieldsOf(form, SINGLE_FIELDS)
  const sound = soundOf(form)
  if (!fields.ok || isRefusal(sound)) return null
  const length = soundBound(sound.data, bodyBytesMax - sound.at)
  const bound = viewOf(makeFieldReader(fields.body), length, FORM_LATE_PROMPT_BYTES)
  if (!bound.ok) return null
  let known = bound
  return {
    view: {
      ...bound,
      get stream() {
        return known.stream
      },
      inputText: () => known.inputText(),
      used: (report) => known.used(report),
    },
    async end(whole, sounds) {
      const view = await readSound(whole, sounds)
      if (!view.ok) return view
      if (isBeyond(view, bound)) return BEYOND
      known = view
      return null
    },
  }
}

const SOUND_FORMS: FormReader = {
  bytesMax: FORM_SOUND_BYTES_MAX,
  fileHeadBytes: SOUND_HEAD_BYTES,
  read: readSound,
  begin: beginSound,
}

const SUBTITLE = /^(?:\d+:)?\d+:\d+[.,]\d+ +--> +(?:(\d{1,4}):)?(\d\d):(\d\d)[.,](\d{3})\b/gm

/** Seconds at which the last subtitle ends; 0 = there are none. */
function lastSubtitle(text: string): number {
  let last = 0
  for (const [, hours = '0', minutes, seconds, ms] of text.matchAll(SUBTITLE)) {
    const at = Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds) + Number(ms) / 1_000
    last = Math.max(last, at)
  }
  return last
}

/** JSON says its usage, or how long the sound was; plain text and subtitles say nothing. */
function meterTranscript(body: Buffer): MeterReport {
  const text = body.toString('utf8')
  const answer = parseJson(text)
  if (!isObject(answer)) {
    const seconds = lastSubtitle(text)
    const usage = seconds === 0 ? null : { seconds } // at least
    const produced = producedBeyond(body.length)
    return { ...REPORT, ...UNREPORTED, usage, produced, complete: true }
  }
  const failed = (answer.error ?? null) !== null
  const said = [textOr(answer.text)].filter((each) => each !== null)
  return {
    ...REPORT,
    ...reportedBy(answer.usage, answer.duration),
    produced: () => ({ text: said, beyond: 0 }),
    failed,
    complete: true,
  }
}

function reportedBy(usage: unknown, duration: unknown): ReportedUsage {
  if (isObject(usage)) return mediaUsage(usage, 'text')
  const seconds = secondsOr(duration)
  if (seconds === null) return UNREPORTED
  return { usage: { seconds }, inputReported: true, outputReported: true }
}

function reportStream({ usages, complete, failed, text }: MediaSeen): MeterReport {
  const reported = reportedBy(usages.at(-1), null)
  return { ...REPORT, ...reported, produced: text.produced, complete, failed }
}

function makeTranscripts(name: 'transcriptions' | 'translations'): Protocol {
  return {
    name: `openai-${name}`,
    family: 'openai',
    path: `/v1/audio/${name}`,
    endpoint: `audio/${name}`,
    read: () => refuse('invalid_request', FORM_ONLY),
    readBytes: () => refuse('invalid_request', FORM_ONLY),
    forms: SOUND_FORMS,
    rewrite: () => null,
    meterAnswer: meterTranscript,
    makeStreamTap: () =>
      makeMediaTap({
        ends: new Set(['transcript.text.done']),
        count: 1,
        hasText: true,
        report: reportStream,
      }),
    streamError: mediaStreamError,
  }
}

/** OpenAI's speech to text, by what it reports or else by the file. Source: providers.md §1. */
export const openaiTranscriptions = makeTranscripts('transcriptions')
/** The same into English: nothing is reported, so the length of the file is charged. */
export const openaiTranslations = makeTranscripts('translations')
