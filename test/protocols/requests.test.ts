import { describe, expect, it } from 'vitest'
import type { ErrorCode } from '../../src/kernel/errors.ts'
import { anthropicMessages } from '../../src/protocols/anthropic-messages.ts'
import {
  anthropicCountTokens,
  geminiCountTokens,
  openaiInputTokens,
} from '../../src/protocols/free.ts'
import { openaiChat } from '../../src/protocols/openai-chat.ts'
import type { Injection, Protocol, RequestView } from '../../src/protocols/protocol.ts'
import { inputTextOf } from './support.ts'

const BOTH = [openaiChat, anthropicMessages]
const MINIMAL = '"model":"m","max_tokens":10,"messages":[{"role":"user","content":"hi"}]'

/** A body whose members come after, or instead of, the minimal ones. */
function bodyWith(members: Record<string, unknown>): Buffer {
  const parsed: unknown = JSON.parse(`{${MINIMAL}}`)
  return Buffer.from(JSON.stringify(Object.assign({}, parsed, members)))
}

function viewOf(protocol: Protocol, raw: Buffer | string): RequestView {
  const view = protocol.readBytes(Buffer.from(raw))
  if (!view.ok) throw new Error(`refused: ${view.message}`)
  return view
}

function refusalOf(protocol: Protocol, raw: Buffer | string): { code: ErrorCode; message: string } {
  const view = protocol.readBytes(Buffer.from(raw))
  if (view.ok) throw new Error(`not refused: ${raw.toString().slice(0, 200)}`)
  return view
}

