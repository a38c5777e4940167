import { refuse, type Refusal } from '../kernel/errors.ts'
import { isObject } from './json.ts'
import { makeChatTap } from './openai-chat-meter.ts'
import { openaiChat } from './openai-chat.ts'
import type { MeterReport, Protocol, RequestView } from './protocol.ts'
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
  outputText: [],
  outputCharsBeyond: 0,
}

export interface FreeEndpoint {
  readonly name: string
  readonly path: string
  readonly endpoint: string
  /** The model where the body names none; null = it must. */
  readonly modelDefault: string | null
}

function readFree(body: unknown, modelDefault: string | null): RequestView | Refusal {
  if (!isObject(body)) return refuse('invalid_request', 'The body must be a JSON object.')
  const fields = makeFieldReader(body)
  const model = (body.model ?? null) === null && modelDefault !== null ? modelDefault : null
  const named = model ?? fields.model()
  return (
    fields.refusal ?? {
      ok: true,
      model: named,
      stream: false,
      inputTokensMax: 0,
      outputTokensLimit: 0,
      choices: 1,
      wantsUsageChunk: true, // there are none
      serviceTier: null,
      unbounded: [],
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
export function makeFreeEndpoint({ modelDefault, ...names }: FreeEndpoint): Protocol {
  return {
    ...names,
    family: 'openai',
    read: (body) => readFree(body, modelDefault),
    readBytes(raw) {
      const parsed = parseBody(raw, COST_KEYS)
      return parsed.ok ? readFree(parsed.body, modelDefault) : parsed
    },
    rewrite: () => null,
    meterAnswer: () => ONE_REQUEST,
    meterTail: () => ONE_REQUEST,
    makeStreamTap: () => makeChatTap(false),
    streamError: (code, message) => openaiChat.streamError(code, message),
  }
}

/** Source: developers.openai.com/api/reference/resources/moderations. */
export const openaiModerations = makeFreeEndpoint({
  name: 'openai-moderations',
  path: '/v1/moderations',
  endpoint: 'moderations',
  modelDefault: 'omni-moderation-latest',
})

/** Counts a request's input without running it. */
export const openaiInputTokens = makeFreeEndpoint({
  name: 'openai-input-tokens',
  path: '/v1/responses/input_tokens',
  endpoint: 'responses/input_tokens',
  modelDefault: null,
})
