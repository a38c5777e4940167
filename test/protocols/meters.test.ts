import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Usage } from '../../src/kernel/usage.ts'
import type { MeterReport, Protocol, RequestView } from '../../src/protocols/protocol.ts'
import { anthropicMessages } from '../../src/protocols/anthropic-messages.ts'
import { openaiChat } from '../../src/protocols/openai-chat.ts'
import { openaiResponses } from '../../src/protocols/openai-responses.ts'
import { everyByte, feed, randomCuts } from './support.ts'

interface Expected {
  usage: Usage | null
  model?: string | null
  tier?: string | null
  complete?: boolean
  failed?: boolean
  /** Whether the input and the output numbers count as reported; default: both. */
  reported?: [boolean, boolean]
  text?: string
  servedBy?: string | null
  /** Blocks (cut at blank lines) that a tap that strips leaves out. */
  stripped?: number[]
}

const chat = { model: 'test-large-2026', tier: 'flex' }
const messages = { model: 'test-opus-1', tier: null }
const NONE: [boolean, boolean] = [false, false]

const EXPECTED: Record<string, Expected> = {
  'chat-every-bucket.sse': {
    ...chat,
    usage: {
      input_tokens: 350,
      cache_read_tokens: 300,
      cache_write_tokens: 200,
      input_audio_tokens: 100,
      input_image_tokens: 50,
      output_tokens: 50,
      output_reasoning_tokens: 20,
      output_audio_tokens: 10,
    },
    text: 'Let me "usage" think. Grüße, 世界 🜁look{"q":1}nospoken',
    stripped: [7],
  },
  'chat-usage-not-last.sse': {
    ...chat,
    usage: { input_tokens: 1000, output_tokens: 50 },
    stripped: [1],
  },
  'chat-empty-first.sse': { ...chat, usage: { input_tokens: 7, output_tokens: 2 }, stripped: [3] },
  'chat-usage-beside-choices.sse': {
    ...chat,
    usage: { input_tokens: 30, cache_read_tokens: 60, output_tokens: 2 },
  },
  'chat-x-groq-only.sse': { ...chat, usage: { input_tokens: 11, output_tokens: 4 } },
  'chat-zero-usage.sse': { ...chat, usage: {}, stripped: [1] },
  'chat-no-usage.sse': { ...chat, usage: null, reported: NONE, text: 'free text' },
  'chat-error-in-chunk.sse': {
    ...chat,
    usage: { input_tokens: 5, output_tokens: 6 },
    failed: true,
  },
  'chat-error-event.sse': {
    ...chat,
    usage: null,
    reported: NONE,
    complete: false,
    failed: true,
    text: 'partial',
  },
  'chat-crlf-comments.sse': {
    ...chat,
    usage: { input_tokens: 5, output_tokens: 6, web_search_requests: 2 },
    stripped: [4],
  },
  'chat-cut.sse': {
    ...chat,
    usage: null,
    reported: NONE,
    complete: false,
    text: 'half of ',
  },
  'chat-multi-line.sse': {
    ...chat,
    usage: { input_tokens: 3, output_tokens: 4 },
    stripped: [1],
  },
  'chat-reasoning-outside.json': {
    model: 'test-mini',
    usage: {
      input_tokens: 22,
      cache_read_tokens: 8,
      output_tokens: 52,
      output_reasoning_tokens: 50,
    },
    text: 'HiSay hi.',
  },
  'chat-cache-overlap.json': {
    model: 'test-mini',
    tier: 'priority',
    usage: {
      input_tokens: 10,
      cache_read_tokens: 1000,
      cache_write_tokens: 1000,
      output_tokens: 5,
    },
  },
  'chat-cached-media.json': {
    model: 'test-mini',
    usage: {
      cache_read_tokens: 80,
      input_image_tokens: 10,
      input_audio_tokens: 10,
      output_tokens: 5,
      output_reasoning_tokens: 5,
    },
    text: 'Hi',
  },
  'chat-error.json': { model: null, usage: null, reported: NONE, failed: true },
  'messages-every-block.sse': {
    model: 'test-opus-1',
    tier: 'standard+fast+inference_geo_us',
    usage: {
      input_tokens: 10,
      cache_read_tokens: 500,
      cache_write_5m_tokens: 10,
      cache_write_1h_tokens: 20,
      output_tokens: 77,
      output_reasoning_tokens: 12,
      web_search_requests: 3,
    },
    text: 'Hmm 🜁. Grüße, 世界look{"q":1}',
  },
  'messages-duplicate-start-late.sse': {
    ...messages,
    usage: { input_tokens: 400, output_tokens: 9 },
  },
  'messages-cache-grows.sse': {
    ...messages,
    usage: {
      input_tokens: 1,
      cache_write_5m_tokens: 60,
      cache_write_1h_tokens: 40,
      cache_write_tokens: 30,
      output_tokens: 9,
    },
  },
  'messages-cache-falls.sse': { ...messages, usage: { input_tokens: 1, output_tokens: 9 } },
  'messages-iterations.sse': {
    ...messages,
    usage: {
      input_tokens: 90,
      output_tokens: 30,
      iterations: [
        {
          type: 'compaction',
          model: 'test-opus-1',
          usage: { input_tokens: 500, cache_read_tokens: 7, output_tokens: 80 },
        },
        {
          type: 'advisor_message',
          model: 'test-adviser',
          usage: { input_tokens: 60, output_tokens: 70 },
        },
        {
          type: 'something_new',
          model: 'test-opus-1',
          usage: { input_tokens: 3, output_tokens: 3 },
        },
      ],
    },
  },
  'messages-fallback.sse': {
    ...messages,
    servedBy: 'test-sonnet-1',
    usage: {
      input_tokens: 110,
      output_tokens: 30,
      iterations: [{ type: 'message', model: 'test-opus-1', usage: { input_tokens: 50 } }],
    },
  },
  'messages-fallback-cut.sse': {
    ...messages,
    servedBy: 'test-sonnet-1',
    usage: { input_tokens: 50, output_tokens: 1 },
    reported: [true, false],
    complete: false,
    text: 'a',
  },
  'messages-error.sse': {
    ...messages,
    usage: { input_tokens: 76, output_tokens: 3 },
    reported: [true, false],
    complete: false,
    failed: true,
    text: 'partial',
  },
  'messages-no-names.sse': { ...messages, usage: { input_tokens: 5, output_tokens: 6 }, text: 'a' },
  'messages-zero.sse': { ...messages, usage: {} },
  'messages-answer.json': {
    model: 'test-opus-1',
    tier: 'batch',
    usage: { input_tokens: 2, cache_write_tokens: 30, output_tokens: 4 },
    text: 'Hm.Hilook{"q":1}',
  },
  'messages-error.json': { model: null, usage: null, reported: NONE, failed: true },
}

