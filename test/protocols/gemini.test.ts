import { describe, expect, it } from 'vitest'
import type { Protocol, RequestView } from '../../src/protocols/protocol.ts'
import { protocolOfPath } from '../../src/protocols/registry.ts'
import { everyByte, feed, inputTextOf, randomCuts } from './support.ts'

const MODEL = 'gemini-2.5-flash'
const at = (rest: string): Protocol => {
  const protocol = protocolOfPath(`/v1beta/models/${rest}`)
  if (protocol === null) throw new Error(rest)
  return protocol
}
const whole = at(`${MODEL}:generateContent`)
const events = at(`${MODEL}:streamGenerateContent?alt=sse`)
const array = at(`${MODEL}:streamGenerateContent`)
const KEPT = 'https://generativelanguage.googleapis.com/v1beta/files/abc-1'
const contents = [{ role: 'user', parts: [{ text: 'Hello' }] }]

function read(body: unknown, protocol = whole): RequestView {
  const view = protocol.readBytes(Buffer.from(JSON.stringify(body)))
  if (!view.ok) throw new Error(view.message)
  return view
}
const refusal = (body: unknown): unknown => whole.readBytes(Buffer.from(JSON.stringify(body)))
const inject = (outputTokensLimit: number | null) => ({
  outputTokensLimit,
  outputLimitField: 'max_tokens',
  includeUsage: false,
})

describe('a Gemini path', () => {
  it('names the model and what is wanted of it', () => {
    expect(whole.path).toBe(`/v1beta/models/${MODEL}:generateContent`)
    expect(read({ contents })).toMatchObject({ model: MODEL, stream: false })
    expect(read({ contents }, events)).toMatchObject({ model: MODEL, stream: true })
    expect(at(`${MODEL}%3AgenerateContent`).path).toBe(whole.path)
    expect(at(`${MODEL}:countTokens`).name).toBe('gemini-count-tokens')
  })

  it.each([
    'x:batchGenerateContent',
    'x:embedContent',
    'x',
    'x:',
    ':generateContent',
    '..%2F..%2Ffiles:generateContent',
    'a/b:generateContent',
    'a%00:generateContent',
    '%:generateContent',
    `${'a'.repeat(257)}:generateContent`,
  ])('is not metered for %s', (rest) => {
    expect(protocolOfPath(`/v1beta/models/${rest}`)).toBeNull()
  })
})

