import { refuse, type Refusal } from '../kernel/errors.ts'
import { usageTail } from './answer-tail.ts'
import { isObject } from './json.ts'
import { makeChatTap, meterChatAnswer } from './openai-chat-meter.ts'
import { openaiUsage } from './openai-chat-usage.ts'
import { openaiChat } from './openai-chat.ts'
import { readPrompt } from './openai-prompt.ts'
import { producedBeyond } from './output-text.ts'
import type { MeterReport, Protocol, RequestView } from './protocol.ts'
import { findMiscasedKey, parseBody } from './request-body.ts'
import { makeFieldReader } from './request-fields.ts'

const COST_KEYS: ReadonlySet<string> = new Set(['model', 'input'])

/** Reads a body of /v1/embeddings. Vectors are not billed: only the input is. */
function readEmbeddings(body: unknown, rawBytes: number): RequestView | Refusal {
  if (!isObject(body)) return refuse('invalid_request', 'The body must be a JSON object.')
  const miscased = findMiscasedKey(body, COST_KEYS)
  if (miscased !== null) {
    return refuse('invalid_request', `Write '${miscased.toLowerCase()}' in lower case.`)
  }
  const fields = makeFieldReader(body)
  const model = fields.model()
  const input = readPrompt(fields, 'input', null)
  return (
    fields.refusal ?? {
      ok: true,
      model,
      stream: false,
      inputTokensMax: rawBytes,
      outputTokensLimit: 0,
      choices: 1,
      wantsUsageChunk: true, // there are none
      serviceTier: null,
      unbounded: [],
      webSearchesMax: 0,
      absentBuckets: ['input_audio_tokens', 'input_image_tokens', 'output_tokens'],
      inputText: () => [...input.texts],
      inputTokensBeyondText: input.tokens,
    }
  )
}

/** No output is ever to be estimated: there is none. */
const withoutOutput = (report: MeterReport): MeterReport => ({
  ...report,
  outputReported: report.usage !== null,
  produced: producedBeyond(0),
})

/** OpenAI's embeddings; vectors pass as they came, numbers or base64. Source: providers.md §1. */
export const openaiEmbeddings: Protocol = {
  name: 'openai-embeddings',
  family: 'openai',
  path: '/v1/embeddings',
  endpoint: 'embeddings',
  read: readEmbeddings,
  readBytes(raw) {
    const parsed = parseBody(raw, COST_KEYS)
    return parsed.ok ? readEmbeddings(parsed.body, raw.length) : parsed
  },
  rewrite: () => null,
  meterAnswer: (body) => withoutOutput(meterChatAnswer(body)),
  meterTail(tail) {
    const rest = usageTail(tail)
    if (rest === null || !isObject(rest.usage)) return null
    const reported = openaiUsage(rest.usage)
    return withoutOutput({ ...meterChatAnswer(Buffer.from('{}')), ...reported })
  },
  makeStreamTap: () => makeChatTap(false),
  streamError: (code, message) => openaiChat.streamError(code, message),
}
