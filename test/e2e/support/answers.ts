/** What the two providers send, as small as their SDKs accept it. */
export interface Tokens {
  readonly input: number
  readonly output: number
  /** Of the input (OpenAI) or beside it (Anthropic): read from the cache. */
  readonly cached?: number
}

const CREATED = 1_790_000_000
export const TOOL_ARGUMENTS = '{"city":"Bern"}'

const chatUsage = ({ input, output, cached = 0 }: Tokens): Record<string, unknown> => ({
  prompt_tokens: input,
  completion_tokens: output,
  total_tokens: input + output,
  prompt_tokens_details: { cached_tokens: cached, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
})

const messagesUsage = ({ input, output, cached = 0 }: Tokens): Record<string, unknown> => ({
  input_tokens: input - cached,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: cached,
  output_tokens: output,
})

const chatTool = { id: 'call_1', type: 'function' } as const

export function chatAnswer(model: string, text: string | null, tokens: Tokens): unknown {
  const called = { name: 'weather', arguments: TOOL_ARGUMENTS }
  const message =
    text === null
      ? { role: 'assistant', content: null, tool_calls: [{ ...chatTool, function: called }] }
      : { role: 'assistant', content: text, refusal: null }
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: CREATED,
    model,
    service_tier: 'default',
    choices: [{ index: 0, message, finish_reason: text === null ? 'tool_calls' : 'stop' }],
    usage: chatUsage(tokens),
  }
}

