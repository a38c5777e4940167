import { answerTo, type DemoRequest } from './answer-text.ts'

export interface DemoAnswer {
  /** The whole answer where the request did not ask for a stream. */
  readonly json: unknown
  /** Events in order, as text. */
  readonly events: readonly string[]
}

const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`

/** An answer in OpenAI's chat/completions shape. */
export function answerOpenai(request: DemoRequest, id: string, createdS: number): DemoAnswer {
  const { model, tool } = request
  const { pieces, cut } = answerTo(request.lastText, request.maxTokens)
  const call = tool === null ? null : callOf(tool, id)
  const output = call === null ? pieces.length : 8
  const usage = {
    prompt_tokens: request.inputTokens,
    completion_tokens: output,
    total_tokens: request.inputTokens + output,
    prompt_tokens_details: { cached_tokens: 0 },
  }
  const finish = call !== null ? 'tool_calls' : cut ? 'length' : 'stop'
  const message =
    call === null
      ? { role: 'assistant', content: pieces.join('') }
      : { role: 'assistant', content: null, tool_calls: [call] }
  const head = { id: `chatcmpl-demo-${id}`, created: createdS, model, system_fingerprint: 'demo' }
  const chunk = (delta: unknown, finishReason: string | null): string =>
    event({
      ...head,
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, finish_reason: finishReason }],
      ...(request.includeUsage ? { usage: null } : {}),
    })
  const middle =
    call === null
      ? pieces.map((content) => chunk({ content }, null))
      : [chunk({ tool_calls: [{ index: 0, ...call }] }, null)]
  return {
    json: {
      ...head,
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason: finish, logprobs: null }],
      usage,
    },
    events: [
      chunk({ role: 'assistant', content: call === null ? '' : null }, null),
      ...middle,
      chunk({}, finish),
      ...(request.includeUsage
        ? [event({ ...head, object: 'chat.completion.chunk', choices: [], usage })]
        : []),
      'data: [DONE]\n\n',
    ],
  }
}

const callOf = (name: string, id: string): Record<string, unknown> => ({
  id: `call_demo_${id}`,
  type: 'function',
  function: { name, arguments: '{}' },
})
