import { refuse, type Refusal } from '../kernel/errors.ts'
import { WEB_SEARCHES_UNSTATED_MAX } from '../kernel/limits/models.ts'
import { JSON_DEPTH_MAX } from '../kernel/limits/requests.ts'
import type { BucketName } from '../kernel/usage.ts'
import { walkMessagesInput } from './anthropic-input.ts'
import { makeInputSink, type InputTally } from './input-tally.ts'
import { arrayOr, countOr, isObject, objectOr, textOr, type JsonObject } from './json.ts'
import { setMembers } from './json-scan.ts'
import { imageRuleOf } from './media-bounds.ts'
import type { Injection, RequestView } from './protocol.ts'
import { findMiscasedKey, hasKeyWithin } from './request-body.ts'
import { makeFieldReader, type FieldReader } from './request-fields.ts'

/** Top-level keys that bound the cost: each may be there once, in this spelling. */
export const MESSAGES_COST_KEYS: ReadonlySet<string> = new Set([
  'model',
  'models',
  'max_tokens',
  'messages',
  'system',
  'stream',
  'tools',
  'mcp_servers',
  'container',
  'context_management',
  'fallbacks',
  'thinking',
  'cache_control',
  'service_tier',
  'speed',
  'inference_geo',
  'output_config',
  'output_format',
])

/** What Anthropic calls its models: any of them may be the "default" fallback of one. */
const PROVIDERS_OWN = 'claude-*'

/** Role markers around a message; Anthropic's are not published, so generous. */
const FRAME_TOKENS = 16
/** The system prompt that Anthropic adds when there are tools. Source: providers.md §4. */
const TOOLS_TOKENS = 1_024

/** Reads a body of /v1/messages. Source: providers.md §1 and §4. */
export function readMessages(body: unknown, rawBytes: number): RequestView | Refusal {
  if (!isObject(body)) return refuse('invalid_request', 'The body must be a JSON object.')
  const miscased = findMiscasedKey(body, MESSAGES_COST_KEYS)
  if (miscased !== null) {
    return refuse('invalid_request', `Write '${miscased.toLowerCase()}' in lower case.`)
  }
  const caches = hasKeyWithin(body, 'cache_control')
  if (caches === null) {
    return refuse('invalid_json', `The body nests deeper than ${JSON_DEPTH_MAX} levels.`)
  }
  const fields = makeFieldReader(body)
  const facts = readFacts(fields, body)
  return fields.refusal ?? viewOf(body, rawBytes, facts, caches)
}

interface MessagesFacts {
  readonly model: string
  readonly otherModels: readonly string[]
  readonly stream: boolean
  readonly limit: number
  readonly tools: readonly unknown[]
  readonly serviceTier: string | null
}

function readFacts(fields: FieldReader, body: JsonObject): MessagesFacts {
  const model = fields.model()
  const limit = fields.integer('max_tokens', 1)
  if ((body.max_tokens ?? null) === null) fields.fail("'max_tokens' is required.")
  const messages = fields.array('messages')
  if (messages === null || messages.length === 0) {
    fields.fail("'messages' must be a non-empty array.")
  }
  const odd = messages?.findIndex((message) => !isObject(message)) ?? -1
  if (odd !== -1) fields.fail(`'messages[${odd}]' must be an object.`)
  if (typeof body.system !== 'string') fields.array('system')
  fields.array('mcp_servers')
  fields.object('thinking')
  fields.object('context_management')
  const tier = [fields.text('service_tier')]
  const speed = fastest(fields.text('speed'), body.fallbacks)
  if (speed !== 'standard') tier.push(speed)
  if (fields.text('inference_geo') === 'us') tier.push('inference_geo_us')
  const named = tier.filter((part) => part !== null)
  const tools = fields.array('tools') ?? []
  return {
    model,
    otherModels: otherModels(fields, tools),
    stream: fields.boolean('stream'),
    limit: limit ?? 0,
    tools,
    serviceTier: named.length === 0 ? null : named.join('+'),
  }
}

