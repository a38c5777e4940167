import { expect, it } from 'vitest'
import { LOOP_BYTES_MAX } from '../../src/kernel/limits/requests.ts'
import { makeGeminiTap } from '../../src/protocols/gemini-meter.ts'
import { meterResponsesAnswer } from '../../src/protocols/openai-responses-meter.ts'
import { protocolOfPath } from '../../src/protocols/registry.ts'

const ASKED = { role: 'user', content: 'Hi' }
const BODIES = {
  '/v1/messages': { model: 'm', max_tokens: 9_000, messages: [ASKED], stream: true },
  '/v1/responses': { model: 'm', input: 'Hi', stream: true },
  '/v1/chat/completions': { model: 'm', messages: [ASKED], stream: true },
}
const SEALED = 'A'.repeat(8_000)

function viewOf(path: keyof typeof BODIES) {
  const view = protocolOfPath(path)?.readBytes(Buffer.from(JSON.stringify(BODIES[path])))
  if (view?.ok !== true) throw new Error(path)
  return view
}

/** What an answer that was cut off is known to have produced. */
function produced(path: keyof typeof BODIES, ...events: readonly object[]) {
  const protocol = protocolOfPath(path)
  if (protocol === null) throw new Error(path)
  const tap = protocol.makeStreamTap(viewOf(path), { stripUsageChunk: false })
  for (const event of events) tap.push(Buffer.from(`data: ${JSON.stringify(event)}\n\n`))
  const { text, beyond } = tap.report().produced()
  return { text: text.join(''), beyond }
}

const delta = (of: object) => ({ type: 'content_block_delta', index: 0, delta: of })
const signature = delta({ type: 'signature_delta', signature: SEALED })
const item = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: SEALED }
const done = { type: 'response.output_item.done', item }
const chunk = (of: object) => ({ model: 'm', choices: [{ index: 0, delta: of }] })

it('reasoning that only its provider can read counts by its length', () => {
  const block = { type: 'redacted_thinking', data: SEALED }
  const redacted = { type: 'content_block_start', index: 0, content_block: block }
  const details = [{ type: 'reasoning.encrypted', data: SEALED }]
  for (const seen of [
    produced('/v1/messages', redacted),
    produced('/v1/messages', delta({ type: 'thinking_delta', thinking: '' }), signature),
    produced('/v1/responses', done),
    produced('/v1/chat/completions', chunk({ content: null, reasoning_details: details })),
  ]) {
    expect(seen).toEqual({ text: '', beyond: 4_000 })
  }
})

it('is no more than what is sealed where a summary of it is shown', () => {
  const thinking = 'x'.repeat(1_000)
  const summary = { type: 'response.reasoning_summary_text.delta', delta: thinking }
  for (const seen of [
    produced('/v1/messages', delta({ type: 'thinking_delta', thinking }), signature),
    produced('/v1/responses', summary, done),
  ]) {
    expect(seen).toEqual({ text: thinking, beyond: 3_000 })
  }
  const long = 'x'.repeat(10_000)
  const all = produced('/v1/messages', delta({ type: 'thinking_delta', thinking: long }), signature)
  expect(all).toEqual({ text: long, beyond: 0 })
})

it('is no more than that in a whole answer either', () => {
  const summary = [{ type: 'summary_text', text: 'x'.repeat(1_000) }]
  const answer = { id: 'resp_1', output: [{ ...item, summary }] }
  const { text, beyond } = meterResponsesAnswer(Buffer.from(JSON.stringify(answer))).produced()
  expect({ text: text.join(''), beyond }).toEqual({ text: 'x'.repeat(1_000), beyond: 3_000 })
})

it('counts where there is so much of it that it is cut out', () => {
  const long = 'A'.repeat(2 * LOOP_BYTES_MAX)
  const seen = produced('/v1/responses', { ...done, item: { ...item, encrypted_content: long } })
  expect(seen).toEqual({ text: '', beyond: LOOP_BYTES_MAX })
})

it('what is cut out of a call counts, wherever it is in it', () => {
  const args = { path: 'a', files: [{ text: 'w'.repeat(2 * LOOP_BYTES_MAX) }] }
  const parts = [{ functionCall: { name: 'write', args } }]
  const event = JSON.stringify({ candidates: [{ content: { parts } }] })
  const tap = makeGeminiTap({ ...viewOf('/v1/responses'), choices: 1 })
  tap.push(Buffer.from(`data: ${event}\n\n`))
  const { text, beyond } = tap.report().produced()
  expect({ text: text.join(''), beyond }).toEqual({
    text: 'write{"path":"a","files":[{"text":""}]}',
    beyond: 2 * LOOP_BYTES_MAX,
  })
})

it('what a provider sends is not taken for something that was cut out', () => {
  const call = { index: 0, function: { name: 'trim', arguments: { cut: 90_000 } } }
  const seen = produced('/v1/chat/completions', chunk({ tool_calls: [call] }))
  expect(seen).toEqual({ text: 'trim', beyond: 0 })
})

it('is not looked for where there is none', () => {
  const call = { type: 'function_call', name: 'weather', arguments: '{}', call_id: 'c' }
  const seen = produced('/v1/responses', { type: 'response.output_item.done', item: call })
  expect(seen).toEqual({ text: '', beyond: 0 })
})
