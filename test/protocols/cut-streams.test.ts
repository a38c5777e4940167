import { expect, it } from 'vitest'
import { anthropicMessages } from '../../src/protocols/anthropic-messages.ts'
import { openaiChat } from '../../src/protocols/openai-chat.ts'
import { openaiResponses } from '../../src/protocols/openai-responses.ts'
import type { MeterReport, Protocol } from '../../src/protocols/protocol.ts'
import { protocolOfPath } from '../../src/protocols/registry.ts'

const gemini = protocolOfPath('/v1beta/models/m:streamGenerateContent')
if (gemini === null) throw new Error('no Gemini')

/** What is known when nobody reads on: the stream has not come to its end. */
function cut(protocol: Protocol, ...events: readonly string[]): MeterReport {
  const asked = {
    model: 'm',
    max_tokens: 9,
    messages: [{ role: 'user', content: 'x' }],
    input: 'x',
  }
  const contents = { contents: [{ parts: [{ text: 'x' }] }] }
  const view = protocol.read(protocol.family === 'gemini' ? contents : asked, 9)
  if (!view.ok) throw new Error(view.message)
  const tap = protocol.makeStreamTap(view, { stripUsageChunk: false })
  for (const event of events) tap.push(Buffer.from(`${event}\n\n`))
  return tap.report()
}

const data = (value: object): string => `data: ${JSON.stringify(value)}`
const named = (type: string, value: object): string => `event: ${type}\n${data({ type, ...value })}`
const delta = (it: object): string => data({ model: 'm', choices: [{ index: 0, delta: it }] })
const THOUGHT = 'First I look at the window.'

const THINKING: readonly [string, Protocol, string][] = [
  ['reasoning_content of a chat', openaiChat, delta({ reasoning_content: THOUGHT })],
  ['reasoning of a chat', openaiChat, delta({ reasoning: THOUGHT })],
  [
    'thinking of a message',
    anthropicMessages,
    named('content_block_delta', { delta: { type: 'thinking_delta', thinking: THOUGHT } }),
  ],
  [
    'a summary of a response’s reasoning',
    openaiResponses,
    named('response.reasoning_summary_text.delta', { delta: THOUGHT }),
  ],
  [
    'the reasoning of a response',
    openaiResponses,
    named('response.reasoning_text.delta', { delta: THOUGHT }),
  ],
  [
    'a thought of Gemini’s',
    gemini,
    data({ candidates: [{ content: { parts: [{ text: THOUGHT, thought: true }] } }] }),
  ],
]

it.each(THINKING)('reasoning that is shown counts as output: %s', (_name, protocol, event) => {
  const report = cut(protocol, event)
  expect(report.outputReported).toBe(false)
  expect(report.produced().text).toEqual([THOUGHT])
})

it('numbers of a chat that run along with its text are not yet those of its end', () => {
  const running = (usage: object): string =>
    data({ model: 'm', choices: [{ index: 0, delta: { content: 'Hello.' } }], usage })
  const zeros = cut(openaiChat, running({ prompt_tokens: 0, completion_tokens: 0 }))
  expect(zeros).toMatchObject({ inputReported: false, outputReported: false })
  expect(zeros.produced().text).toEqual(['Hello.'])
  const some = cut(openaiChat, running({ prompt_tokens: 9, completion_tokens: 70 }))
  expect(some).toMatchObject({ inputReported: true, outputReported: false, outputTokensLeast: 70 })
  const early = data({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 0 } })
  expect(cut(openaiChat, early, delta({ content: 'Hello.' })).outputReported).toBe(false)
  const usage = { prompt_tokens: 9, completion_tokens: 70 }
  const last = data({
    model: 'm',
    choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
    usage,
  })
  expect(cut(openaiChat, last)).toMatchObject({ inputReported: true, outputReported: true })
})

it('zeros at the start of a message are of a server that has not counted yet', () => {
  const started = (usage: object): string => named('message_start', { message: { usage } })
  const zeros = { input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 }
  expect(cut(anthropicMessages, started(zeros)).inputReported).toBe(false)
  const cached = { ...zeros, cache_read_input_tokens: 9 }
  expect(cut(anthropicMessages, started(cached)).inputReported).toBe(true)
  const last = { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } }
  const ended = cut(anthropicMessages, started(zeros), named('message_delta', last))
  expect(ended).toMatchObject({ inputReported: true, outputReported: true })
})

it('reasoning that is hidden counts as far as the stream has told its tokens', () => {
  const usage = {
    prompt_tokens: 9,
    completion_tokens: 70,
    completion_tokens_details: { reasoning_tokens: 64 },
  }
  expect(cut(openaiChat, data({ model: 'm', choices: [], usage }))).toMatchObject({
    usage: { output_tokens: 70, output_reasoning_tokens: 64 },
    outputReported: true,
  })
  const usageMetadata = { promptTokenCount: 9, thoughtsTokenCount: 64 }
  expect(cut(gemini, data({ candidates: [], usageMetadata }))).toMatchObject({
    outputTokensLeast: 64,
    outputReported: false,
  })
  const told = { output_tokens: 70, output_tokens_details: { thinking_tokens: 64 } }
  const start = { message: { model: 'm', usage: { input_tokens: 9, output_tokens: 1 } } }
  const report = cut(
    anthropicMessages,
    named('message_start', start),
    named('message_delta', { delta: {}, usage: told }),
  )
  expect(report).toMatchObject({
    usage: { output_tokens: 70, output_reasoning_tokens: 64 },
    ...{ outputTokensLeast: 70, outputReported: false },
  })
  expect(cut(anthropicMessages, named('message_start', start)).outputTokensLeast).toBe(0)
})
