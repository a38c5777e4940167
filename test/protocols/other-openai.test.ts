import { describe, expect, it } from 'vitest'
import { usageTail } from '../../src/protocols/answer-tail.ts'
import { openaiInputTokens, openaiModerations } from '../../src/protocols/free.ts'
import { openaiCompletions } from '../../src/protocols/openai-completions.ts'
import { openaiEmbeddings } from '../../src/protocols/openai-embeddings.ts'
import { openaiResponses } from '../../src/protocols/openai-responses.ts'
import type { Protocol, RequestView } from '../../src/protocols/protocol.ts'

const bytes = (body: unknown): Buffer => Buffer.from(JSON.stringify(body))

function viewOf(protocol: Protocol, body: unknown): RequestView {
  const view = protocol.readBytes(bytes(body))
  if (!view.ok) throw new Error(view.message)
  return view
}

const WRONG: [Protocol, unknown, RegExp][] = [
  [openaiCompletions, [], /JSON object/],
  [openaiCompletions, { prompt: 'x' }, /'model'/],
  [openaiCompletions, { model: 'm', prompt: [] }, /'prompt'/],
  [openaiCompletions, { model: 'm', prompt: [1.5] }, /'prompt'/],
  [openaiCompletions, { model: 'm', prompt: ['a', { b: 1 }] }, /'prompt'/],
  [openaiCompletions, { model: 'm', prompt: 'x', max_tokens: -1 }, /'max_tokens'/],
  [openaiCompletions, { model: 'm', prompt: 'x', best_of: 0 }, /'best_of'/],
  [openaiCompletions, { model: 'm', prompt: 'x', n: 1e9 }, /'n'/],
  [openaiCompletions, { model: 'm', prompt: 'x', echo: 'yes' }, /'echo'/],
  [openaiCompletions, { model: 'm', prompt: 'x', Best_Of: 9 }, /'best_of' in lower case/],
  [openaiEmbeddings, { model: 'm' }, /'input'/],
  [openaiEmbeddings, { model: 'm', input: [] }, /'input'/],
  [openaiEmbeddings, { model: 'm', input: [[1, '2']] }, /'input'/],
  [openaiEmbeddings, { model: 'm', input: { text: 'x' } }, /'input'/],
  [openaiModerations, { model: 7, input: 'x' }, /'model'/],
  [openaiInputTokens, { input: 'x' }, /'model'/],
]
it.each(WRONG)('is refused in words, %#', (protocol, body, message) => {
  const refusal = protocol.readBytes(bytes(body))
  expect(refusal).toMatchObject({ ok: false, code: 'invalid_request' })
  if (!refusal.ok) expect(refusal.message).toMatch(message)
})

describe('completions are bounded by', () => {
  const bounded = (more: Record<string, unknown>) =>
    viewOf(openaiCompletions, { model: 'm', ...more })

  it('sixteen tokens where no limit is named', () => {
    expect(bounded({ prompt: 'x' }).outputTokensLimit).toBe(16)
    expect(bounded({ prompt: 'x', max_tokens: 0 }).outputTokensLimit).toBe(0)
  })
  it('every prompt, answered as often as the dearer of n and best_of says', () => {
    expect(bounded({ prompt: 'x', n: 2, best_of: 5 }).choices).toBe(5)
    expect(bounded({ prompt: ['x', 'y', 'z'], n: 2 }).choices).toBe(6)
    expect(bounded({ prompt: [[1, 2], [3]] }).choices).toBe(2)
    expect(bounded({ prompt: [1, 2, 3] }).choices).toBe(1)
    expect(bounded({}).choices).toBe(1)
  })
  it('tokens that came as numbers, and text', () => {
    expect(bounded({ prompt: [[1, 2], 'x', [3]] })).toMatchObject({ inputTokensBeyondText: 3 })
    expect(bounded({ prompt: ['a', 'b'], suffix: 'c' }).inputText()).toEqual(['a', 'b', 'c'])
  })
})

