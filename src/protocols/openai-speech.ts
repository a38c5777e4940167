import { refuse, type Refusal } from '../kernel/errors.ts'
import { isObject } from './json.ts'
import { mediaUsage } from './media-usage.ts'
import { UNREPORTED } from './openai-chat-usage.ts'
import { makeMediaTap, mediaStreamError, type MediaSeen } from './openai-media-tap.ts'
import { producedBeyond } from './output-text.ts'
import type { MeterReport, Protocol, RequestView, Used } from './protocol.ts'
import { findMiscasedKey, parseBody } from './request-body.ts'
import { makeFieldReader } from './request-fields.ts'

const COST_KEYS: ReadonlySet<string> = new Set([
  'model',
  'input',
  'instructions',
  'speed',
  'stream_format',
])
/** Sound has about 21 tokens a second; so many a byte of text hold for every script. */
const TOKENS_PER_BYTE = 2
const SPEED_MIN = 0.25
const SPEED_MAX = 4

const REPORT = {
  model: null,
  serviceTier: null,
  produced: producedBeyond(0),
} as const satisfies Partial<MeterReport>

const speedOf = (speed: unknown): number | null => {
  if (speed === null) return 1
  return typeof speed === 'number' && speed >= SPEED_MIN && speed <= SPEED_MAX ? speed : null
}

export interface SpeechAsked {
  readonly kind: 'speech'
  readonly characters: number
  readonly stream: boolean
}

/** Plain sound reports nothing: it is billed by the text it was asked for. */
export function usedSpeech({ characters, stream }: SpeechAsked, report: MeterReport): Used {
  const { usage, outputReported } = report
  if (usage !== null && outputReported) return { usage, estimated: false }
  return { usage: { characters }, estimated: stream }
}

/** Reads a body of /v1/audio/speech. Source: providers.md §1. */
function readSpeech(body: unknown): RequestView | Refusal {
  if (!isObject(body)) return refuse('invalid_request', 'The body must be a JSON object.')
  const miscased = findMiscasedKey(body, COST_KEYS)
  if (miscased !== null) {
    return refuse('invalid_request', `Write '${miscased.toLowerCase()}' in lower case.`)
  }
  const fields = makeFieldReader(body)
  const model = fields.model()
  const input = fields.text('input') ?? ''
  if (input === '') fields.fail("'input' is required.")
  const told = fields.text('instructions') ?? ''
  const speed = speedOf(fields.value('speed'))
  if (speed === null) fields.fail(`'speed' must be a number, ${SPEED_MIN} to ${SPEED_MAX}.`)
  const stream = fields.text('stream_format') === 'sse'
  const bytes = Buffer.byteLength(input)
  const characters = Array.from(input).length
  return (
    fields.refusal ?? {
      ok: true,
      model,
      stream,
      inputTokensMax: stream ? bytes + Buffer.byteLength(told) : 0,
      outputTokensLimit: stream ? Math.ceil((bytes * TOKENS_PER_BYTE) / (speed ?? 1)) : 0,
      choices: 1,
      wantsUsageChunk: true, // the last event carries it
      serviceTier: null,
      unbounded: [],
      absentBuckets: ['input_audio_tokens', 'input_image_tokens'],
      unitsMax: { characters },
      webSearchesMax: 0,
      inputText: () => [input, told].filter((text) => text !== ''),
      inputTokensBeyondText: 0,
      asked: { kind: 'speech', characters, stream },
    }
  )
}

function reportStream({ usages, complete, failed }: MediaSeen): MeterReport {
  const last = usages.at(-1) ?? null
  const reported = last === null ? UNREPORTED : mediaUsage(last, 'audio')
  return { ...REPORT, ...reported, complete, failed }
}

/** OpenAI's text to speech: by characters, or by tokens where events report them. */
export const openaiSpeech: Protocol = {
  name: 'openai-speech',
  family: 'openai',
  path: '/v1/audio/speech',
  endpoint: 'audio/speech',
  read: readSpeech,
  readBytes(raw) {
    const parsed = parseBody(raw, COST_KEYS)
    return parsed.ok ? readSpeech(parsed.body) : parsed
  },
  rewrite: () => null,
  meterAnswer: () => ({ ...REPORT, ...UNREPORTED, complete: true, failed: false }),
  makeStreamTap: () =>
    makeMediaTap({
      ends: new Set(['speech.audio.done']),
      count: 1,
      hasText: false,
      report: reportStream,
    }),
  streamError: mediaStreamError,
}