describe('a body is refused in words when', () => {
  const wrong: [string, RegExp][] = [
    ['"model":null', /'model' must be a non-empty string/],
    ['"model":""', /'model'/],
    ['"model":7', /'model'/],
    [`"model":"${'m'.repeat(300)}"`, /'model' is longer/],
    ['"model":"llama-\\u0000x"', /'model' has characters/],
    ['"model":"llama\\n"', /'model' has characters/],
    ['"model":"llama\\u009f"', /'model' has characters/],
    ['"model":"llama\\ud800"', /'model' has characters/],
    ['"stream":"true"', /'stream' must be true or false/],
    ['"stream":1', /'stream'/],
    ['"max_tokens":0', /'max_tokens' must be a whole number, at least 1/],
    ['"max_tokens":-5', /'max_tokens'/],
    ['"max_tokens":1.5', /'max_tokens'/],
    ['"max_tokens":"100"', /'max_tokens'/],
    ['"max_tokens":1e309', /'max_tokens'/],
    ['"max_tokens":1e17', /'max_tokens'/],
    ['"max_tokens":[1]', /'max_tokens'/],
    ['"max_tokens":true', /'max_tokens'/],
    ['"messages":null', /'messages' must be a non-empty array/],
    ['"messages":[]', /'messages' must be a non-empty array/],
    ['"messages":"hi"', /'messages'/],
    ['"messages":{}', /'messages'/],
    ['"messages":[{"role":"user","content":"a"},"hi"]', /'messages\[1\]' must be an object/],
    ['"tools":{}', /'tools' must be an array/],
    ['"service_tier":1', /'service_tier' must be a string/],
  ]
  for (const [members, message] of wrong) {
    it(`it says ${members.slice(0, 60)}`, () => {
      const name = /"(\w+)"/.exec(members)?.[1] ?? ''
      const raw = `{${MINIMAL.replace(new RegExp(`"${name}":(?:"m"|10|\\[.*\\])`), members)}${
        MINIMAL.includes(`"${name}":`) ? '' : `,${members}`
      }}`
      for (const protocol of BOTH) {
        const refusal = refusalOf(protocol, raw)
        expect(refusal.code).toBe('invalid_request')
        expect(refusal.message).toMatch(message)
      }
    })
  }

  it('a number of answers is fractional, negative, huge or no number', () => {
    for (const n of ['1.5', '-1', '0', '129', '1e9', '1e309', '"2"', '[]']) {
      expect(refusalOf(openaiChat, `{${MINIMAL},"n":${n}}`).message).toMatch(/'n' must be a whole/)
      expect(refusalOf(openaiChat, `{${MINIMAL},"best_of":${n}}`).message).toMatch(/'best_of'/)
    }
  })

  it('other fields of chat/completions have the wrong type', () => {
    const wrong = {
      max_completion_tokens: 0.5,
      stream_options: 'x',
      web_search_options: true,
      modalities: 'audio',
      prediction: [],
      models: 'x',
    }
    for (const [name, value] of Object.entries(wrong)) {
      expect(refusalOf(openaiChat, bodyWith({ [name]: value })).message).toContain(`'${name}'`)
    }
    const options = bodyWith({ stream_options: { include_usage: 'yes' } })
    expect(refusalOf(openaiChat, options).message).toContain("'stream_options.include_usage'")
  })

  it('a Messages body has no limit, or other fields of the wrong type', () => {
    const without = '{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    expect(refusalOf(anthropicMessages, without).message).toBe("'max_tokens' is required.")
    expect(viewOf(openaiChat, without).outputTokensLimit).toBeNull()
    const wrong = { system: 7, mcp_servers: {}, thinking: [], speed: 1, context_management: [] }
    for (const [name, value] of Object.entries(wrong)) {
      expect(refusalOf(anthropicMessages, bodyWith({ [name]: value })).message).toContain(name)
    }
  })

  it('it is not a JSON object', () => {
    for (const protocol of BOTH) {
      for (const text of ['', '{', '{"a":1,}', 'nope', '{"a":NaN}', `{${MINIMAL}} x`, '\uFEFF{}']) {
        expect(refusalOf(protocol, text).code).toBe('invalid_json')
      }
      for (const text of ['[]', 'null', '"x"', '1']) {
        expect(refusalOf(protocol, text).code).toBe('invalid_request')
      }
      const latin1 = Buffer.from(`{${MINIMAL},"user":"é"}`, 'latin1')
      expect(refusalOf(protocol, latin1).message).toMatch(/UTF-8/)
    }
  })

  it('a key that bounds the cost is there twice, in any spelling, at any place', () => {
    const repeats = [
      '"max_tokens":999',
      '"max\\u005ftokens":999',
      '"model":"dear"',
      '"stream":true,"stream":false',
      '"messages":[{"role":"user","content":"hi","content":"longer"}]',
      '"tools":[{"type":"function","type":"web_search"}]',
      '"tools":[{"type":"custom","name":"a","input_schema":{"x":{"y":1,"y":2}}}]',
    ]
    for (const protocol of BOTH) {
      for (const repeat of repeats) {
        const refusal = refusalOf(protocol, `{${MINIMAL},${repeat}}`)
        expect(refusal.code).toBe('invalid_request')
        expect(refusal.message).toMatch(/ambiguous/)
      }
      expect(viewOf(protocol, `{${MINIMAL},"metadata":{"a":1,"a":2},"x":1,"x":2}`).model).toBe('m')
    }
    const options = `{${MINIMAL},"stream_options":{"include_usage":false,"include_usage":true}}`
    expect(refusalOf(openaiChat, options).message).toMatch(/ambiguous.*stream_options/)
    expect(refusalOf(openaiChat, `{${MINIMAL},"n":1,"n":100}`).message).toMatch(
      /"n" is there twice/,
    )
  })

  it('a key that bounds the cost is there in another case: some servers take it', () => {
    for (const protocol of BOTH) {
      for (const name of ['MAX_TOKENS', 'Max_Tokens', 'max_to\u212Aens', '\u017Ftream']) {
        const refusal = refusalOf(protocol, `{${MINIMAL},${JSON.stringify(name)}:99}`)
        expect(refusal.message).toMatch(/lower case/)
      }
    }
  })

  it('prototype keys try to stand in for fields', () => {
    for (const protocol of BOTH) {
      const inherited = '{"__proto__":{"model":"m","max_tokens":1,"messages":[{"role":"user"}]}}'
      expect(refusalOf(protocol, inherited).message).toMatch(/'model'/)
      const view = viewOf(protocol, `{${MINIMAL},"__proto__":{"stream":true},"constructor":1}`)
      expect(view.stream).toBe(false)
    }
  })
})