const directory = new URL('fixtures/', import.meta.url)
const load = (name: string): Buffer => readFileSync(new URL(name, directory))

const protocolOf = (name: string): Protocol =>
  name.startsWith('chat-') ? openaiChat : anthropicMessages

function viewFor(protocol: Protocol): RequestView {
  const body = {
    model: 'm',
    max_tokens: 1,
    stream: true,
    messages: [{ role: 'user', content: '' }],
    input: 'x',
  }
  const view = protocol.read(body, 100)
  if (!view.ok) throw new Error(view.message)
  return view
}

const tapFor = (
  protocol: Protocol,
  stripUsageChunk: boolean,
): ReturnType<Protocol['makeStreamTap']> =>
  protocol.makeStreamTap(viewFor(protocol), { stripUsageChunk })

function expectReport(report: ReturnType<Protocol['meterAnswer']>, expected: Expected): void {
  expect(report.usage).toEqual(expected.usage)
  expect(report.model).toBe(expected.model)
  expect(report.serviceTier).toBe(expected.tier ?? null)
  expect(report.complete).toBe(expected.complete ?? true)
  expect(report.failed).toBe(expected.failed ?? false)
  expect([report.inputReported, report.outputReported]).toEqual(expected.reported ?? [true, true])
  expect(report.servedBy ?? null).toBe(expected.servedBy ?? null)
  expect(report.produced().beyond).toBe(0)
  if (expected.text !== undefined) expect(report.produced().text.join('')).toBe(expected.text)
}

