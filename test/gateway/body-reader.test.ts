import { createHash } from 'node:crypto'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { LOOP_BYTES_MAX, READS_OPEN_MAX } from '../../src/kernel/limits/requests.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { isHeavy, makeBodyReader } from '../../src/gateway/reading/body-reader.ts'
import { openaiChat } from '../../src/protocols/openai-chat.ts'
import type { Protocol, RequestView } from '../../src/protocols/protocol.ts'
import { protocolOfPath } from '../../src/protocols/registry.ts'
import { inputTextOf } from '../protocols/support.ts'
import { withoutMemory } from '../support/memory.ts'

const reader = makeBodyReader({ clock: systemClock })
afterAll(() => reader.close())

const CHAT = '/v1/chat/completions'
const MESSAGES = '/v1/messages'
const RESPONSES = '/v1/responses'
const GEMINI = '/v1beta/models/gemini-2:generateContent'
const hi = { model: 'm', messages: [{ role: 'user', content: 'hi' }] }
const pixel = Buffer.alloc(3_000, 'iVBORw0KGgo').toString('base64')
const deep = (levels: number): string => `${'['.repeat(levels)}1${']'.repeat(levels)}`
const withX = (x: string): string => JSON.stringify(hi).replace(/}$/, `,"x":${x}}`)
const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object' } } }
const call = { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' }

/** What clients send, and what they should not. */
const BODIES: readonly (readonly [path: string, body: unknown])[] = [
  [CHAT, hi],
  [CHAT, { ...hi, stream: true, tools: [tool, tool], service_tier: 'flex', n: 3, max_tokens: 9 }],
  [
    CHAT,
    { ...hi, messages: [{ role: 'user', content: [{ type: 'text', text: 'Grüße 🜁 \ud800' }] }] },
  ],
  [
    CHAT,
    {
      ...hi,
      messages: [
        { content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${pixel}` } }] },
      ],
    },
  ],
  [CHAT, { ...hi, messages: [{ role: 'user', content: 'word '.repeat(40_000) }] }],
  [CHAT, { ...hi, prediction: { content: 'abc' }, models: ['a', 'b'], plugins: [1] }],
  [CHAT, withX(deep(100))],
  [CHAT, withX(deep(200))],
  [CHAT, withX(`[${'[],'.repeat(200_001)}1]`)],
  [CHAT, withX(`[${'1,'.repeat(500_001)}1]`)],
  [CHAT, '{"model":"m","model":"n","messages":[{}]}'],
  [CHAT, '{"model":"m","messages":[{"a":1,"a":2}]}'],
  [CHAT, '{"model":"m","messages":[{}],"max\\u005ftokens":1}'],
  [CHAT, '{"model":"m","messages":[{}],"Max_Tokens":1}'],
  [CHAT, '{"model":"m","messages":[{}],"max_tokens":"1"}'],
  [CHAT, '{"model":"m"'],
  [CHAT, Buffer.from([0x22, 0xff, 0x22])],
  [CHAT, '[]'],
  [
    MESSAGES,
    { ...hi, max_tokens: 10, system: 'be kind', tools: [{ type: 'web_search_1', max_uses: 2 }] },
  ],
  [
    MESSAGES,
    {
      ...hi,
      max_tokens: 10,
      messages: [{ content: [{ type: 'image', source: { type: 'base64', data: pixel } }] }],
    },
  ],
  [MESSAGES, hi],
  [RESPONSES, { model: 'm', input: 'hello', previous_response_id: 'resp_1', background: true }],
  [
    RESPONSES,
    {
      model: 'm',
      input: [call, { type: 'item_reference', id: 'i' }],
      tools: [{ type: 'web_search' }],
    },
  ],
  ['/v1/completions', { model: 'm', prompt: ['a', 'b'], suffix: 'c' }],
  ['/v1/embeddings', { model: 'm', input: [[1, 2], [3]] }],
  ['/v1/moderations', { input: 'x' }],
  ['/v1/responses/input_tokens', { model: 'm', input: 'x', previous_response_id: 'r' }],
  ['/v1/messages/count_tokens', hi],
  ['/v1/audio/speech', { model: 'tts', input: 'Grüezi', voice: 'a', stream_format: 'sse' }],
  ['/v1/images/generations', { model: 'gpt-image-1', prompt: 'a cat', n: 2 }],
  [
    '/v1/images/edits',
    {
      model: 'gpt-image-1',
      prompt: 'x',
      images: [{ image_url: `data:image/png;base64,${pixel}` }],
    },
  ],
  [GEMINI, { contents: [{ parts: [{ text: 'hi' }] }], generationConfig: { candidateCount: 2 } }],
  [GEMINI, { contents: [{ parts: [{ text: 'hi' }] }], tools: [{ google_search: {} }] }],
  ['/v1beta/models/gemini-2:countTokens', { contents: [] }],
]

function protocolAt(path: string): Protocol {
  const protocol = protocolOfPath(path)
  if (protocol === null) throw new Error(path)
  return protocol
}

const bytesOf = (body: unknown): Buffer =>
  Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))

/** The data of a view, as it is whoever read it. */
function dataOf({
  inputText: _text,
  used: _used,
  inputTextBytes: _bytes,
  readApart: _apart,
  ...data
}: RequestView) {
  return data
}

const forOwner = (owner: string, digest = false) => ({ owner, digest })

describe('a body that a thread reads', () => {
  it.each(BODIES)('is seen, and refused, as on the event loop: %s %#', async (path, body) => {
    const protocol = protocolAt(path)
    const raw = bytesOf(body)
    const here = protocol.readBytes(raw)
    const there = await reader.view(protocol, raw, forOwner('a', true))
    if (!here.ok || !there.ok) {
      expect(there).toEqual(here)
      return
    }
    expect(dataOf(there)).toEqual(dataOf(here))
    const texts = inputTextOf(here).join('')
    const again = await there.inputText()
    expect(again?.join('')).toBe(texts.toWellFormed())
    expect(there.inputTextBytes).toBe(Buffer.byteLength(texts))
    const digest = createHash('sha256').update(`${path}\n`).update(raw).digest('hex')
    expect(Buffer.from(there.readApart?.digest ?? []).toString('hex')).toBe(digest)
  })

  it('is metered there as on the event loop', async () => {
    const usage = { prompt_tokens: 5, completion_tokens: 7 }
    const choices = [{ message: { content: 'said '.repeat(1_000) } }]
    for (const answer of [{ model: 'm', choices, usage }, { choices }, { error: {} }, 'no json']) {
      const body = Buffer.from(typeof answer === 'string' ? answer : JSON.stringify(answer))
      const here = openaiChat.meterAnswer(body)
      const there = await reader.meter(openaiChat, body)
      expect({ ...there, produced: null }).toEqual({ ...here, produced: null })
      expect(there?.produced()).toEqual(here.produced())
    }
  })

  it('costs nobody else anything where its thread dies of it', async () => {
    const raw = bytesOf(hi)
    const unknown = { ...openaiChat, path: '/v1/nothing' }
    const [died, next] = [
      reader.view(unknown, raw, forOwner('a')),
      reader.view(openaiChat, raw, forOwner('b')),
    ]
    expect(await died).toMatchObject({ ok: false, code: 'gateway_unavailable' })
    expect(await next).toMatchObject({ ok: true, model: 'm' })
    expect(await reader.meter(unknown, raw)).toBeNull()
    expect(await reader.view(openaiChat, raw, forOwner('a'))).toMatchObject({ ok: true })
  })

  it('names an output limit itself where what is beside its content is large too', async () => {
    const generationConfig = { responseSchema: { description: 'a'.repeat(LOOP_BYTES_MAX) } }
    const body = { contents: [{ parts: [{ text: 'hi' }] }], generationConfig }
    const gemini = protocolAt(GEMINI)
    expect(await reader.view(gemini, bytesOf(body), forOwner('a'))).toMatchObject({
      code: 'request_too_large',
    })
    const limited = { ...body, generationConfig: { ...generationConfig, maxOutputTokens: 5 } }
    expect(await reader.view(gemini, bytesOf(limited), forOwner('a'))).toMatchObject({
      ok: true,
      outputTokensLimit: 5,
    })
  })
})

describe('many large bodies', () => {
  const workerUrl = new URL('./read-stand-in.ts', import.meta.url)

  it('of one account leave room for the others, and end when the process stops', async () => {
    const busy = makeBodyReader({ clock: systemClock, workerUrl })
    const open = Array.from({ length: READS_OPEN_MAX / 2 }, () =>
      busy.view(openaiChat, bytesOf(hi), forOwner('flood')),
    )
    const refused = await busy.view(openaiChat, bytesOf(hi), forOwner('flood'))
    expect(refused).toMatchObject({ ok: false, code: 'gateway_unavailable' })
    open.push(busy.view(openaiChat, bytesOf(hi), forOwner('other')))
    const isOpen = await Promise.race([...open, Promise.resolve('open')])
    expect(isOpen).toBe('open')
    await busy.close()
    expect(new Set((await Promise.all(open)).map(({ ok }) => ok))).toEqual(new Set([false]))
  })
})

it('where there is no memory for a body it is refused, and what comes later is read', async () => {
  const raw = bytesOf(hi)
  withoutMemory()
  const refused = await reader.view(openaiChat, raw, forOwner('a'))
  expect(refused).toMatchObject({ ok: false, code: 'gateway_unavailable' })
  expect(await reader.meter(openaiChat, raw)).toBeNull()
  vi.unstubAllGlobals()
  expect(await reader.view(openaiChat, raw, forOwner('a'))).toMatchObject({ ok: true })
})

describe('a body is heavy', () => {
  it('by its size, or by how much is in it', () => {
    expect(isHeavy(Buffer.from(JSON.stringify(hi)))).toBe(false)
    expect(isHeavy(bytesOf(withX(JSON.stringify('a'.repeat(100_000)))))).toBe(false)
    expect(isHeavy(bytesOf(withX(`[${'[],'.repeat(20_000)}1]`)))).toBe(true)
    expect(isHeavy(bytesOf(withX(JSON.stringify('a'.repeat(LOOP_BYTES_MAX)))))).toBe(true)
  })
})