describe('what is read', () => {
  it('takes null for absent', () => {
    const raw = `{${MINIMAL},"n":null,"stream":null,"stream_options":null,"max_completion_tokens":null,"service_tier":null,"tools":null}`
    expect(viewOf(openaiChat, raw)).toMatchObject({
      stream: false,
      choices: 1,
      outputTokensLimit: 10,
      serviceTier: null,
      wantsUsageChunk: false,
    })
  })

  it('is the larger of two limits and of two numbers of answers', () => {
    const raw = bodyWith({ max_completion_tokens: 30, n: 2, best_of: 5 })
    expect(viewOf(openaiChat, raw)).toMatchObject({ outputTokensLimit: 30, choices: 5 })
    const fallbacks = bodyWith({ fallbacks: [{ model: 'x', max_tokens: 99 }, { model: 'y' }] })
    expect(viewOf(anthropicMessages, fallbacks)).toMatchObject({
      outputTokensLimit: 99,
      unbounded: ['model_fallbacks'],
    })
  })

  it('sees through escaped keys, also those that V8 confuses with an earlier body’s', () => {
    // After the first body of each pair, plain JSON.parse reads the second's key as the first's.
    const pairs: [string, string, Partial<RequestView>][] = [
      ['"\\\\":1', '"\\u006e":5', { choices: 5 }],
      ['"strea\\\\":1', '"strea\\u006d":true', { stream: true }],
      [
        '"max_completion_token\\\\":1',
        '"max_completion_token\\u0073":70',
        { outputTokensLimit: 70 },
      ],
    ]
    for (const [at, [primer, hidden, expected]] of pairs.entries()) {
      const start = `{${MINIMAL},"only-in-pair-${at}":0` // V8 must not know another continuation
      viewOf(openaiChat, `${start},${primer}}`)
      expect(viewOf(openaiChat, `${start},${hidden}}`)).toMatchObject(expected)
    }
  })

  it('joins speed and region to the tier', () => {
    const raw = bodyWith({ service_tier: 'auto', speed: 'fast', inference_geo: 'us' })
    expect(viewOf(anthropicMessages, raw).serviceTier).toBe('auto+fast+inference_geo_us')
    expect(viewOf(anthropicMessages, bodyWith({ speed: 'standard' })).serviceTier).toBeNull()
    const fallbacks = [
      { model: 'x', speed: 'standard' },
      { model: 'y', speed: 'fast' },
    ]
    expect(viewOf(anthropicMessages, bodyWith({ fallbacks })).serviceTier).toBe('fast')
  })

  it('names what cannot occur, so that its price is not held', () => {
    expect(viewOf(anthropicMessages, bodyWith({})).absentBuckets).toContain('cache_write_1h_tokens')
    const cached = [{ role: 'user', content: [{ type: 'text', text: 'a', cache_control: {} }] }]
    const view = viewOf(anthropicMessages, bodyWith({ messages: cached }))
    expect(view.absentBuckets).not.toContain('cache_write_1h_tokens')
    expect(viewOf(openaiChat, bodyWith({})).absentBuckets).toEqual([
      'input_audio_tokens',
      'output_audio_tokens',
    ])
    expect(viewOf(openaiChat, bodyWith({ modalities: ['text', 'audio'] })).absentBuckets).toEqual([
      'input_audio_tokens',
    ])
  })

  it('counts a prediction as output that may be billed on top', () => {
    const content = '漢'.repeat(100)
    const view = viewOf(openaiChat, bodyWith({ prediction: { type: 'content', content } }))
    expect(view.outputTokensBeyondLimit).toBe(302)
    expect(viewOf(openaiChat, bodyWith({})).outputTokensBeyondLimit).toBe(0)
  })
})