/** A fallback may be faster, and dearer, than the request itself. */
const fastest = (own: string | null, fallbacks: unknown): string | null =>
  arrayOr(fallbacks)
    .map((each) => textOr(objectOr(each).speed))
    .find((speed) => speed !== null && speed !== 'standard') ?? own

/**
 * Models of fallbacks and of an adviser, and OpenRouter's list. `fallbacks` may also be a word:
 * then the provider chooses, among its own.
 */
function otherModels(fields: FieldReader, tools: readonly unknown[]): readonly string[] {
  const fallbacks = typeof fields.value('fallbacks') === 'string' ? [] : fields.array('fallbacks')
  const advisers = tools
    .map(objectOr)
    .filter(({ type, model }) => textOr(type)?.startsWith('advisor_') === true && model != null)
  const lists = {
    fallbacks: arrayOr(fallbacks).map((each) => objectOr(each).model),
    tools: advisers.map(({ model }) => model),
    models: fields.array('models') ?? [],
  }
  const named = Object.entries(lists).flatMap(([name, list]) => fields.otherModels(name, list))
  return [...new Set(named)]
}

function viewOf(
  body: JsonObject,
  rawBytes: number,
  facts: MessagesFacts,
  caches: boolean,
): RequestView {
  const walk = (collect: boolean): InputTally => {
    const sink = makeInputSink(imageRuleOf('anthropic', facts.model), collect)
    walkMessagesInput(body, sink)
    return sink.tally()
  }
  const tally = walk(false)
  const toolsTokens = facts.tools.length > 0 ? TOOLS_TOKENS : 0
  return {
    ok: true,
    model: facts.model,
    otherModels: facts.otherModels,
    ...(typeof body.fallbacks === 'string' && { servedByAny: PROVIDERS_OWN }),
    stream: facts.stream,
    inputTokensMax: rawBytes - tally.payloadBytes + tally.mediaTokens + toolsTokens,
    outputTokensLimit: outputLimit(body, facts.limit),
    choices: 1,
    wantsUsageChunk: true, // the protocol always reports
    serviceTier: facts.serviceTier,
    unbounded: [...tally.unbounded],
    webSearchesMax: searchesMax(facts.tools),
    absentBuckets: absentBuckets(caches),
    inputText: () => [...walk(true).texts],
    inputTokensBeyondText: tally.mediaTokens + toolsTokens + tally.frames * FRAME_TOKENS,
  }
}

/** A fallback may bring a limit of its own. */
function outputLimit(body: JsonObject, limit: number): number {
  const theirs = arrayOr(body.fallbacks).map((each) => countOr(objectOr(each).max_tokens) ?? 0)
  return theirs.reduce((most, each) => Math.max(most, each), limit)
}

/** Anthropic searches only with the web search tool. */
function searchesMax(tools: readonly unknown[]): number {
  return tools.map(objectOr).reduce((sum, tool) => {
    if (textOr(tool.type)?.startsWith('web_search_') !== true) return sum
    return sum + (countOr(tool.max_uses) ?? WEB_SEARCHES_UNSTATED_MAX)
  }, 0)
}

/** A cache is written and read only where the request marks it. */
function absentBuckets(caches: boolean): BucketName[] {
  const absent: BucketName[] = ['input_audio_tokens', 'output_audio_tokens', 'input_image_tokens']
  if (!caches) {
    absent.push('cache_write_tokens', 'cache_write_5m_tokens', 'cache_write_1h_tokens')
  }
  return absent
}

/** The client's bytes with another `max_tokens`; null = nothing to change. */
export function rewriteMessages(raw: Buffer, inject: Injection): Buffer | null {
  const limit = inject.outputTokensLimit
  if (limit === null) return null
  return setMembers(raw, new Map([['max_tokens', Buffer.from(String(limit))]]))
}
