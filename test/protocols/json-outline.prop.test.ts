import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { filledOutline, outlineOf } from '../../src/protocols/json-outline.ts'
import type { Injection } from '../../src/protocols/protocol.ts'
import { protocolOfPath } from '../../src/protocols/registry.ts'

const BODIES = {
  '/v1/chat/completions': '{"model":"m","messages":[{}]}',
  '/v1/completions': '{"model":"m","prompt":"a"}',
  '/v1/responses': '{"model":"m","input":"a"}',
  '/v1/embeddings': '{"model":"m","input":"a"}',
  '/v1/messages': '{"model":"m","max_tokens":5,"messages":[{}]}',
  '/v1beta/models/m:generateContent': '{"contents":{}}',
}
const NAMES = [
  ...['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'stream_options'],
  ...['generationConfig', 'generation_config', 'stream', 'x', 'messages', '\\u00000', '\\u00001'],
  'max\\u005ftokens',
]
const value = fc.oneof(
  fc.constantFrom('null', '1', '{}', '[]', '{"include_usage":false,"a":1}', '"\\"}\\u00000\\":0"'),
  fc.constantFrom('{"\\u00000":0}', '{ "maxOutputTokens" : 7 }', '[{"max_tokens":1}]'),
  fc.json({ maxDepth: 2 }),
)
const space = fc.constantFrom('', '', ' ', '\n\t', '  ')
const member = fc
  .tuple(space, fc.constantFrom(...NAMES), space, space, value, space)
  .map(([a, name, b, c, json, d]) => `${a}"${name}"${b}:${c}${json}${d}`)
const body = fc
  .tuple(space, fc.array(member, { maxLength: 8 }), space)
  .map(([before, members, after]) => Buffer.from(`${before}{${members.join(',')}}${after}`))

const injection: fc.Arbitrary<Injection> = fc.record({
  outputTokensLimit: fc.constantFrom(null, 5, 4_096),
  outputLimitField: fc.constantFrom('max_tokens', 'max_completion_tokens'),
  includeUsage: fc.boolean(),
})

describe('a body rewritten by its outline', () => {
  it.each(Object.entries(BODIES))('is byte for byte the body rewritten whole: %s', (path, sent) => {
    const protocol = protocolOfPath(path)
    const read = protocol?.readBytes(Buffer.from(sent))
    if (protocol == null || read?.ok !== true) throw new Error('not read')
    fc.assert(
      fc.property(body, injection, fc.boolean(), (raw, inject, stream) => {
        const view = { ...read, stream, wantsUsageChunk: false }
        const outline = outlineOf(raw)
        if (outline === null) throw new Error('no object')
        const text = protocol.rewrite(Buffer.from(outline.text), view, inject)
        const whole = protocol.rewrite(raw, view, inject)
        expect(text === null).toBe(whole === null)
        if (text === null || whole === null) return
        expect(Buffer.concat(filledOutline(raw, outline, text)).toString()).toBe(whole.toString())
      }),
      { numRuns: Number(process.env.OUTLINE_RUNS ?? 300) },
    )
  })

  it('keeps little of a large one', () => {
    const members = Array.from({ length: 10_000 }, (_, at) => `"k${at}":${at}`).join(',')
    const raw = Buffer.from(`{${members},"max_tokens":5,${members}}`)
    expect(outlineOf(raw)?.text.length).toBeLessThan(100)
    expect(outlineOf(Buffer.from('[1]'))).toBeNull()
  })
})