describe('an unbounded request is named for', () => {
  const part = (type: string, rest: object): object => ({
    messages: [{ role: 'user', content: [{ type, ...rest }] }],
  })
  const chat: [string, object, string[]][] = [
    ['web search options', { web_search_options: {} }, ['web_search']],
    ['live search', { search_parameters: { mode: 'on' } }, ['web_search']],
    ['an :online model', { model: 'x/y:online' }, ['web_search']],
    ['hosted tools', { tools: [{ type: 'openrouter:web_search' }] }, ['hosted_tools']],
    [
      'a hosted tool that poses as a function',
      { tools: [{ type: 'openrouter:web_search', function: { name: 'f' } }] },
      ['hosted_tools'],
    ],
    ['a function without a type', { tools: [{ function: { name: 'f' } }] }, []],
    ['plugins', { plugins: [{ id: 'web' }] }, ['hosted_tools']],
    ['other models', { models: ['a', 'b'] }, ['model_fallbacks']],
    [
      'an image elsewhere',
      part('image_url', { image_url: { url: 'https://x/y.png' } }),
      ['media_by_url'],
    ],
    ['a file id', part('file', { file: { file_id: 'f' } }), ['media_by_id']],
    [
      'a document',
      part('file', { file: { file_data: 'data:application/pdf;base64,AAAA' } }),
      ['documents'],
    ],
    [
      'earlier audio',
      { messages: [{ role: 'assistant', audio: { id: 'a' } }] },
      ['earlier_audio', 'media_by_id'],
    ],
    ['a part nobody knows', part('video_url', { video_url: { url: 'x' } }), ['unknown_content']],
    ['nothing', { tools: [{ type: 'function', function: { name: 'f' } }] }, []],
  ]
  for (const [what, members, reasons] of chat) {
    it(`${what} (chat/completions)`, () => {
      expect(viewOf(openaiChat, bodyWith({ ...members })).unbounded).toEqual(reasons)
    })
  }
  const messages: [string, object, string[]][] = [
    ['web search', { tools: [{ type: 'web_search_20250305', name: 'w' }] }, ['web_search']],
    [
      'code execution',
      { tools: [{ type: 'code_execution_20250825', name: 'c' }] },
      ['hosted_tools'],
    ],
    ['an adviser', { tools: [{ type: 'advisor_20260301', name: 'a' }] }, ['hosted_tools']],
    ['MCP servers', { mcp_servers: [{ url: 'x' }] }, ['mcp_servers']],
    ['a container', { container: 'c' }, ['hosted_tools', 'media_by_id']],
    [
      'compaction',
      { context_management: { edits: [{ type: 'compact_20260112' }] } },
      ['compaction'],
    ],
    ['an image by URL', part('image', { source: { type: 'url', url: 'x' } }), ['media_by_url']],
    ['an image by id', part('image', { source: { type: 'file', file_id: 'x' } }), ['media_by_id']],
    [
      'a document by URL',
      part('document', { source: { type: 'url', url: 'x' } }),
      ['media_by_url'],
    ],
    ['a PDF', part('document', { source: { type: 'base64', data: 'AAAA' } }), ['documents']],
    ['an upload', part('container_upload', { file_id: 'x' }), ['media_by_id']],
    [
      'an image in a tool’s result',
      part('tool_result', { content: [{ type: 'image', source: { type: 'url' } }] }),
      ['media_by_url'],
    ],
    ['a block nobody knows', part('hologram', {}), ['unknown_content']],
    [
      'a tool that is not the client’s, whatever it is called like',
      { tools: [{ type: 'bash_code_execution_20250825', name: 'b' }] },
      ['hosted_tools'],
    ],
    [
      'nothing',
      {
        tools: [
          { name: 'a', input_schema: {} },
          { type: 'bash_20250124', name: 'bash' },
        ],
      },
      [],
    ],
  ]
  for (const [what, members, reasons] of messages) {
    it(`${what} (messages)`, () => {
      expect(viewOf(anthropicMessages, bodyWith({ ...members })).unbounded).toEqual(reasons)
    })
  }

  it('searches, at most as many as the tool allows', () => {
    const tools = [{ type: 'web_search_20250305', name: 'w', max_uses: 3 }, { name: 'own' }]
    expect(viewOf(anthropicMessages, bodyWith({ tools })).webSearchesMax).toBe(3)
    const unstated = [{ type: 'web_search_20250305', name: 'w' }]
    expect(viewOf(anthropicMessages, bodyWith({ tools: unstated })).webSearchesMax).toBe(10)
    expect(viewOf(openaiChat, bodyWith({})).webSearchesMax).toBe(0)
  })
})

