import { afterEach, describe, expect, it, vi } from 'vitest'
import { SSE_EVENT_BYTES_MAX } from '../../src/kernel/limits/answers.ts'
import type { Protocol, RequestView, StreamTap } from '../../src/protocols/protocol.ts'
import { protocolOfPath } from '../../src/protocols/registry.ts'

/** As undici hands over what comes of a socket. */
const CHUNK_BYTES = 64 * 1024
/** Characters of a text that is parsed in a few milliseconds, whatever it says. */
const PARSED_MAX = 512 * 1024
const LONG = 'iVBORw0K'.repeat((SSE_EVENT_BYTES_MAX - 4_096) / 8)
const QUOTED = '\\"\\\\n\\n'.repeat((SSE_EVENT_BYTES_MAX - 4_096) / 8)
const TEXT = { role: 'user', content: 'Hi' }

const sse = (type: string, data: string): string => `event: ${type}\ndata: ${data}\n\n`

interface Case {
  readonly path: string
  readonly body: object
  /** A stream with one event of nearly SSE_EVENT_BYTES_MAX. */
  readonly text: (long: string) => string
  readonly usage: object
}

const gemini = (long: string): string =>
  `{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"${long}"}}]},` +
  `"finishReason":"STOP","index":0}],` +
  `"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":1290},"modelVersion":"m"}`
const GEMINI = '/v1beta/models/m:streamGenerateContent'
const IMAGE_USAGE = '"usage":{"input_tokens":4,"output_tokens":1290}'

const CASES: Record<string, Case> = {
  'a picture': {
    path: '/v1/images/generations',
    body: { model: 'm', prompt: 'A fox', stream: true },
    text: (long) =>
      sse(
        'image_generation.completed',
        `{"type":"image_generation.completed","b64_json":"${long}",${IMAGE_USAGE}}`,
      ),
    usage: { input_tokens: 4, output_tokens: 1290 },
  },
  'a response with a picture': {
    path: '/v1/responses',
    body: { model: 'm', input: 'A fox', stream: true },
    text: (long) =>
      sse(
        'response.completed',
        `{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":` +
          `[{"id":"ig_1","type":"image_generation_call","status":"completed","result":"${long}"}],` +
          `${IMAGE_USAGE}}}`,
      ),
    usage: { input_tokens: 4, output_tokens: 1290, images: 1 },
  },
  'a chat answer with a sound': {
    path: '/v1/chat/completions',
    body: { model: 'm', messages: [TEXT], stream: true, stream_options: { include_usage: true } },
    text: (long) =>
      `data: {"model":"m","choices":[{"index":0,"delta":{"audio":{"data":"${long}"}}}],` +
      `"usage":{"prompt_tokens":4,"completion_tokens":1290}}\n\ndata: [DONE]\n\n`,
    usage: { input_tokens: 4, output_tokens: 1290 },
  },
  'a message with a long result': {
    path: '/v1/messages',
    body: { model: 'm', max_tokens: 9, messages: [TEXT], stream: true },
    text: (long) =>
      sse(
        'message_start',
        `{"type":"message_start","message":{"usage":{"input_tokens":4,"output_tokens":1}}}`,
      ) +
      sse(
        'content_block_start',
        `{"type":"content_block_start","content_block":{"type":"x","content":"${long}"}}`,
      ) +
      sse(
        'message_delta',
        `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1290}}`,
      ) +
      sse('message_stop', '{"type":"message_stop"}'),
    usage: { input_tokens: 4, output_tokens: 1290 },
  },
  'a picture in events': {
    path: `${GEMINI}?alt=sse`,
    body: { contents: [{ parts: [{ text: 'A fox' }] }] },
    text: (long) => `data: ${gemini(long)}\r\n\r\n`,
    usage: { input_tokens: 4, output_tokens: 1290 },
  },
  'a picture in an array': {
    path: GEMINI,
    body: { contents: [{ parts: [{ text: 'A fox' }] }] },
    text: (long) => `[${gemini(long)}\n]`,
    usage: { input_tokens: 4, output_tokens: 1290 },
  },
}

function tapOf({ path, body }: Case): StreamTap {
  const protocol: Protocol | null = protocolOfPath(path)
  const view: RequestView | null = (() => {
    const read = protocol?.readBytes(Buffer.from(JSON.stringify(body)))
    return read?.ok === true ? read : null
  })()
  if (protocol === null || view === null) throw new Error(path)
  const isOwnType = path === GEMINI
  return protocol.makeStreamTap(view, { stripUsageChunk: false, isOwnType })
}

/** The longest text that was parsed at once, and what came of it all. */
function pass(one: Case, bytes: Buffer) {
  const tap = tapOf(one)
  const parse = vi.spyOn(JSON, 'parse')
  const out: Buffer[] = []
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const { pass: now, final } = tap.push(bytes.subarray(at, at + CHUNK_BYTES))
    tap.report().produced()
    out.push(...now, ...final)
  }
  const rest = tap.end()
  const isWhole = Buffer.concat([...out, ...rest.pass, ...rest.final]).equals(bytes)
  const longest = Math.max(0, ...parse.mock.calls.map(([text]) => text.length))
  return { longest, isWhole, report: tap.report() }
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe('an event of nearly 8 MB is not parsed as a whole', () => {
  for (const [name, one] of Object.entries(CASES)) {
    it.each([
      ['base64', LONG],
      ['escapes', QUOTED],
    ])(`${name}, %s`, (_, long) => {
      const { longest, isWhole, report } = pass(one, Buffer.from(one.text(long)))
      expect(isWhole).toBe(true)
      expect(report).toMatchObject({ usage: one.usage, outputReported: true, complete: true })
      expect(report.produced()).toEqual({ text: [], beyond: 0 })
      expect(longest).toBeLessThanOrEqual(PARSED_MAX)
    })
  }

  it('a response with as many numbers, by its ends and the items that were shown before', () => {
    const { path, body } = CASES['a response with a picture'] ?? { path: '', body: {} }
    const logprobs = JSON.stringify({ token: 'a', logprob: -0.5, bytes: [97] })
    const numbers = new Array<string>(
      Math.floor(SSE_EVENT_BYTES_MAX / (logprobs.length + 1)) - 20,
    ).fill(logprobs)
    const response = `{"id":"resp_1","status":"completed","x":[${numbers.join(',')}],${IMAGE_USAGE}}`
    const data = `{"type":"response.completed","response":${response}}`
    const usage = { input_tokens: 4, output_tokens: 1290 }
    const added = (item: object): string =>
      sse(
        'response.output_item.added',
        JSON.stringify({ type: 'response.output_item.added', item }),
      )
    const text = (): string =>
      added({ id: 'rs_1', type: 'reasoning', encrypted_content: 'A'.repeat(50_000) }) +
      added({ id: 'msg_1', type: 'message', content: [] }) +
      added({ id: 'ci_1', type: 'x', content: numbers.slice(0, 100_000).map(() => [1]) }) +
      added({ id: 7, type: 'message' }) +
      sse('response.completed', data)
    const one: Case = { path, body, text, usage }
    const { longest, isWhole, report } = pass(one, Buffer.from(one.text('')))
    expect(isWhole).toBe(true)
    const storedIds = ['resp_1', 'rs_1', 'msg_1', 'ci_1']
    expect(report).toMatchObject({ usage, outputReported: true, complete: true, storedIds })
    expect(longest).toBeLessThanOrEqual(PARSED_MAX)
  })
})
