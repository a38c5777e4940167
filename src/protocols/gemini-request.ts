import { refuse, type Refusal } from '../kernel/errors.ts'
import { CHOICES_MAX, WEB_SEARCHES_UNSTATED_MAX } from '../kernel/limits/models.ts'
import { JSON_DEPTH_MAX } from '../kernel/limits/requests.ts'
import type { BucketName } from '../kernel/usage.ts'
import { walkGeminiInput } from './gemini-input.ts'
import { makeInputSink, type InputTally } from './input-tally.ts'
import { arrayOr, isObject, type JsonObject } from './json.ts'
import { setMembers, visitMembers } from './json-scan.ts'
import type { Injection, RequestView } from './protocol.ts'
import { nestsTooDeep } from './request-body.ts'
import { makeFieldReader, type FieldReader } from './request-fields.ts'

/** Google reads every field in two spellings; sent in both, nobody knows which one rules. */
const SPELLINGS: Readonly<Record<string, string>> = {
  generationConfig: 'generation_config',
  systemInstruction: 'system_instruction',
  cachedContent: 'cached_content',
  serviceTier: 'service_tier',
  maxOutputTokens: 'max_output_tokens',
  candidateCount: 'candidate_count',
  responseModalities: 'response_modalities',
}

/** Top-level keys that bound the cost: each may be there once. */
export const GEMINI_COST_KEYS: ReadonlySet<string> = new Set([
  'model',
  'contents',
  'tools',
  'generationConfig',
  'generation_config',
  'systemInstruction',
  'system_instruction',
  'cachedContent',
  'cached_content',
  'serviceTier',
  'service_tier',
])

/** Role markers and separators around one message or tool. */
const FRAME_TOKENS = 16

/** The body with every known field in its first spelling; the name of one that is there twice. */
function plain(body: JsonObject): { body: JsonObject; twice: string | null } {
  let twice: string | null = null
  const renamed: Record<string, unknown> = { ...body }
  for (const [name, other] of Object.entries(SPELLINGS)) {
    if (!Object.hasOwn(body, other)) continue
    if (Object.hasOwn(body, name)) twice = name
    renamed[name] = body[other]
  }
  return { body: renamed, twice }
}

/** What the path says of a request. */
export interface GeminiTarget {
  readonly model: string
  readonly stream: boolean
}

/** Reads a body of generateContent or streamGenerateContent. Source: providers.md §1 and §4. */
export function readGemini(
  sent: unknown,
  rawBytes: number,
  target: GeminiTarget,
): RequestView | Refusal {
  if (!isObject(sent)) return refuse('invalid_request', 'The body must be a JSON object.')
  if (nestsTooDeep(sent)) {
    return refuse('invalid_json', `The body nests deeper than ${JSON_DEPTH_MAX} levels.`)
  }
  const { body, twice } = plain(sent)
  const fields = makeFieldReader(body)
  if (twice !== null) fields.fail(`'${twice}' is there in two spellings. Send one.`)
  const named = fields.text('model')
  if (named !== null && named !== target.model && named !== `models/${target.model}`) {
    fields.fail("'model' is not the model that the path names.")
  }
  const contents = body.contents ?? null
  if (!isObject(contents) && (!Array.isArray(contents) || contents.length === 0)) {
    fields.fail("'contents' must be a non-empty array.")
  }
  fields.text('cachedContent')
  const facts = readFacts(fields)
  return fields.refusal ?? viewOf(body, rawBytes, target, facts)
}

interface GeminiFacts {
  readonly limit: number | null
  readonly choices: number
  readonly serviceTier: string | null
  readonly audioOut: boolean
}

function readFacts(fields: FieldReader): GeminiFacts {
  const config = plain(fields.object('generationConfig') ?? {})
  const inner = makeFieldReader(config.body)
  if (config.twice !== null) inner.fail(`'${config.twice}' is there in two spellings. Send one.`)
  const limit = inner.integer('maxOutputTokens', 1)
  const choices = inner.integer('candidateCount', 1, CHOICES_MAX) ?? 1
  const modalities = arrayOr(inner.array('responseModalities'))
  if (inner.refusal !== null) fields.fail(`In 'generationConfig': ${inner.refusal.message}`)
  const serviceTier = fields.text('serviceTier')?.toLowerCase() ?? null
  return { limit, choices, serviceTier, audioOut: modalities.some(isAudio) }
}

const isAudio = (modality: unknown): boolean =>
  typeof modality !== 'string' || !['TEXT', 'IMAGE'].includes(modality.toUpperCase())

function viewOf(
  body: JsonObject,
  rawBytes: number,
  target: GeminiTarget,
  facts: GeminiFacts,
): RequestView {
  const walk = (collect: boolean): InputTally => {
    const sink = makeInputSink('gemini', collect)
    walkGeminiInput(body, sink)
    return sink.tally()
  }
  const tally = walk(false)
  return {
    ok: true,
    ...target,
    inputTokensMax: rawBytes - tally.payloadBytes + tally.mediaTokens,
    outputTokensLimit: facts.limit,
    choices: facts.choices,
    wantsUsageChunk: true, // there is none: every chunk has its numbers
    serviceTier: facts.serviceTier,
    unbounded: [...tally.unbounded],
    webSearchesMax: tally.unbounded.has('web_search') ? WEB_SEARCHES_UNSTATED_MAX : 0,
    absentBuckets: absentBuckets(facts, tally),
    inputText: () => [...walk(true).texts],
    inputTokensBeyondText: tally.mediaTokens + tally.frames * FRAME_TOKENS,
  }
}

/** What the body does not show may have sound: a film, a file, a cached prompt. */
function absentBuckets(facts: GeminiFacts, tally: InputTally): BucketName[] {
  const absent: BucketName[] = []
  if (!tally.hasAudio && tally.unbounded.size === 0) absent.push('input_audio_tokens')
  if (!facts.audioOut) absent.push('output_audio_tokens')
  return absent
}

const CONFIG_KEYS = ['generationConfig', 'generation_config']
const LIMIT_KEYS = ['maxOutputTokens', 'max_output_tokens']
const OPEN_OBJECT = 0x7b

/** The first of `names` that the object has, in its own spelling, with its value's bytes. */
function memberOf(raw: Buffer, names: readonly string[]): { key: string; value: Buffer } | null {
  let found: { key: string; value: Buffer } | null = null
  visitMembers(raw, 0, ({ key, valueStart, valueEnd }) => {
    if (names.includes(key)) found = { key, value: raw.subarray(valueStart, valueEnd) }
  })
  return found
}

/** The client's bytes with the output limit set within its generationConfig; null = none to set. */
export function rewriteGemini(raw: Buffer, inject: Injection): Buffer | null {
  const limit = inject.outputTokensLimit
  if (limit === null) return null
  const config = memberOf(raw, CONFIG_KEYS)
  const theirs = config !== null && config.value[0] === OPEN_OBJECT ? config.value : null
  const limitKey = (theirs && memberOf(theirs, LIMIT_KEYS)?.key) ?? 'maxOutputTokens'
  const inner = setMembers(
    theirs ?? Buffer.from('{}'),
    new Map([[limitKey, Buffer.from(String(limit))]]),
  )
  return inner && setMembers(raw, new Map([[config?.key ?? 'generationConfig', inner]]))
}