describe('the text for an exact count', () => {
  it('holds everything the model reads and no media', () => {
    const png = `data:image/png;base64,${'A'.repeat(4000)}`
    const view = viewOf(
      openaiChat,
      bodyWith({
        messages: [
          { role: 'system', content: 'SYSTEM' },
          {
            role: 'user',
            content: [
              { type: 'text', text: 'PART' },
              { type: 'image_url', image_url: { url: png } },
            ],
          },
          { role: 'assistant', tool_calls: [{ function: { name: 'CALL', arguments: 'ARGS' } }] },
        ],
        tools: [{ type: 'function', function: { name: 'TOOL', description: 'WORDS' } }],
        response_format: { type: 'json_schema', json_schema: { name: 'SCHEMA' } },
      }),
    )
    const text = inputTextOf(view).join('\n')
    for (const word of ['SYSTEM', 'PART', 'CALL', 'ARGS', 'TOOL', 'WORDS', 'SCHEMA']) {
      expect(text).toContain(word)
    }
    expect(text).not.toContain('AAAA')
    expect(view.inputTokensBeyondText).toBeGreaterThan(4 * 16)
  })

  it('holds system, blocks, tool results and tools of a Messages body', () => {
    const view = viewOf(
      anthropicMessages,
      bodyWith({
        system: [{ type: 'text', text: 'SYSTEM' }],
        messages: [
          { role: 'user', content: 'PLAIN' },
          {
            role: 'assistant',
            content: [{ type: 'tool_use', name: 'USE', input: { k: 'INPUT' } }],
          },
          {
            role: 'user',
            content: [
              { type: 'tool_result', content: 'RESULT' },
              { type: 'image', source: { type: 'base64', data: 'A'.repeat(4000) } },
              { type: 'document', title: 'TITLE', source: { type: 'text', data: 'DOCUMENT' } },
            ],
          },
        ],
        tools: [{ name: 'TOOL', input_schema: { type: 'object' } }],
      }),
    )
    const text = inputTextOf(view).join('\n')
    for (const word of ['SYSTEM', 'PLAIN', 'USE', 'INPUT', 'RESULT', 'TITLE', 'DOCUMENT', 'TOOL']) {
      expect(text).toContain(word)
    }
    expect(text).not.toContain('AAAA')
  })
})