export const sse = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`
export const DONE = 'data: [DONE]\n\n'

const chunk = (model: string, more: Record<string, unknown>): string =>
  sse({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: CREATED, model, ...more })

export const chatDelta = (model: string, delta: unknown, finish: string | null = null): string =>
  chunk(model, { choices: [{ index: 0, delta, finish_reason: finish }] })

export const chatUsageChunk = (model: string, tokens: Tokens): string =>
  chunk(model, { choices: [], usage: chatUsage(tokens) })

/** A chunk that carries the usage beside its choices, as DeepSeek sends it. */
export const chatUsageBeside = (model: string, tokens: Tokens): string =>
  chunk(model, {
    choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
    usage: chatUsage(tokens),
  })

/** Events of a streamed text, the last two being the usage chunk and the end. */
export function chatStream(model: string, words: readonly string[], tokens: Tokens): string[] {
  return [
    chatDelta(model, { role: 'assistant', content: '' }),
    ...words.map((content) => chatDelta(model, { content })),
    chatDelta(model, {}, 'stop'),
    chatUsageChunk(model, tokens),
    DONE,
  ]
}

export function chatToolStream(model: string, tokens: Tokens): string[] {
  const half = TOOL_ARGUMENTS.length >> 1
  const call = (more: unknown): unknown => ({ tool_calls: [{ index: 0, ...Object(more) }] })
  return [
    chatDelta(model, {
      role: 'assistant',
      content: null,
      ...Object(call({ ...chatTool, function: { name: 'weather', arguments: '' } })),
    }),
    chatDelta(model, call({ function: { arguments: TOOL_ARGUMENTS.slice(0, half) } })),
    chatDelta(model, call({ function: { arguments: TOOL_ARGUMENTS.slice(half) } })),
    chatDelta(model, {}, 'tool_calls'),
    chatUsageChunk(model, tokens),
    DONE,
  ]
}

const messageTool = { type: 'tool_use', id: 'toolu_1', name: 'weather' } as const

export function messagesAnswer(model: string, text: string | null, tokens: Tokens): unknown {
  return {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model,
    content: [
      text === null
        ? { ...messageTool, input: JSON.parse(TOOL_ARGUMENTS) as unknown }
        : { type: 'text', text },
    ],
    stop_reason: text === null ? 'tool_use' : 'end_turn',
    stop_sequence: null,
    usage: messagesUsage(tokens),
  }
}

export const named = (data: { type: string } & Record<string, unknown>): string =>
  `event: ${data.type}\n${sse(data)}`

/** `message_start`, whose output number is a placeholder. */
export const messageStart = (model: string, tokens: Tokens): string =>
  named({
    type: 'message_start',
    message: {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: messagesUsage({ ...tokens, output: 1 }),
    },
  })

export const textDelta = (text: string): string =>
  named({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })

export const textStart = named({
  type: 'content_block_start',
  index: 0,
  content_block: { type: 'text', text: '' },
})

export const messageEnd = (tokens: Tokens, reason = 'end_turn'): string[] => [
  named({ type: 'content_block_stop', index: 0 }),
  named({
    type: 'message_delta',
    delta: { stop_reason: reason, stop_sequence: null },
    usage: { output_tokens: tokens.output },
  }),
  named({ type: 'message_stop' }),
]

export const messagesStream = (
  model: string,
  words: readonly string[],
  tokens: Tokens,
): string[] => [
  messageStart(model, tokens),
  textStart,
  named({ type: 'ping' }),
  ...words.map(textDelta),
  ...messageEnd(tokens),
]

export function messagesToolStream(model: string, tokens: Tokens): string[] {
  const half = TOOL_ARGUMENTS.length >> 1
  const part = (partial_json: string): string =>
    named({
      type: 'content_block_delta',
      index: 0,
      delta: { type: 'input_json_delta', partial_json },
    })
  return [
    messageStart(model, tokens),
    named({
      type: 'content_block_start',
      index: 0,
      content_block: { ...messageTool, input: {} },
    }),
    part(TOOL_ARGUMENTS.slice(0, half)),
    part(TOOL_ARGUMENTS.slice(half)),
    ...messageEnd(tokens, 'tool_use'),
  ]
}

const responseUsage = ({ input, output, cached = 0 }: Tokens): Record<string, unknown> => ({
  input_tokens: input,
  input_tokens_details: { cached_tokens: cached },
  output_tokens: output,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: input + output,
})

export interface ResponseOptions {
  readonly id?: string
  readonly status?: string
  readonly more?: Readonly<Record<string, unknown>>
}

/** A response as OpenAI prints it; tokens null = it does not report its usage yet. */
export function responseAnswer(
  model: string,
  text: string | null,
  tokens: Tokens | null,
  { id = 'resp_1', status = 'completed', more = {} }: ResponseOptions = {},
): Record<string, unknown> {
  const call = { id: 'fc_1', call_id: 'call_1', name: 'weather', arguments: TOOL_ARGUMENTS }
  const said = { type: 'output_text', text, annotations: [], logprobs: [] }
  const item =
    text === null
      ? { type: 'function_call', status: 'completed', ...call }
      : { type: 'message', id: 'msg_1', status: 'completed', role: 'assistant', content: [said] }
  return {
    id,
    object: 'response',
    created_at: CREATED,
    status,
    background: false,
    error: null,
    incomplete_details: null,
    instructions: null,
    model,
    output: tokens === null ? [] : [item],
    parallel_tool_calls: true,
    service_tier: 'default',
    store: true,
    tool_choice: 'auto',
    tools: [],
    usage: tokens === null ? null : responseUsage(tokens),
    metadata: {},
    ...more,
  }
}

let sequence = 0
const responseEvent = (type: string, more: Record<string, unknown>): string =>
  named({ type, sequence_number: (sequence += 1), ...more })

export const responseDelta = (delta: string): string =>
  responseEvent('response.output_text.delta', {
    item_id: 'msg_1',
    output_index: 0,
    content_index: 0,
    delta,
    logprobs: [],
  })

/** The first events, which say who answers. */
export function responseStart(model: string, options: ResponseOptions = {}): string[] {
  const response = responseAnswer(model, null, null, { status: 'in_progress', ...options })
  const part = { type: 'output_text', text: '', annotations: [], logprobs: [] }
  const at = { item_id: 'msg_1', output_index: 0, content_index: 0 }
  const item = { type: 'message', id: 'msg_1', status: 'in_progress', role: 'assistant' }
  return [
    responseEvent('response.created', { response }),
    responseEvent('response.in_progress', { response }),
    responseEvent('response.output_item.added', {
      output_index: 0,
      item: { ...item, content: [] },
    }),
    responseEvent('response.content_part.added', { ...at, part }),
  ]
}

export function responseEnd(
  model: string,
  text: string | null,
  tokens: Tokens,
  options: ResponseOptions = {},
): string {
  const response = responseAnswer(model, text, tokens, options)
  return responseEvent(`response.${String(response.status)}`, { response })
}

export function responseStream(
  model: string,
  words: readonly string[],
  tokens: Tokens,
  options: ResponseOptions = {},
): string[] {
  const text = words.join('')
  return [
    ...responseStart(model, options),
    ...words.map(responseDelta),
    responseEvent('response.output_text.done', {
      item_id: 'msg_1',
      output_index: 0,
      content_index: 0,
      text,
      logprobs: [],
    }),
    responseEnd(model, text, tokens, options),
  ]
}

export function responseToolStream(model: string, tokens: Tokens): string[] {
  const half = TOOL_ARGUMENTS.length >> 1
  const at = { item_id: 'fc_1', output_index: 0 }
  const item = { id: 'fc_1', type: 'function_call', call_id: 'call_1', name: 'weather' }
  const part = (delta: string): string =>
    responseEvent('response.function_call_arguments.delta', { ...at, delta })
  const whole = { ...item, status: 'completed', arguments: TOOL_ARGUMENTS }
  return [
    ...responseStart(model).slice(0, 2),
    responseEvent('response.output_item.added', {
      output_index: 0,
      item: { ...item, status: 'in_progress', arguments: '' },
    }),
    part(TOOL_ARGUMENTS.slice(0, half)),
    part(TOOL_ARGUMENTS.slice(half)),
    responseEvent('response.function_call_arguments.done', {
      ...at,
      name: 'weather',
      arguments: TOOL_ARGUMENTS,
    }),
    responseEvent('response.output_item.done', { output_index: 0, item: whole }),
    responseEnd(model, null, tokens),
  ]
}

/** A whole answer of the legacy completions. */
export const completionAnswer = (model: string, text: string, tokens: Tokens): unknown => ({
  id: 'cmpl-1',
  object: 'text_completion',
  created: CREATED,
  model,
  choices: [{ text, index: 0, logprobs: null, finish_reason: 'stop' }],
  usage: chatUsage(tokens),
})

/** Events of a streamed completion, the last two being the usage chunk and the end. */
export function completionStream(
  model: string,
  words: readonly string[],
  tokens: Tokens,
): string[] {
  const part = (text: string, finish_reason: string | null = null): string =>
    sse({
      id: 'cmpl-1',
      object: 'text_completion',
      created: CREATED,
      model,
      choices: [{ text, index: 0, logprobs: null, finish_reason }],
    })
  return [...words.map((word) => part(word)), part('', 'stop'), chatUsageChunk(model, tokens), DONE]
}
