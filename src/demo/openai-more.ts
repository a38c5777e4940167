import { createHash } from 'node:crypto'
import { answerTo, isRecord, numberOr, textOf, tokensOf } from './answer-text.ts'
import type { DemoAnswer } from './openai-demo.ts'

/** The demo's answers beside chat: responses, embeddings and moderations, in OpenAI's shapes. */

interface Parts {
  readonly model: string
  readonly body: Record<string, unknown>
  readonly id: string
  readonly createdS: number
}

/** The text of a `responses` input, last message first; null = there is none. */
function inputOf(input: unknown): { last: string; all: string } | null {
  if (typeof input === 'string') return { last: input, all: input }
  if (!Array.isArray(input)) return null
  const texts = input.filter(isRecord).map(({ content }) => textOf(content))
  return { last: texts.at(-1) ?? '', all: texts.join(' ') }
}

function answerResponses({ model, body, id, createdS }: Parts): DemoAnswer | null {
  const input = inputOf(body.input)
  if (input === null) return null
  const { pieces, cut } = answerTo(input.last, numberOr(body.max_output_tokens, 256))
  const inputTokens = tokensOf(input.all + textOf(body.instructions)) + 4
  const text = pieces.join('')
  const item = {
    ...{ id: `msg_demo_${id}`, type: 'message', role: 'assistant', status: 'completed' },
    content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
  }
  const usage = {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: pieces.length,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: inputTokens + pieces.length,
  }
  const head = {
    ...{ id: `resp_demo_${id}`, object: 'response', created_at: createdS, model, error: null },
    ...{ parallel_tool_calls: true, tools: [], tool_choice: 'auto', metadata: {}, store: false },
    incomplete_details: cut ? { reason: 'max_output_tokens' } : null,
  }
  const status = cut ? 'incomplete' : 'completed'
  const begun = { ...head, status: 'in_progress', output: [], usage: null }
  const whole = { ...head, status, output: [item], usage }
  const at = { item_id: item.id, output_index: 0, content_index: 0 }
  const part = { type: 'output_text', text: '', annotations: [], logprobs: [] }
  const events: [string, Record<string, unknown>][] = [
    ['response.created', { response: begun }],
    ['response.output_item.added', { output_index: 0, item: { ...item, content: [] } }],
    ['response.content_part.added', { ...at, part }],
    ...pieces.map((delta): [string, Record<string, unknown>] => [
      'response.output_text.delta',
      { ...at, delta, logprobs: [] },
    ]),
    ['response.output_text.done', { ...at, text, logprobs: [] }],
    ['response.output_item.done', { output_index: 0, item }],
    [`response.${status}`, { response: whole }],
  ]
  return { json: whole, events: events.map(([type, more], seq) => eventOf(type, seq, more)) }
}

const eventOf = (type: string, seq: number, more: Record<string, unknown>): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: seq, ...more })}\n\n`

const DIMENSIONS = 256
const DIMENSIONS_MAX = 4_096

/** Numbers that follow from the text: the same text has the same ones. Length 1, as OpenAI's. */
function vectorOf(text: string, dimensions: number): number[] {
  const digest = createHash('sha256').update(text).digest()
  const raw = Array.from({ length: dimensions }, (_, at) => {
    const byte = digest[at % digest.length] ?? 0
    return Math.sin(byte + at)
  })
  const length = Math.hypot(...raw)
  return raw.map((value) => value / length)
}

const base64Of = (vector: readonly number[]): string =>
  Buffer.from(Float32Array.from(vector).buffer).toString('base64')

const textsOf = (input: unknown): string[] =>
  (Array.isArray(input) && !input.every((one) => typeof one === 'number') ? input : [input]).map(
    (one) => (typeof one === 'string' ? one : JSON.stringify(one)),
  )

function answerEmbeddings({ model, body }: Parts): DemoAnswer | null {
  if ((body.input ?? null) === null) return null
  const texts = textsOf(body.input)
  const dimensions = Math.min(Math.max(numberOr(body.dimensions, DIMENSIONS), 1), DIMENSIONS_MAX)
  const isBase64 = body.encoding_format === 'base64'
  const data = texts.map((text, index) => {
    const vector = vectorOf(text, Math.trunc(dimensions))
    return { object: 'embedding', index, embedding: isBase64 ? base64Of(vector) : vector }
  })
  const tokens = texts.reduce((sum, text) => sum + tokensOf(text), 0)
  const usage = { prompt_tokens: tokens, total_tokens: tokens }
  return { json: { object: 'list', model, data, usage }, events: [] }
}

const CATEGORIES = ['harassment', 'hate', 'illicit', 'self-harm', 'sexual', 'violence']

/** Flags what names a category: enough to see both answers. */
function answerModerations({ model, body, id }: Parts): DemoAnswer | null {
  if ((body.input ?? null) === null) return null
  const results = textsOf(body.input).map((text) => {
    const flags = CATEGORIES.map((name): [string, boolean] => [name, text.includes(name)])
    const scores = flags.map(([name, isNamed]): [string, number] => [name, isNamed ? 0.9 : 0.01])
    return {
      flagged: flags.some(([, isNamed]) => isNamed),
      categories: Object.fromEntries(flags),
      category_scores: Object.fromEntries(scores),
      category_applied_input_types: Object.fromEntries(CATEGORIES.map((name) => [name, ['text']])),
    }
  })
  return { json: { id: `modr-demo-${id}`, model, results }, events: [] }
}

const ANSWERS: Readonly<Record<string, (parts: Parts) => DemoAnswer | null>> = {
  '/v1/responses': answerResponses,
  '/v1/embeddings': answerEmbeddings,
  '/v1/moderations': answerModerations,
}

export const isMore = (path: string): boolean => Object.hasOwn(ANSWERS, path)

/** null = the body is none of that endpoint's. */
export function answerMore(
  path: string,
  body: unknown,
  id: string,
  createdS: number,
): { answer: DemoAnswer; stream: boolean } | null {
  if (!isRecord(body)) return null
  const model = typeof body.model === 'string' ? body.model : 'omni-moderation-latest'
  const answer = ANSWERS[path]?.({ model, body, id, createdS }) ?? null
  return answer === null
    ? null
    : { answer, stream: body.stream === true && answer.events.length > 0 }
}