describe('the rewritten body', () => {
  const inject = (injection: Partial<Injection>): Injection => ({
    outputTokensLimit: null,
    outputLimitField: 'max_completion_tokens',
    includeUsage: false,
    ...injection,
  })
  const rewritten = (
    protocol: Protocol,
    text: string,
    injection: Partial<Injection>,
  ): string | undefined =>
    protocol.rewrite(Buffer.from(text), viewOf(protocol, text), inject(injection))?.toString()

  const ODD =
    '{ "messages":[{"role":"user","content":"\\u0041"}], "temperature":1e400,\n "seed":12345678901234567890,"model":"m" ,"stream":true'

  it('keeps the client’s bytes around what is added', () => {
    expect(rewritten(openaiChat, `${ODD} }\n`, { includeUsage: true })).toBe(
      `${ODD},"stream_options":{"include_usage":true} }\n`,
    )
    expect(rewritten(openaiChat, `${ODD}}`, { includeUsage: true, outputTokensLimit: 77 })).toBe(
      `${ODD},"stream_options":{"include_usage":true},"max_completion_tokens":77}`,
    )
  })

  it('merges the flag into the options that are there', () => {
    const merged: [string, string][] = [
      ['{}', '{"include_usage":true}'],
      ['null', '{"include_usage":true}'],
      ['{"include_usage": false }', '{"include_usage": true }'],
      ['{"include_usage":null,"x":[1e400]}', '{"include_usage":true,"x":[1e400]}'],
      ['{ "include_obfuscation":false }', '{ "include_obfuscation":false,"include_usage":true }'],
      ['{"a":{"include_usage":false}}', '{"a":{"include_usage":false},"include_usage":true}'],
    ]
    for (const [before, after] of merged) {
      expect(
        rewritten(openaiChat, `${ODD},"stream_options":${before},"z":1}`, { includeUsage: true }),
      ).toBe(`${ODD},"stream_options":${after},"z":1}`)
    }
  })

  it('is not fooled by the same names further down, escaped names or prototype keys', () => {
    const deep = `${ODD},"metadata":{"stream_options":{},"max_tokens":5},"__proto__":{"max_tokens":1}`
    expect(rewritten(openaiChat, `${deep}}`, { includeUsage: true, outputTokensLimit: 9 })).toBe(
      `${deep},"stream_options":{"include_usage":true},"max_completion_tokens":9}`,
    )
    expect(rewritten(openaiChat, `${ODD},"max\\u005ftokens":50}`, { outputTokensLimit: 9 })).toBe(
      `${ODD},"max\\u005ftokens":9}`,
    )
  })

  it('replaces the limits the client named, and takes the upstream’s name where it named none', () => {
    expect(rewritten(openaiChat, `${ODD},"max_tokens":50 }`, { outputTokensLimit: 9 })).toBe(
      `${ODD},"max_tokens":9 }`,
    )
    expect(
      rewritten(openaiChat, `${ODD},"max_tokens":50,"max_completion_tokens":60}`, {
        outputTokensLimit: 9,
      }),
    ).toBe(`${ODD},"max_tokens":9,"max_completion_tokens":9}`)
    expect(
      rewritten(openaiChat, `${ODD},"max_tokens":null}`, {
        outputTokensLimit: 9,
        outputLimitField: 'max_tokens',
      }),
    ).toBe(`${ODD},"max_tokens":9}`)
    expect(rewritten(anthropicMessages, `${ODD},"max_tokens": 50}`, { outputTokensLimit: 9 })).toBe(
      `${ODD},"max_tokens": 9}`,
    )
  })

  it('is none where nothing changes', () => {
    expect(rewritten(openaiChat, `${ODD}}`, {})).toBeUndefined()
    const asked = `${ODD},"stream_options":{"include_usage":true}}`
    expect(rewritten(openaiChat, asked, { includeUsage: true })).toBeUndefined()
    expect(rewritten(openaiChat, `{${MINIMAL}}`, { includeUsage: true })).toBeUndefined()
    expect(
      rewritten(anthropicMessages, `{${MINIMAL},"stream":true}`, { includeUsage: true }),
    ).toBeUndefined()
  })
})

it.each([openaiInputTokens, anthropicCountTokens, geminiCountTokens('/v1beta/models/', 'm')])(
  'a count of tokens is no request, whatever a request of its model costs: $name',
  (protocol) => {
    const view = protocol.readBytes(Buffer.from('{"model":"m"}'))
    expect(view).toMatchObject({ ok: true, unitsMax: { requests: 0 } })
    expect(protocol.meterAnswer(Buffer.from('{}')).usage).toEqual({ requests: 0 })
  },
)
