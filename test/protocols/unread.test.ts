import { expect, it } from 'vitest'
import { anthropicMessages } from '../../src/protocols/anthropic-messages.ts'
import { openaiChat } from '../../src/protocols/openai-chat.ts'
import { openaiResponses } from '../../src/protocols/openai-responses.ts'
import type { Protocol } from '../../src/protocols/protocol.ts'
import { protocolOfPath } from '../../src/protocols/registry.ts'

const PIECE = Buffer.from('x'.repeat(1024 * 1024))
const PIECES = 9 // an event may have eight of them

function geminiOf(): Protocol {
  const found = protocolOfPath('/v1beta/models/m:streamGenerateContent')
  if (found === null) throw new Error('no Gemini')
  return found
}

const STREAMS: readonly [string, Protocol, boolean, string, string][] = [
  ['chat', openaiChat, false, 'data: {"choices":[{"delta":{"content":"', '"}}]}\n\n'],
  [
    'messages',
    anthropicMessages,
    false,
    'event: content_block_delta\ndata: {"delta":{"text":"',
    '"}}\n\n',
  ],
  [
    'responses',
    openaiResponses,
    false,
    'event: response.output_text.delta\ndata: {"delta":"',
    '"}\n\n',
  ],
  ['Gemini’s events', geminiOf(), false, 'data: {"candidates":[{"text":"', '"}]}\n\n'],
  ['Gemini’s array', geminiOf(), true, '[{"candidates":[{"text":"', '"}]},'],
]

it.each(STREAMS)(
  'what is too large to be read counts while it comes, and once: %s',
  (_name, protocol, isOwnType, begin, end) => {
    const body = { model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'x' }] }
    const asked = { ...body, input: 'x', contents: [{ parts: [{ text: 'x' }] }] }
    const view = protocol.read(
      protocol.family === 'gemini' ? { contents: asked.contents } : asked,
      9,
    )
    if (!view.ok) throw new Error(view.message)
    const tap = protocol.makeStreamTap(view, { stripUsageChunk: false, isOwnType })
    const first = Buffer.from(begin)
    tap.push(first)
    for (let count = 0; count < PIECES; count += 1) tap.push(PIECE)
    const passed = first.length + PIECES * PIECE.length
    // Its client leaves now, or its upstream breaks off: nobody ends the tap.
    expect(tap.report().complete).toBe(false)
    expect(tap.report().produced().beyond).toBe(passed)
    tap.push(Buffer.from(end))
    const { beyond } = tap.report().produced()
    expect(beyond).toBeGreaterThanOrEqual(passed)
    expect(beyond).toBeLessThanOrEqual(passed + end.length)
  },
)

it('an image that is too large to be read is no text, while it comes and after', () => {
  const view = openaiResponses.read({ model: 'm', input: 'x' }, 9)
  if (!view.ok) throw new Error(view.message)
  const tap = openaiResponses.makeStreamTap(view, { stripUsageChunk: false })
  tap.push(Buffer.from('event: response.image_generation_call.partial_image\ndata: {"b64":"'))
  for (let count = 0; count < PIECES; count += 1) tap.push(PIECE)
  expect(tap.report().produced().beyond).toBe(0)
  tap.push(Buffer.from('"}\n\n'))
  expect(tap.report().produced().beyond).toBe(0)
})
