import { refuse, type Refusal } from '../kernel/errors.ts'
import { STORED_REFERENCES_MAX } from '../kernel/limits/background.ts'
import { isObject } from './json.ts'
import { makeChatTap } from './openai-chat-meter.ts'
import { referencesOf } from './openai-responses-input.ts'
import { openaiChat } from './openai-chat.ts'
import { producedBeyond } from './output-text.ts'
import type { Family, MeterReport, Protocol, RequestView } from './protocol.ts'
import { parseBody } from './request-body.ts'
import { makeFieldReader } from './request-fields.ts'

const COST_KEYS: ReadonlySet<string> = new Set(['model'])

/** What is known of every answer: one request was served. */
const ONE_REQUEST: MeterReport = {
  usage: { requests: 1 },
  inputReported: true,
  outputReported: true,
  model: null,
  serviceTier: null,
  complete: true,
  failed: false,
  produced: producedBeyond(0),
}

/** A count of tokens: never charged, whatever a request of its model costs. */
const NOTHING: MeterReport = { ...ONE_REQUEST, usage: { requests: 0 } }

export interface FreeEndpoint {
  readonly name: string
  readonly family: Family
  readonly path: string
  readonly endpoint: string
  /** The model where the body names none; null = it must. */
  readonly modelDefault: string | null
  /** The model that the path names, so that the body need not; absent = the body does. */
  readonly modelOfPath?: string
  /** Its body may go on from what the provider keeps. Absent = no. */
  readonly refersToStored?: true
  /** A price per request of its model does not count for it. */
  readonly isCount: boolean
}

function readFree(body: unknown, endpoint: FreeEndpoint): RequestView | Refusal {
  const { modelDefault, modelOfPath } = endpoint
  if (!isObject(body)) return refuse('invalid_request', 'The body must be a JSON object.')
  const fields = makeFieldReader(body)
  const model = (body.model ?? null) === null && modelDefault !== null ? modelDefault : null
  const refersTo = endpoint.refersToStored === true ? referencesOf(body) : []
  const named = modelOfPath ?? model ?? fields.model()
  if (refersTo.length > STORED_REFERENCES_MAX) {
    fields.fail(`The request goes on from more than ${STORED_REFERENCES_MAX} items.`)
  }
  return (
    fields.refusal ?? {
      ok: true,
      model: named,
      stream: false,
      ...(refersTo.length > 0 && { refersTo }),
      inputTokensMax: 0,
      outputTokensLimit: 0,
      choices: 1,
      wantsUsageChunk: true, // there are none
      serviceTier: null,
      unbounded: [],
      ...(endpoint.isCount ? { unitsMax: { requests: 0 } } : {}),
      webSearchesMax: 0,
      inputText: () => [],
      inputTokensBeyondText: 0,
    }
  )
}

/**
 * An endpoint whose provider takes nothing for it. It has a receipt like any other, with one
 * request in it, so that a price per request can be put on it. Source: providers.md §1.
 */
function makeFreeEndpoint(endpoint: FreeEndpoint): Protocol {
  const { name, family, path, isCount } = endpoint
  const report = isCount ? NOTHING : ONE_REQUEST
  return {
    name,
    family,
    path,
    endpoint: endpoint.endpoint,
    read: (body) => readFree(body, endpoint),
    readBytes(raw) {
      const parsed = parseBody(raw, COST_KEYS)
      return parsed.ok ? readFree(parsed.body, endpoint) : parsed
    },
    rewrite: () => null,
    meterAnswer: () => report,
    meterTail: () => report,
    makeStreamTap: () => makeChatTap(false),
    streamError: (code, message) => openaiChat.streamError(code, message),
  }
}

/** Source: developers.openai.com/api/reference/resources/moderations. */
export const openaiModerations = makeFreeEndpoint({
  name: 'openai-moderations',
  family: 'openai',
  path: '/v1/moderations',
  endpoint: 'moderations',
  modelDefault: 'omni-moderation-latest',
  isCount: false,
})

/** Counts a request's input without running it. */
export const openaiInputTokens = makeFreeEndpoint({
  name: 'openai-input-tokens',
  family: 'openai',
  path: '/v1/responses/input_tokens',
  endpoint: 'responses/input_tokens',
  refersToStored: true,
  modelDefault: null,
  isCount: true,
})

/** Counts a Messages request's input without running it. */
export const anthropicCountTokens = makeFreeEndpoint({
  name: 'anthropic-count-tokens',
  family: 'anthropic',
  path: '/v1/messages/count_tokens',
  endpoint: 'messages/count_tokens',
  modelDefault: null,
  isCount: true,
})

/** Counts the input of a request to one Gemini model without running it. */
export const geminiCountTokens = (base: string, model: string): Protocol =>
  makeFreeEndpoint({
    name: 'gemini-count-tokens',
    family: 'gemini',
    path: `${base}${model}:countTokens`,
    endpoint: 'countTokens',
    modelDefault: null,
    modelOfPath: model,
    isCount: true,
  })