describe('a Gemini request', () => {
  it('bounds its output in either spelling', () => {
    const camel = { contents, generationConfig: { maxOutputTokens: 50, candidateCount: 3 } }
    const snake = { contents, generation_config: { max_output_tokens: 50, candidate_count: 3 } }
    for (const body of [camel, snake]) {
      expect(read(body)).toMatchObject({ outputTokensLimit: 50, choices: 3 })
    }
    expect(read({ contents })).toMatchObject({ outputTokensLimit: null, choices: 1 })
  })

  it('is refused where it is not clear what bounds it', () => {
    const refused = { ok: false, code: 'invalid_request' }
    expect(refusal({ contents, generationConfig: {}, generation_config: {} })).toMatchObject(
      refused,
    )
    const both = { maxOutputTokens: 5, max_output_tokens: 9 }
    expect(refusal({ contents, generationConfig: both })).toMatchObject(refused)
    expect(refusal({ contents, model: 'models/gemini-2.5-pro' })).toMatchObject(refused)
    expect(refusal({ contents, generationConfig: { maxOutputTokens: '5' } })).toMatchObject(refused)
    expect(refusal({ contents, generationConfig: { candidateCount: 0 } })).toMatchObject(refused)
    expect(refusal({ contents: [] })).toMatchObject(refused)
    const twice = '{"contents":[{}],"generationConfig":{"maxOutputTokens":9,"maxOutputTokens":1}}'
    expect(whole.readBytes(Buffer.from(twice))).toMatchObject(refused)
    expect(whole.readBytes(Buffer.from('{"contents":'))).toMatchObject({ code: 'invalid_json' })
  })

  it('counts an inline picture by its size and sound by its length, not by their base64', () => {
    const png = Buffer.alloc(90_000)
    png.write('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 0, 'latin1')
    png.writeUInt32BE(1_536, 16)
    png.writeUInt32BE(1_536, 20)
    const part = { inlineData: { mimeType: 'image/png', data: png.toString('base64') } }
    const picture = read({ contents: [{ parts: [part] }] })
    expect(picture.unbounded).toEqual([])
    expect(picture.inputTokensMax).toBeGreaterThan(2_240)
    expect(picture.inputTokensMax).toBeLessThan(2_600)
    expect(picture.absentBuckets).toContain('input_audio_tokens')
    const sound = { inline_data: { mime_type: 'audio/mp3', data: 'A'.repeat(80_000) } }
    const heard = read({ contents: [{ parts: [sound] }] })
    expect(heard.inputTokensMax).toBeGreaterThan((60_000 / 500) * 32)
    expect(heard.absentBuckets).not.toContain('input_audio_tokens')
  })

  it.each([
    [{ contents: [{ parts: [{ fileData: { fileUri: 'https://x/y' } }] }] }, 'media_by_url'],
    [{ contents: [{ parts: [{ file_data: { file_uri: 'https://x/y' } }] }] }, 'media_by_url'],
    [{ contents: [{ parts: [{ fileData: { fileUri: KEPT } }] }] }, 'media_by_id'],
    [{ contents: [{ parts: [{ file_data: { file_uri: 'files/abc' } }] }] }, 'media_by_id'],
    [{ contents, cachedContent: 'cachedContents/1' }, 'media_by_id'],
    [{ contents, cached_content: 'cachedContents/1' }, 'media_by_id'],
    [{ contents, tools: [{ googleSearch: {} }] }, 'web_search'],
    [{ contents, tools: { google_search: {} } }, 'web_search'],
    [{ contents, tools: [{ urlContext: {} }] }, 'hosted_tools'],
    [{ contents, tools: [{ codeExecution: {} }] }, 'hosted_tools'],
    [
      { contents: [{ parts: [{ inlineData: { mimeType: 'video/mp4', data: 'AA' } }] }] },
      'documents',
    ],
    [{ contents: { parts: { newPart: {} } } }, 'unknown_content'],
  ])('is not bounded by its body: %j', (body, reason) => {
    expect(read(body).unbounded).toEqual([reason])
  })

  it('is bounded with tools that the client runs', () => {
    const tools = [{ functionDeclarations: [{ name: 'weather' }] }]
    expect(read({ contents, tools }).unbounded).toEqual([])
    expect(inputTextOf(read({ contents, tools })).join()).toContain('weather')
  })

  it.each([
    ['{"contents":[]}', '{"contents":[],"generationConfig":{"maxOutputTokens":7}}'],
    ['{"generationConfig":null}', '{"generationConfig":{"maxOutputTokens":7}}'],
    [
      '{ "generation_config" : {"temperature":1.50} }',
      '{ "generation_config" : {"temperature":1.50,"maxOutputTokens":7} }',
    ],
    [
      '{"generationConfig":{"max_output_tokens":null}}',
      '{"generationConfig":{"max_output_tokens":7}}',
    ],
  ])('takes an output limit into its own bytes: %s', (sent, expected) => {
    const view = read({ contents })
    const rewritten = whole.rewrite(Buffer.from(sent), view, inject(7))
    expect(rewritten?.toString()).toBe(expected)
    expect(whole.rewrite(Buffer.from(sent), view, inject(null))).toBeNull()
  })
})

const chunk = (text: string, usage: Record<string, unknown>, more: object = {}): string =>
  JSON.stringify({
    candidates: [{ content: { parts: [{ text }], role: 'model' }, index: 0, ...more }],
    usageMetadata: usage,
    modelVersion: MODEL,
  })
const CHUNKS = [
  chunk('Hel"[{', { promptTokenCount: 30, candidatesTokenCount: 2, thoughtsTokenCount: 90 }),
  chunk('}]lo', { promptTokenCount: 30, candidatesTokenCount: 4, thoughtsTokenCount: 90 }),
  chunk(
    '\\"',
    {
      promptTokenCount: 30,
      cachedContentTokenCount: 10,
      toolUsePromptTokenCount: 5,
      candidatesTokenCount: 5,
      thoughtsTokenCount: 90,
      promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 8 }],
      cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 2 }],
    },
    { finishReason: 'STOP' },
  ),
]
const USAGE = {
  input_tokens: 19,
  input_audio_tokens: 6,
  cache_read_tokens: 10,
  output_tokens: 95,
  output_reasoning_tokens: 90,
}
const FRAMES = {
  events: {
    protocol: events,
    isOwnType: false,
    text: CHUNKS.map((each) => `data: ${each}\r\n\r\n`).join(''),
  },
  array: { protocol: array, isOwnType: true, text: `[${CHUNKS.join('\n,\r\n')}\n]\n` },
}

const OWN = { stripUsageChunk: false, isOwnType: true }

