import { describe, expect, it } from 'vitest'
import { SSE_EVENT_BYTES_MAX } from '../../src/kernel/limits/answers.ts'
import { anthropicMessages } from '../../src/protocols/anthropic-messages.ts'
import { openaiChat } from '../../src/protocols/openai-chat.ts'
import type { Protocol, RequestView } from '../../src/protocols/protocol.ts'
import { bestMs, feed, inputTextOf } from './support.ts'

const BOTH: Protocol[] = [openaiChat, anthropicMessages]
const MINIMAL =
  '"model":"m","max_tokens":10,"stream":true,"messages":[{"role":"user","content":"hi"}]'
const MB = 1024 * 1024

function viewOf(protocol: Protocol, text: string): RequestView {
  const view = protocol.readBytes(Buffer.from(text))
  if (!view.ok) throw new Error(view.message)
  return view
}

/** A collection of garbage or a slow minute of the machine spoils one measurement, not these. */
const MEASUREMENTS = 6

/**
 * Four times the input must not take much more than four times as long: quadratic work takes
 * sixteen times, whenever it is measured. Small times are noise and pass.
 */
function expectLinear(work: (size: number) => void, size: number): void {
  const ratios: number[] = []
  for (let measured = 0; measured < MEASUREMENTS; measured += 1) {
    work(size) // compiled, and the heap grown
    const small = bestMs(3, () => {
      work(size)
    })
    const large = bestMs(3, () => {
      work(size * 4)
    })
    if (large < Math.max(small * 9, 30)) return
    ratios.push(large / small)
  }
  expect.fail(`four times the input took ${ratios.map((one) => one.toFixed(1)).join(', ')} times`)
}

const HOSTILE: Record<string, (bytes: number) => string> = {
  'one long string': (bytes) => `{${MINIMAL},"x":"${'a'.repeat(bytes)}"}`,
  'only escaped quotes': (bytes) => `{${MINIMAL},"x":"${'\\"'.repeat(bytes / 2)}"}`,
  'only backslashes': (bytes) => `{${MINIMAL},"x":"${'\\\\'.repeat(bytes / 2)}"}`,
  'a truncated string of backslashes': (bytes) => `{${MINIMAL},"x":"${'\\'.repeat(bytes)}`,
  'many top-level keys': (bytes) =>
    `{${MINIMAL},${Array.from({ length: bytes / 12 }, (_, at) => `"k${at}":1`).join(',')}}`,
  'the same key over and over': (bytes) => `{${MINIMAL},${'"user":1,'.repeat(bytes / 9)}"z":1}`,
  'a cost key over and over': (bytes) => `{${'"n":1,'.repeat(bytes / 6)}${MINIMAL}}`,
  'many escaped keys': (bytes) => `{${MINIMAL},"m":[${'{"\\u0061":1},'.repeat(bytes / 13)}0]}`,
  'many messages': (bytes) =>
    `{"model":"m","max_tokens":1,"messages":[${'{"role":"user","content":"a"},'.repeat(bytes / 30)}{}]}`,
  'many brackets that never close': (bytes) => '['.repeat(bytes),
  'many unclosed objects': (bytes) => '{"a":'.repeat(bytes / 5),
  'white space': (bytes) => `{${' '.repeat(bytes)}${MINIMAL}}`,
  ideographs: (bytes) => `{${MINIMAL},"x":"${'漢'.repeat(bytes / 3)}"}`,
}