describe('the meters', () => {
  it('have an expectation for every fixture', () => {
    const names = readdirSync(directory).filter((name) => !name.startsWith('.'))
    expect(names.sort()).toEqual(Object.keys(EXPECTED).sort())
  })

  for (const [name, expected] of Object.entries(EXPECTED)) {
    const bytes = load(name)
    const protocol = protocolOf(name)
    if (name.endsWith('.json')) {
      it(`read a whole answer: ${name}`, () => {
        expectReport(protocol.meterAnswer(bytes), expected)
      })
      continue
    }
    const blocks = bytes.toString().split(/(?<=\n\n|\r\n\r\n|\r\r)(?!\n)/)
    const cutSets = [[], everyByte(bytes), randomCuts(bytes, 5, 9), randomCuts(bytes, 6, 300)]
    it(`read a stream, in any pieces: ${name}`, () => {
      for (const cuts of cutSets) {
        const { pass, final, report } = feed(tapFor(protocol, false), bytes, cuts)
        expect(Buffer.concat([pass, final]).equals(bytes)).toBe(true)
        expect(final.length > 0).toBe(expected.complete ?? true)
        expectReport(report, expected)
      }
    })
    it(`strip the chunk that only we asked for and nothing else: ${name}`, () => {
      const left = blocks.filter((_, at) => expected.stripped?.includes(at) !== true)
      for (const cuts of cutSets) {
        const { pass, final, report } = feed(tapFor(protocol, true), bytes, cuts)
        expect(Buffer.concat([pass, final]).toString()).toBe(left.join(''))
        expectReport(report, expected)
      }
    })
  }
})

/** The report of a message that began with a placeholder, and went on with these events. */
function messageOf(...events: readonly string[]): MeterReport {
  const start =
    '{"type":"message_start","message":{"model":"m","usage":{"input_tokens":9,"output_tokens":1,' +
    '"cache_creation":{"ephemeral_1h_input_tokens":5},"cache_creation_input_tokens":5}}}'
  const text = [start, ...events].map((event) => `data: ${event}\n\n`).join('')
  return feed(tapFor(anthropicMessages, false), Buffer.from(text), []).report
}