describe.each(Object.entries(FRAMES))(
  'a Gemini stream as %s',
  (_name, { protocol, isOwnType, text }) => {
    const bytes = Buffer.from(text)
    const tapOf = (choices = 1) =>
      protocol.makeStreamTap(
        read({ contents, generationConfig: { candidateCount: choices } }, protocol),
        { stripUsageChunk: false, isOwnType },
      )

    it('passes byte for byte, its last chunk held, and the last numbers count', () => {
      for (const cuts of [[], everyByte(bytes), randomCuts(bytes, 5, 30)]) {
        const fed = feed(tapOf(), bytes, cuts)
        expect(Buffer.concat([fed.pass, fed.final]).toString()).toBe(text)
        expect(fed.pass.toString()).toContain('}]lo')
        expect(fed.final.toString()).toContain('STOP')
        expect(fed.report).toMatchObject({ usage: USAGE, complete: true, outputReported: true })
        expect(fed.report.produced().text.join('')).toBe('Hel"[{}]lo\\"')
      }
    })

    it('cut before its end is at least what was counted so far', () => {
      const cut = bytes.subarray(0, text.indexOf('STOP'))
      const { report, pass } = feed(tapOf(), cut, randomCuts(cut, 3, 50))
      expect(report).toMatchObject({ complete: false, outputReported: false, inputReported: true })
      expect(report.outputTokensLeast).toBe(94)
      expect(pass.toString()).toContain('}]lo')
    })

    it('of two candidates ends with the second', () => {
      const first = chunk('a', { promptTokenCount: 3 }, { finishReason: 'STOP' })
      const second = chunk('b', { promptTokenCount: 3 }, { finishReason: 'STOP', index: 1 })
      const two = text.replace(CHUNKS[0] ?? '', first).replace(CHUNKS[2] ?? '', second)
      const { pass, final } = feed(tapOf(2), Buffer.from(two), [])
      expect(pass.toString()).toContain('}]lo')
      expect(final.toString()).toContain('"index":1')
    })

    it('read as the other kind is charged for its bytes, not nothing', () => {
      const options = { stripUsageChunk: false, isOwnType: !isOwnType }
      for (const cuts of [[], everyByte(bytes), randomCuts(bytes, 9, 40)]) {
        const tap = protocol.makeStreamTap(read({ contents }, protocol), options)
        const fed = feed(tap, bytes, cuts)
        expect(Buffer.concat([fed.pass, fed.final]).toString()).toBe(text)
        expect(fed.report.outputReported).toBe(false)
        expect(fed.report.produced().beyond).toBeGreaterThan(CHUNKS.join('').length - 10)
      }
    })

    it('with an error inside has failed', () => {
      const broken = text.replace(CHUNKS[1] ?? '', '{"error":{"code":503,"message":"x"}}')
      expect(feed(tapOf(), Buffer.from(broken), []).report.failed).toBe(true)
    })
  },
)

it('an array that breaks off gets an error that keeps it an array', () => {
  const view = read({ contents }, array)
  const tap = array.makeStreamTap(view, OWN)
  const said = (): unknown =>
    JSON.parse(`${out}${String(tap.streamError?.('upstream_error', 'x'))}`)
  let out = ''
  const error = { error: { code: 502, message: 'x', status: 'UNAVAILABLE' } }
  out += Buffer.concat([...tap.push(Buffer.from('[ {"candidates":')).pass]).toString()
  expect(said()).toMatchObject([error])
  out += Buffer.concat([...tap.push(Buffer.from('[]}, {"cand')).pass]).toString()
  expect(said()).toMatchObject([{ candidates: [] }, error])
})

it('an array element beyond the bound passes unread', () => {
  const big = `[{"text":"${'x'.repeat(9 * 1024 * 1024)}"},${CHUNKS[2] ?? ''}]`
  const tap = array.makeStreamTap(read({ contents }, array), OWN)
  const fed = feed(tap, Buffer.from(big), [100, 5_000_000])
  expect(Buffer.concat([fed.pass, fed.final]).toString() === big).toBe(true)
  expect(fed.report.produced().beyond).toBeGreaterThan(9_000_000)
  expect(fed.report.usage).toEqual(USAGE)
})

it.each(['null', '{}'])('numbers of %s take nothing back', (nothing) => {
  const chunks = [CHUNKS[2] ?? '', `{"candidates":[],"usageMetadata":${nothing}}`]
  const text = chunks.map((each) => `data: ${each}\n\n`).join('')
  const tap = events.makeStreamTap(read({ contents }, events), { stripUsageChunk: false })
  expect(feed(tap, Buffer.from(text), []).report).toMatchObject({ usage: USAGE, complete: true })
})

it('a prompt that was blocked is complete, its input reported', () => {
  const body = { promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: { promptTokenCount: 4 } }
  expect(whole.meterAnswer(Buffer.from(JSON.stringify(body)))).toMatchObject({
    usage: { input_tokens: 4 },
    complete: true,
    outputReported: true,
  })
  expect(whole.meterAnswer(Buffer.from('not json')).usage).toBeNull()
})
