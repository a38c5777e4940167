import { answerTo, type DemoRequest } from './answer-text.ts'
import type { DemoAnswer } from './openai-demo.ts'

const event = (type: string, data: Record<string, unknown>): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`

/** An answer in Anthropic's messages shape. */
export function answerAnthropic(request: DemoRequest, id: string): DemoAnswer {
  const { model, tool, inputTokens } = request
  const { pieces, cut } = answerTo(request.lastText, request.maxTokens)
  const output = tool === null ? pieces.length : 8
  const stop = tool !== null ? 'tool_use' : cut ? 'max_tokens' : 'end_turn'
  const usage = {
    input_tokens: inputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: output,
  }
  const head = { id: `msg_demo_${id}`, type: 'message', role: 'assistant', model }
  const block =
    tool === null
      ? { type: 'text', text: pieces.join('') }
      : { type: 'tool_use', id: `toolu_demo_${id}`, name: tool, input: {} }
  const start = tool === null ? { type: 'text', text: '' } : block
  const deltas =
    tool === null
      ? pieces.map((text) => ({ type: 'text_delta', text }))
      : [{ type: 'input_json_delta', partial_json: '{}' }]
  const begun = { stop_reason: null, stop_sequence: null, content: [] }
  return {
    json: { ...head, content: [block], stop_reason: stop, stop_sequence: null, usage },
    events: [
      event('message_start', {
        message: { ...head, ...begun, usage: { ...usage, output_tokens: 1 } },
      }),
      event('content_block_start', { index: 0, content_block: start }),
      event('ping', {}),
      ...deltas.map((delta) => event('content_block_delta', { index: 0, delta })),
      event('content_block_stop', { index: 0 }),
      event('message_delta', {
        delta: { stop_reason: stop, stop_sequence: null },
        usage: { output_tokens: output },
      }),
      event('message_stop', {}),
    ],
  }
}