describe('completions are sent', () => {
  const inject = { outputTokensLimit: null, outputLimitField: 'max_tokens', includeUsage: true }
  const rewritten = (text: string): string | undefined => {
    const raw = Buffer.from(text)
    return openaiCompletions
      .rewrite(raw, viewOf(openaiCompletions, JSON.parse(text)), inject)
      ?.toString()
  }
  it('with the default limit written out, for servers that have another', () => {
    expect(rewritten('{"model":"m","prompt":"x"}')).toBe(
      '{"model":"m","prompt":"x","max_tokens":16}',
    )
    expect(rewritten('{"model":"m","max_tokens": null}')).toBe('{"model":"m","max_tokens": 16}')
  })
  it('byte for byte where nothing is missing', () => {
    expect(rewritten('{"model":"m","prompt":"x","max_tokens":5}')).toBeUndefined()
  })
  it('with the usage chunk asked for', () => {
    expect(rewritten('{"model":"m","stream":true,"max_tokens":5}')).toBe(
      '{"model":"m","stream":true,"max_tokens":5,"stream_options":{"include_usage":true}}',
    )
  })
})

describe('embeddings', () => {
  it('are bounded by their input and have no output', () => {
    const body = { model: 'm', input: ['a', 'b'], encoding_format: 'base64' }
    expect(viewOf(openaiEmbeddings, body)).toMatchObject({
      inputTokensMax: bytes(body).length,
      outputTokensLimit: 0,
    })
    const tokens = viewOf(openaiEmbeddings, { model: 'm', input: [[1, 2, 3], [4]] })
    expect(tokens.inputTokensBeyondText).toBe(4)
    expect(tokens.inputText()).toEqual([])
  })
  it('are metered by what they report, in any size', () => {
    const usage = { prompt_tokens: 7, total_tokens: 7 }
    const answer = bytes({ object: 'list', data: [{ embedding: 'AAAA' }], model: 'e-1', usage })
    const expected = { usage: { input_tokens: 7 }, inputReported: true, outputReported: true }
    expect(openaiEmbeddings.meterAnswer(answer)).toMatchObject({ ...expected, model: 'e-1' })
    expect(openaiEmbeddings.meterTail?.(answer.subarray(-70), answer)).toMatchObject(expected)
    expect(openaiEmbeddings.meterTail?.(answer.subarray(0, -1), answer)).toBeNull()
    expect(openaiEmbeddings.meterAnswer(Buffer.from('[1]')).usage).toBeNull()
  })
})

describe('the end of a large answer', () => {
  const tail = (text: string) => usageTail(Buffer.from(text))
  it('tells its usage, whatever is behind it', () => {
    const last = '…]}],"usage":{"input_tokens":3},"user":null,"metadata":{"usage":"x"}}\n'
    expect(tail(last)).toMatchObject({ usage: { input_tokens: 3 } })
    expect(openaiResponses.meterTail?.(Buffer.from(last), Buffer.from('{'))?.usage).toEqual({
      input_tokens: 3,
    })
  })
  it('is not fooled by what a client put into it', () => {
    const quoted = JSON.stringify({ metadata: { a: ',"usage":{"input_tokens":1}}' } }).slice(5)
    expect(tail(quoted)).toBeNull()
    expect(tail('"metadata":{"usage":{"input_tokens":1}}}')).toBeNull()
    expect(tail('"usage":null}')).toBeNull()
    expect(tail('')).toBeNull()
    expect(tail('"usage"'.repeat(5_000))).toBeNull()
  })
})

it('a free endpoint reports one request and holds nothing', () => {
  expect(viewOf(openaiModerations, { input: 'x' })).toMatchObject({
    model: 'omni-moderation-latest',
    inputTokensMax: 0,
    outputTokensLimit: 0,
  })
  const report = openaiModerations.meterAnswer(Buffer.from('anything'))
  expect(report).toMatchObject({ usage: { requests: 1 }, inputReported: true })
})