describe('a report', () => {
  it('can be asked for at any time without changing what comes', () => {
    const bytes = load('chat-every-bucket.sse')
    const tap = tapFor(openaiChat, true)
    const lengths: number[] = []
    for (const byte of bytes) {
      tap.push(Buffer.from([byte]))
      lengths.push(tap.report().produced().text.join('').length)
    }
    expect(lengths).toEqual([...lengths].sort((a, b) => a - b))
    tap.end()
    expectReport(tap.report(), EXPECTED['chat-every-bucket.sse'] ?? { usage: null })
  })

  it('of something that is not JSON reports nothing and counts its bytes', () => {
    for (const protocol of [openaiChat, anthropicMessages]) {
      for (const text of ['plain text', '[1]', '', '{"a":']) {
        const report = protocol.meterAnswer(Buffer.from(text))
        expect(report).toMatchObject({ usage: null, inputReported: false, complete: true })
        expect(report.produced().beyond).toBe(text.length)
      }
    }
  })

  it('ignores counts that are no counts', () => {
    for (const count of ['-1', '1.5', '"7"', '1e309', 'true', '[1]', 'null']) {
      const usage = `{"prompt_tokens":${count},"completion_tokens":3,"input_tokens":${count},"output_tokens":3}`
      for (const protocol of [openaiChat, anthropicMessages]) {
        const report = protocol.meterAnswer(Buffer.from(`{"model":"m","usage":${usage}}`))
        expect(report).toMatchObject({ usage: { output_tokens: 3 }, inputReported: false })
        expect(report.usage).not.toHaveProperty('input_tokens')
      }
    }
  })

  it('of a message whose last numbers never came takes no placeholder for them', () => {
    for (const usage of ['null', '{}', '{"output_tokens":null}', '{"output_tokens":"7"}']) {
      const report = messageOf(
        '{"type":"content_block_delta","delta":{"type":"text_delta","text":"Hello there."}}',
        `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":${usage}}`,
        '{"type":"message_stop"}',
      )
      expect(report).toMatchObject({ complete: true, inputReported: true, outputReported: false })
    }
    expect(messageOf('{"type":"message_stop"}').outputReported).toBe(false)
  })

  it('takes what chunks say one after another together, in details too', () => {
    const report = messageOf(
      '{"type":"message_delta","delta":{},"usage":{"server_tool_use":{"web_search_requests":2}}}',
      '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7,' +
        '"server_tool_use":{"web_search_requests":null,"web_fetch_requests":0},' +
        '"cache_creation":{"ephemeral_1h_input_tokens":null}}}',
      '{"type":"message_stop"}',
    )
    expect(report.usage).toEqual({
      input_tokens: 9,
      cache_write_1h_tokens: 5,
      output_tokens: 7,
      web_search_requests: 2,
    })
  })

  it('is not changed by what follows the end, in whatever pieces', () => {
    const end = 'event: response.completed\ndata: {"type":"response.completed","response":'
    const told = (usage: string): string => `${end}{"model":"m","usage":${usage}}}\n\n`
    const chat = (usage: string): string => `data: {"choices":[],"usage":${usage}}\n\n`
    const message = (usage: string): string =>
      `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":${usage}}\n\n`
    const stop = 'data: {"type":"message_stop"}\n\n'
    const streams: readonly [Protocol, string][] = [
      [openaiResponses, told('{"input_tokens":9,"output_tokens":7}') + told('null')],
      [
        openaiChat,
        chat('{"prompt_tokens":9,"completion_tokens":7}') +
          'data: [DONE]\n\n' +
          chat('{"prompt_tokens":9,"completion_tokens":0}'),
      ],
      [
        anthropicMessages,
        message('{"input_tokens":9,"output_tokens":7}') + stop + message('{"output_tokens":0}'),
      ],
    ]
    for (const [protocol, text] of streams) {
      const { report } = feed(tapFor(protocol, false), Buffer.from(text), [])
      expect(report).toMatchObject({
        usage: { input_tokens: 9, output_tokens: 7 },
        outputReported: true,
      })
    }
  })

  it('reads JSON behind a byte order mark', () => {
    const usage = { prompt_tokens: 9, completion_tokens: 7 }
    const body = Buffer.from(`\ufeff${JSON.stringify({ model: 'm', choices: [], usage })}`)
    expect(openaiChat.meterAnswer(body)).toMatchObject({
      usage: { input_tokens: 9, output_tokens: 7 },
      outputReported: true,
    })
  })

  it('of a whole answer that came as a stream counts its bytes', () => {
    for (const protocol of [openaiChat, anthropicMessages, openaiResponses]) {
      const body = Buffer.from('{\n  "model": "m",\n  "said": "Hello there."\n}')
      const { pass, final, report } = feed(tapFor(protocol, false), body, [3])
      expect(Buffer.concat([pass, final])).toEqual(body)
      expect(report).toMatchObject({ usage: null, complete: false })
      expect(report.produced().beyond).toBe(body.length)
    }
  })

  it('bounds the text it keeps and counts the rest', () => {
    const tap = tapFor(openaiChat, false)
    const chunk = JSON.stringify({
      model: 'm',
      choices: [{ delta: { content: 'x'.repeat(1000) } }],
    })
    for (let at = 0; at < 300; at += 1) tap.push(Buffer.from(`data: ${chunk}\n\n`))
    const report = tap.report()
    expect(report.produced().text.join('').length).toBe(256 * 1024)
    expect(report.produced().beyond).toBe(300_000 - 256 * 1024)
  })
})

describe('an error in mid-stream', () => {
  it('is heard by each protocol’s own tap, also inside an open event', () => {
    for (const protocol of [openaiChat, anthropicMessages]) {
      const tap = tapFor(protocol, false)
      tap.push(Buffer.from('data: {"half'))
      tap.push(protocol.streamError('upstream_error', 'The upstream broke off.'))
      expect(tap.report().failed).toBe(true)
      expect(tap.terminal).toBe(false)
    }
    expect(openaiChat.streamError('upstream_error', 'x').toString()).toBe(
      '\n\ndata: {"error":{"message":"x","type":"server_error","param":null,"code":"upstream_error"}}\n\n',
    )
    expect(anthropicMessages.streamError('upstream_timeout', 'x').toString()).toBe(
      '\n\nevent: error\ndata: {"type":"error","error":{"type":"timeout_error","message":"x"}}\n\n',
    )
  })
})
