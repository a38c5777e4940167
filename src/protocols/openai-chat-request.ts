import { refuse, type Refusal } from '../kernel/errors.ts'
import { CHOICES_MAX, WEB_SEARCHES_UNSTATED_MAX } from '../kernel/limits/models.ts'
import { JSON_DEPTH_MAX } from '../kernel/limits/requests.ts'
import type { BucketName } from '../kernel/usage.ts'
import { makeInputSink, type InputTally } from './input-tally.ts'
import { isObject, type JsonObject } from './json.ts'
import { imageRuleOf } from './media-bounds.ts'
import { walkChatInput } from './openai-chat-input.ts'
import type { RequestView } from './protocol.ts'
import { findMiscasedKey, nestsTooDeep } from './request-body.ts'
import { makeFieldReader, type FieldReader } from './request-fields.ts'

/** Top-level keys that bound the cost: each may be there once, in this spelling. */
export const CHAT_COST_KEYS: ReadonlySet<string> = new Set([
  'model',
  'models',
  'messages',
  'stream',
  'stream_options',
  'n',
  'best_of',
  'max_tokens',
  'max_completion_tokens',
  'tools',
  'functions',
  'plugins',
  'web_search_options',
  'search_parameters',
  'service_tier',
  'modalities',
  'prediction',
  'response_format',
])

/** The output limit has two names; servers differ in which they read. */
export const CHAT_LIMIT_KEYS = ['max_completion_tokens', 'max_tokens'] as const
/** Role markers and separators around one message or tool: OpenAI's own count is 3 or 4. */
const FRAME_TOKENS = 16

/** Reads a chat/completions body. Source: providers.md §1 and §4. */
export function readChat(body: unknown, rawBytes: number): RequestView | Refusal {
  if (nestsTooDeep(body)) {
    return refuse('invalid_json', `The body nests deeper than ${JSON_DEPTH_MAX} levels.`)
  }
  return readFlatChat(body, rawBytes)
}

/** The same for a body whose depth was looked at before it was parsed. */
export function readFlatChat(body: unknown, rawBytes: number): RequestView | Refusal {
  if (!isObject(body)) return refuse('invalid_request', 'The body must be a JSON object.')
  const miscased = findMiscasedKey(body, CHAT_COST_KEYS)
  if (miscased !== null) {
    return refuse('invalid_request', `Write '${miscased.toLowerCase()}' in lower case.`)
  }
  const fields = makeFieldReader(body)
  const facts = readFacts(fields)
  return fields.refusal ?? viewOf(body, rawBytes, facts)
}

interface ChatFacts {
  readonly model: string
  readonly otherModels: readonly string[]
  readonly stream: boolean
  readonly wantsUsageChunk: boolean
  readonly limit: number | null
  readonly choices: number
  readonly serviceTier: string | null
  readonly audioOut: boolean
  readonly prediction: JsonObject | null
  readonly searches: boolean
}

function readFacts(fields: FieldReader): ChatFacts {
  const model = fields.model()
  const messages = fields.array('messages')
  if (messages === null || messages.length === 0) {
    fields.fail("'messages' must be a non-empty array.")
  }
  const odd = messages?.findIndex((message) => !isObject(message)) ?? -1
  if (odd !== -1) fields.fail(`'messages[${odd}]' must be an object.`)
  for (const name of ['tools', 'functions', 'plugins']) fields.array(name)
  const limits = CHAT_LIMIT_KEYS.map((name) => fields.integer(name, 1)).filter(
    (each) => each !== null,
  )
  const counts = ['n', 'best_of'].map((name) => fields.integer(name, 1, CHOICES_MAX) ?? 1)
  const wantsUsage = fields.object('stream_options')?.include_usage ?? null
  if (wantsUsage !== null && typeof wantsUsage !== 'boolean') {
    fields.fail("'stream_options.include_usage' must be true or false.")
  }
  const search = [fields.object('web_search_options'), fields.object('search_parameters')]
  return {
    model,
    otherModels: fields.otherModels('models', fields.array('models') ?? []),
    stream: fields.boolean('stream'),
    wantsUsageChunk: wantsUsage === true,
    limit: limits.length === 0 ? null : Math.max(...limits),
    choices: Math.max(...counts),
    serviceTier: fields.text('service_tier'),
    audioOut: fields.array('modalities')?.includes('audio') ?? false,
    prediction: fields.object('prediction'),
    searches: search.some((each) => each !== null) || model.endsWith(':online'),
  }
}

function viewOf(body: JsonObject, rawBytes: number, facts: ChatFacts): RequestView {
  const rule = imageRuleOf('openai', facts.model)
  const walk = (collect: boolean): InputTally => {
    const sink = makeInputSink(rule, collect)
    walkChatInput(body, sink)
    return sink.tally()
  }
  const tally = walk(false)
  return {
    ok: true,
    model: facts.model,
    otherModels: facts.otherModels,
    stream: facts.stream,
    inputTokensMax: rawBytes - tally.payloadBytes + tally.mediaTokens,
    outputTokensLimit: facts.limit,
    outputTokensBeyondLimit: predictedBytes(facts.prediction),
    choices: facts.choices,
    wantsUsageChunk: facts.wantsUsageChunk,
    serviceTier: facts.serviceTier,
    unbounded: [...tally.unbounded],
    webSearchesMax: facts.searches ? WEB_SEARCHES_UNSTATED_MAX : 0,
    absentBuckets: absentBuckets(facts, tally),
    inputText: () => [...walk(true).texts],
    inputTokensBeyondText: tally.mediaTokens + tally.frames * FRAME_TOKENS,
  }
}

/** A rejected prediction is billed as output: at most its bytes. */
function predictedBytes(prediction: JsonObject | null): number {
  if (prediction === null) return 0
  return Buffer.byteLength(JSON.stringify(prediction.content ?? ''))
}

/** What may have sound in it. */
const OPAQUE = ['unknown_content', 'media_by_id', 'earlier_audio'] as const

function absentBuckets(facts: ChatFacts, tally: InputTally): BucketName[] {
  const absent: BucketName[] = []
  const opaque = OPAQUE.some((reason) => tally.unbounded.has(reason))
  if (!tally.hasAudio && !opaque) absent.push('input_audio_tokens')
  if (!facts.audioOut) absent.push('output_audio_tokens')
  return absent
}