describe('reading a hostile body takes linear time:', () => {
  for (const [name, make] of Object.entries(HOSTILE)) {
    it(name, () => {
      for (const protocol of BOTH) {
        expectLinear((bytes) => {
          const view = protocol.readBytes(Buffer.from(make(bytes)))
          if (view.ok) inputTextOf(view)
        }, MB / 2)
      }
    })
  }

  it('ten megabytes in well under the time of a request', () => {
    const raw = Buffer.from(`{${MINIMAL},"x":"${'\\"'.repeat(5 * MB)}"}`)
    const inject = { outputTokensLimit: 5, outputLimitField: 'max_tokens', includeUsage: true }
    for (const protocol of BOTH) {
      const took = bestMs(3, () => {
        const view = protocol.readBytes(raw)
        if (!view.ok) throw new Error(view.message)
        expect(protocol.rewrite(raw, view, inject)).not.toBeNull()
        expect(view.inputTokensMax).toBe(raw.length)
      })
      expect(took).toBeLessThan(1_500)
    }
  })

  it('nesting is refused past its bound and read up to it', () => {
    for (const protocol of BOTH) {
      const nested = (depth: number): string =>
        `{${MINIMAL},"x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
      expect(protocol.readBytes(Buffer.from(nested(128)))).toMatchObject({ ok: true })
      const refused = { ok: false, code: 'invalid_json' }
      expect(protocol.readBytes(Buffer.from(nested(129)))).toMatchObject(refused)
      expect(protocol.readBytes(Buffer.from(nested(1_000_000)))).toMatchObject(refused)
      expect(protocol.read(JSON.parse(nested(129)), 1000)).toMatchObject(refused)
    }
  })

  it('50 000 ideographs are bounded by their bytes', () => {
    const content = '漢'.repeat(50_000)
    for (const protocol of BOTH) {
      const text = JSON.stringify({
        model: 'm',
        max_tokens: 1,
        messages: [{ role: 'user', content }],
      })
      const view = viewOf(protocol, text)
      expect(view.inputTokensMax).toBe(150_000 + text.length - 50_000)
      expect(inputTextOf(view).join('')).toContain(content)
    }
  })
})

const chunkOf = (content: string): string =>
  `data: ${JSON.stringify({ id: 'c', model: 'm', choices: [{ delta: { content } }], usage: null })}\n\n`

const usageChunk =
  'data: {"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'

describe('a stream', () => {
  it('passes one large event in linear time, whatever its pieces', () => {
    const view = viewOf(openaiChat, `{${MINIMAL}}`)
    for (const pieceBytes of [1, 100, 16 * 1024]) {
      expectLinear(
        (bytes) => {
          const text = Buffer.from(`${chunkOf('x'.repeat(bytes))}${usageChunk}data: [DONE]\n\n`)
          const cuts = (function* (): Generator<number> {
            for (let at = pieceBytes; at < text.length; at += pieceBytes) yield at
          })()
          const tap = openaiChat.makeStreamTap(view, { stripUsageChunk: false })
          const { pass, final, report } = feed(tap, text, cuts)
          expect(pass.length + final.length).toBe(text.length)
          expect(report.usage).toEqual({ input_tokens: 1, output_tokens: 2 })
        },
        pieceBytes === 1 ? 1.25 * MB : 1.5 * MB,
      )
    }
  })

  it('stops holding an event past the bound, and meters the next', () => {
    const view = viewOf(openaiChat, `{${MINIMAL}}`)
    const tap = openaiChat.makeStreamTap(view, { stripUsageChunk: true })
    const piece = Buffer.alloc(64 * 1024, 'x')
    let held = Buffer.byteLength('data: ')
    let heldMax = 0
    tap.push(Buffer.from('data: '))
    for (let sent = 0; sent < 3 * SSE_EVENT_BYTES_MAX; sent += piece.length) {
      held += piece.length
      for (const out of tap.push(piece).pass) held -= out.length
      heldMax = Math.max(heldMax, held)
    }
    expect(heldMax).toBeLessThanOrEqual(SSE_EVENT_BYTES_MAX)
    expect(held).toBe(0)
    tap.push(Buffer.from(`\n\n${usageChunk}data: [DONE]\n\n`))
    const report = tap.report()
    expect(report).toMatchObject({ usage: { input_tokens: 1, output_tokens: 2 }, complete: true })
    expect(report.produced().beyond).toBeGreaterThan(3 * SSE_EVENT_BYTES_MAX)
  })

  it('leaves as parts of its chunk, in one piece where nothing is taken out', () => {
    const view = viewOf(openaiChat, `{${MINIMAL}}`)
    const tap = openaiChat.makeStreamTap(view, { stripUsageChunk: true })
    const chunk = Buffer.from(chunkOf('a') + chunkOf('b') + usageChunk + chunkOf('c'))
    const { pass } = tap.push(chunk)
    expect(pass.length).toBe(2)
    for (const part of pass) expect(part.buffer).toBe(chunk.buffer)
  })

  it('costs little: a thousand streams of two hundred events side by side', () => {
    const view = viewOf(openaiChat, `{${MINIMAL}}`)
    const events = Array.from({ length: 200 }, (_, at) => Buffer.from(chunkOf(`word ${at} `)))
    const tail = Buffer.from(`${usageChunk}data: [DONE]\n\n`)
    const took = bestMs(3, () => {
      const taps = Array.from({ length: 1_000 }, () =>
        openaiChat.makeStreamTap(view, { stripUsageChunk: true }),
      )
      for (const event of events) for (const tap of taps) tap.push(event)
      for (const tap of taps) {
        tap.push(tail)
        expect(tap.terminal).toBe(true)
        expect(tap.report().usage).toEqual({ input_tokens: 1, output_tokens: 2 })
      }
    })
    console.log(`1 000 × 200 events: ${took.toFixed(0)} ms`)
    expect(took).toBeLessThan(5_000)
  })
})
