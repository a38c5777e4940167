import { refuse, type Refusal } from '../kernel/errors.ts'
import { STORED_REFERENCES_MAX } from '../kernel/limits/background.ts'
import { WEB_SEARCHES_UNSTATED_MAX } from '../kernel/limits/models.ts'
import { JSON_DEPTH_MAX } from '../kernel/limits/requests.ts'
import type { BucketName } from '../kernel/usage.ts'
import { makeInputSink, type InputTally } from './input-tally.ts'
import { isObject, objectOr, type JsonObject } from './json.ts'
import { setMembers } from './json-scan.ts'
import { imageRuleOf } from './media-bounds.ts'
import {
  imageModelsOf,
  isBuiltIn,
  isSearchTool,
  referencesOf,
  walkResponsesInput,
} from './openai-responses-input.ts'
import type { Injection, RequestView } from './protocol.ts'
import { findMiscasedKey, nestsTooDeep } from './request-body.ts'
import { makeFieldReader, type FieldReader } from './request-fields.ts'

/** Top-level keys that bound the cost: each may be there once, in this spelling. */
export const RESPONSES_COST_KEYS: ReadonlySet<string> = new Set([
  'model',
  'models',
  'input',
  'instructions',
  'stream',
  'background',
  'store',
  'max_output_tokens',
  'max_tool_calls',
  'tools',
  'previous_response_id',
  'conversation',
  'prompt',
  'reasoning',
  'service_tier',
  'context_management',
  'text',
])

/** Role markers and separators around one item or tool. */
const FRAME_TOKENS = 16
/** What the provider tells the model about one of its own tools; not published, so generous. */
const BUILT_IN_TOKENS = 1_024

/** Reads a body of /v1/responses. Source: providers.md §1 and §4. */
export function readResponses(body: unknown, rawBytes: number): RequestView | Refusal {
  if (!isObject(body)) return refuse('invalid_request', 'The body must be a JSON object.')
  const miscased = findMiscasedKey(body, RESPONSES_COST_KEYS)
  if (miscased !== null) {
    return refuse('invalid_request', `Write '${miscased.toLowerCase()}' in lower case.`)
  }
  if (nestsTooDeep(body)) {
    return refuse('invalid_json', `The body nests deeper than ${JSON_DEPTH_MAX} levels.`)
  }
  const fields = makeFieldReader(body)
  const facts = readFacts(fields, body)
  return fields.refusal ?? viewOf(body, rawBytes, facts)
}

interface ResponsesFacts {
  readonly model: string
  readonly otherModels: readonly string[]
  readonly toolModels: readonly string[]
  readonly stream: boolean
  readonly background: boolean
  readonly limit: number | null
  readonly toolCallsMax: number | null
  readonly tools: readonly JsonObject[]
  readonly serviceTier: string | null
}

function readFacts(fields: FieldReader, body: JsonObject): ResponsesFacts {
  const model = fields.model()
  const input = body.input ?? null
  if (input !== null && typeof input !== 'string') {
    const odd = fields.array('input')?.findIndex((item) => !isObject(item)) ?? -1
    if (odd !== -1) fields.fail(`'input[${odd}]' must be an object.`)
  }
  if (input === null && (body.prompt ?? body.conversation ?? body.previous_response_id) == null) {
    fields.fail("'input' is required.")
  }
  fields.text('instructions')
  fields.text('previous_response_id')
  if (typeof body.conversation !== 'string') fields.object('conversation')
  for (const name of ['prompt', 'reasoning', 'text']) fields.object(name)
  fields.array('context_management')
  const tools = fields.array('tools') ?? []
  const odd = tools.findIndex((tool) => !isObject(tool))
  if (odd !== -1) fields.fail(`'tools[${odd}]' must be an object.`)
  fields.boolean('store')
  if (referencesOf(body).length > STORED_REFERENCES_MAX) {
    fields.fail(`The request goes on from more than ${STORED_REFERENCES_MAX} items.`)
  }
  return {
    model,
    otherModels: fields.otherModels('models', fields.array('models') ?? []),
    toolModels: fields.otherModels('tools.model', imageModelsOf(body)),
    stream: fields.boolean('stream'),
    background: fields.boolean('background'),
    limit: fields.integer('max_output_tokens', 1),
    toolCallsMax: fields.integer('max_tool_calls', 0),
    tools: tools.map(objectOr),
    serviceTier: fields.text('service_tier'),
  }
}

function viewOf(body: JsonObject, rawBytes: number, facts: ResponsesFacts): RequestView {
  const rule = imageRuleOf('openai', facts.model)
  const walk = (collect: boolean): InputTally => {
    const sink = makeInputSink(rule, collect)
    walkResponsesInput(body, sink)
    return sink.tally()
  }
  const tally = walk(false)
  const toolTokens = facts.tools.filter(isBuiltIn).length * BUILT_IN_TOKENS
  const refersTo = referencesOf(body)
  const searches = facts.toolCallsMax ?? WEB_SEARCHES_UNSTATED_MAX
  return {
    ok: true,
    model: facts.model,
    otherModels: facts.otherModels,
    ...(facts.toolModels.length > 0 && { toolModels: facts.toolModels }),
    stream: facts.stream,
    background: facts.background,
    ...(refersTo.length > 0 && { refersTo }),
    inputTokensMax: rawBytes - tally.payloadBytes + tally.mediaTokens + toolTokens,
    outputTokensLimit: facts.limit,
    choices: 1,
    wantsUsageChunk: true, // the terminal event always carries it
    serviceTier: facts.serviceTier,
    unbounded: [...tally.unbounded],
    webSearchesMax: facts.tools.some(isSearchTool) ? searches : 0,
    ...(facts.toolCallsMax !== null && { toolCallsMax: facts.toolCallsMax }),
    absentBuckets: absentBuckets(tally),
    inputText: () => [...walk(true).texts],
    inputTokensBeyondText: tally.mediaTokens + toolTokens + tally.frames * FRAME_TOKENS,
  }
}

/** What the model remembers of earlier turns may hold audio; its answers here never do. */
function absentBuckets(tally: InputTally): BucketName[] {
  const absent: BucketName[] = ['output_audio_tokens']
  if (!tally.hasAudio && tally.unbounded.size === 0) absent.push('input_audio_tokens')
  return absent
}

/** The client's bytes with `max_output_tokens`; null = nothing to change. */
export function rewriteResponses(raw: Buffer, inject: Injection): Buffer | null {
  const limit = inject.outputTokensLimit
  if (limit === null) return null
  return setMembers(raw, new Map([['max_output_tokens', Buffer.from(String(limit))]]))
}
