import { afterEach, describe, expect, it } from 'vitest'
import type { Caller } from '../../src/access/access.ts'
import { bounds, type Bounded } from '../../src/gateway/bound.ts'
import type { GatewaySettings } from '../../src/gateway/context.ts'
import { makeUpstreams, type UpstreamConfig, type Upstreams } from '../../src/gateway/upstreams.ts'
import { limitWithin } from '../../src/gateway/reserve.ts'
import type { ErrorCode } from '../../src/kernel/errors.ts'
import { micros } from '../../src/kernel/money.ts'
import { anthropicMessages } from '../../src/protocols/anthropic-messages.ts'
import { openaiChat } from '../../src/protocols/openai-chat.ts'
import { openaiCompletions } from '../../src/protocols/openai-completions.ts'
import { openaiModerations } from '../../src/protocols/free.ts'
import { openaiImages } from '../../src/protocols/openai-images.ts'
import { openaiResponses } from '../../src/protocols/openai-responses.ts'
import type { Protocol, RequestView } from '../../src/protocols/protocol.ts'
import { bookOf, TODAY } from '../pricing/support.ts'

const priced = (usd: string, more: { max_output_tokens?: number; context_tokens?: number }) => ({
  input_usd_per_mtok: usd,
  output_usd_per_mtok: usd,
  ...more,
})
const prices = bookOf({
  prices: [
    ...['local', 'claude-proxy'].flatMap((upstream) => [
      { upstream, model: 'small', ...priced('1', { max_output_tokens: 500 }) },
      { upstream, model: 'dear', ...priced('10', { max_output_tokens: 9_000 }) },
    ]),
    { upstream: 'local', model: 'unknown', ...priced('1', {}) },
    { upstream: 'local', model: 'painter', per_image_usd: '0.25' },
    { upstream: 'local', model: 'clock', per_second_usd: '0.25' },
    { upstream: 'local', model: 'by-request', per_request_usd: '0.25' },
    { upstream: 'local', model: 'free', ...priced('0', {}) },
    { upstream: 'local', model: 'short', ...priced('1', { context_tokens: 8_192 }) },
  ],
})

const upstream = (name: string, protocol: 'openai' | 'anthropic'): UpstreamConfig => ({
  name,
  protocol,
  models: null,
  baseUrl: 'http://127.0.0.1:9/v1',
  apiKey: null,
  onDisconnect: 'abort',
  unbounded: 'cap',
  storedIds: 'own',
  unboundedReserveTokens: 0,
  outputLimitField: 'max_tokens',
  responseMsMax: 1_000,
  fallback: [],
  breakerSettings: { failurePercent: 50, callsMin: 20, openMs: 1_000 },
})

let open: Upstreams | null = null
afterEach(() => open?.destroy())

const CALLER: Caller = {
  accountId: 'acct',
  accountStatus: 'active',
  keyId: 'key',
  keyKind: 'client',
  models: null,
  endpoints: null,
  planModels: null,
  planEndpoints: null,
  markup: null,
  keySeq: 1,
}

function viewOf(protocol: Protocol, body: object): RequestView {
  const view = protocol.readBytes(Buffer.from(JSON.stringify(body)))
  if (!view.ok) throw new Error(view.message)
  return view
}

const SETTINGS: GatewaySettings = {
  fitToBalance: false,
  maxOutputTokensDefault: null,
  topUpUrl: null,
}

/** The one upstream's bound, or the code of the refusal. */
function boundOf(
  protocol: Protocol,
  body: object,
  { caller = {}, settings = {} }: { caller?: Partial<Caller>; settings?: object } = {},
): Bounded | ErrorCode {
  open = makeUpstreams([upstream('local', 'openai'), upstream('claude-proxy', 'anthropic')])
  const made = open
  const deps = { prices, upstreams: () => made, settings: () => ({ ...SETTINGS, ...settings }) }
  const view = viewOf(protocol, body)
  const found = bounds(deps, protocol, { ...CALLER, ...caller }, view, TODAY, 1_000)
  return found.ok ? found.first : found.code
}

const messages = [{ role: 'user', content: 'hi' }]
const NAMES_OTHERS: readonly [string, Protocol, object, (other: unknown) => object][] = [
  ['models of chat', openaiChat, { messages, max_tokens: 100 }, (it) => ({ models: [it] })],
  [
    'models of completions',
    openaiCompletions,
    { prompt: 'hi', max_tokens: 100 },
    (it) => ({ models: [it] }),
  ],
  [
    'models of responses',
    openaiResponses,
    { input: 'hi', max_output_tokens: 100 },
    (it) => ({ models: [it] }),
  ],
  [
    'models of messages',
    anthropicMessages,
    { messages, max_tokens: 100 },
    (it) => ({ models: [it] }),
  ],
  [
    'fallbacks',
    anthropicMessages,
    { messages, max_tokens: 100 },
    (model) => ({ fallbacks: [{ model }] }),
  ],
  [
    'an adviser',
    anthropicMessages,
    { messages, max_tokens: 100 },
    (model) => ({ tools: [{ type: 'advisor_20260301', name: 'advisor', model }] }),
  ],
  [
    'a tool that draws',
    openaiResponses,
    { input: 'hi', max_output_tokens: 100 },
    (model) => ({ tools: [{ type: 'image_generation', model }] }),
  ],
  [
    'a tool of an item',
    openaiResponses,
    { max_output_tokens: 100 },
    (model) => {
      const tools = [{ type: 'namespace', tools: [{ type: 'image_generation', model }] }]
      return { input: [{ type: 'additional_tools', tools }] }
    },
  ],
]
const MAY_LEAVE_OUT = new Set(['an adviser', 'a tool that draws', 'a tool of an item'])

describe.each(NAMES_OTHERS)('another model, named in %s,', (what, protocol, rest, naming) => {
  const asking = (other: string): object => ({ model: 'small', ...rest, ...naming(other) })

  it('has to be on the lists of key and plan', () => {
    for (const list of ['models', 'planModels'] as const) {
      const caller = { [list]: ['small'] }
      expect(boundOf(protocol, asking('dear'), { caller })).toBe('model_not_allowed')
      expect(boundOf(protocol, asking('small'), { caller })).toMatchObject({ ok: true })
      const both = { [list]: ['small', 'd*'] }
      expect(boundOf(protocol, asking('dear'), { caller: both })).toMatchObject({ ok: true })
    }
  })

  it('has to have a price', () => {
    expect(boundOf(protocol, asking('nameless'))).toBe('model_not_found')
  })

  it('is what is held for where it is the dearer one', () => {
    const alone = boundOf(protocol, { model: 'dear', ...rest, ...naming('dear') })
    expect(alone).toMatchObject({ wantMicros: (1_000 + 100) * 1_200 })
    expect(boundOf(protocol, asking('dear'))).toMatchObject({ wantMicros: (1_000 + 100) * 1_200 })
    expect(boundOf(protocol, asking('small'))).toMatchObject({ wantMicros: (1_000 + 100) * 120 })
  })

  it('is a name like any other', () => {
    for (const name of ['', 'x\0', '\ud800', 'x'.repeat(257), 7, null]) {
      const body = Buffer.from(JSON.stringify({ model: 'small', ...rest, ...naming(name) }))
      const isAbsent = name === null && MAY_LEAVE_OUT.has(what)
      expect(protocol.readBytes(body).ok, String(name)).toBe(isAbsent)
    }
  })
})

describe('a price that is silent about all that a request may use', () => {
  const images = { model: 'painter', prompt: 'a cat' }

  it('is none: the request is refused, not free', () => {
    const chat = { model: 'painter', messages, max_tokens: 10 }
    expect(boundOf(openaiChat, chat)).toBe('model_not_found')
    expect(boundOf(openaiImages, images)).toMatchObject({ ok: true })
    const drawing = { ...{ model: 'small', input: 'hi' }, tools: [{ type: 'image_generation' }] }
    const drawnBy = (model: string) => ({
      ...drawing,
      tools: [{ type: 'image_generation', model }],
    })
    expect(boundOf(openaiResponses, drawnBy('painter'))).toMatchObject({ ok: true })
    expect(boundOf(openaiResponses, drawnBy('clock'))).toBe('model_not_found')
    expect(boundOf(openaiChat, { ...chat, model: 'by-request' })).toMatchObject({ ok: true })
    expect(boundOf(openaiChat, { ...chat, model: 'free' })).toMatchObject({ wantMicros: 0 })
    expect(boundOf(openaiModerations, { model: 'painter', input: 'x' })).toMatchObject({ ok: true })
  })
})

describe('the model of a tool that draws', () => {
  const drawing = (more: object = {}) => ({
    ...{ model: 'small', input: 'hi', tools: [{ type: 'image_generation', ...more }] },
  })

  it('is the provider’s usual one where none is named: priced and allowed like any other', () => {
    expect(boundOf(openaiResponses, drawing())).toBe('model_not_found')
    const caller = { models: ['small'] }
    expect(boundOf(openaiResponses, drawing(), { caller })).toBe('model_not_allowed')
  })

  it('limits no text', () => {
    const settings = { maxOutputTokensDefault: 4_096 }
    const bound = (model: string) => boundOf(openaiResponses, drawing({ model }), { settings })
    expect(bound('short')).toMatchObject({ injectUpTo: 500, contextTokens: null })
    expect(bound('dear')).toMatchObject({ wantMicros: (1_000 + 500) * 1_200 })
  })
})

describe('a fallback that the provider chooses by itself', () => {
  const body = { model: 'small', messages, max_tokens: 100, fallbacks: 'default' }

  it('is for those who may use all of its models', () => {
    const allowed = (models: string[] | null, planModels: string[] | null = null) =>
      typeof boundOf(anthropicMessages, body, { caller: { models, planModels } }) !== 'string'
    expect(allowed(null)).toBe(true)
    expect(allowed(['*'])).toBe(true)
    expect(allowed(['small', 'claude-*'])).toBe(true)
    expect(allowed(['small'])).toBe(false)
    expect(allowed(['small', 'claude-opus-*', 'claude-*-4'])).toBe(false)
    expect(allowed(['*'], ['small'])).toBe(false)
    expect(boundOf(anthropicMessages, body, { caller: { models: ['small'] } })).toBe(
      'model_not_allowed',
    )
  })

  it('is what the body does not bound', () => {
    expect(viewOf(anthropicMessages, body).unbounded).toEqual(['model_fallbacks'])
  })
})

describe('a request that names several models', () => {
  const body = { model: 'small', messages, models: ['dear'] }

  it('gets one limit injected that none of them refuses', () => {
    const settings = { maxOutputTokensDefault: 4_096 }
    expect(boundOf(openaiChat, body, { settings })).toMatchObject({
      injectUpTo: 500,
      wantMicros: (1_000 + 500) * 1_200,
    })
  })

  it('is held for the longest answer of all where none is injected', () => {
    expect(boundOf(openaiChat, body)).toMatchObject({
      injectUpTo: null,
      wantMicros: (1_000 + 9_000) * 1_200,
    })
  })

  it('names a few, not thousands', () => {
    const models = Array.from({ length: 17 }, (_, n) => `m-${n}`)
    const sent = Buffer.from(JSON.stringify({ ...body, models }))
    expect(openaiChat.readBytes(sent)).toMatchObject({ ok: false, code: 'invalid_request' })
  })
})

/** A limit for a request without one, whose hold is a share of what it wants (1 = all of it). */
function limitFor(
  body: { model: string; [name: string]: unknown },
  settings: Partial<GatewaySettings>,
  { share = 1, inputTokens = null }: { share?: number; inputTokens?: number | null } = {},
): number | null {
  const sent = { messages, ...body }
  const bound = boundOf(openaiChat, sent, { settings: { fitToBalance: true, ...settings } })
  if (typeof bound === 'string') throw new Error(bound)
  const hold = { micros: micros(Math.floor(bound.wantMicros * share)) }
  return limitWithin({ prices }, bound, hold, { view: viewOf(openaiChat, sent), inputTokens })
}

describe('the limit that is injected', () => {
  const long = (bytes: number) => [{ role: 'user', content: 'x'.repeat(bytes) }]

  it('fits the context beside the input: as counted, else as its bytes bound it', () => {
    const settings = { maxOutputTokensDefault: 4_096 }
    const body = { model: 'short', messages: long(7_000) }
    expect(limitFor({ model: 'short' }, settings)).toBe(4_096)
    expect(limitFor(body, settings, { inputTokens: 5_000 })).toBe(8_192 - 5_500)
    expect(limitFor(body, settings, { inputTokens: 1_000 })).toBe(4_096)
    const bytes = Buffer.byteLength(JSON.stringify(body))
    expect(limitFor(body, settings)).toBe(8_192 - bytes)
    expect(limitFor(body, settings, { inputTokens: 6_999 })).toBe(8_192 - bytes)
  })

  it('is a least one where the input takes the context up: the provider says that better', () => {
    const settings = { maxOutputTokensDefault: 4_096 }
    const body = { model: 'short', messages: long(9_000) }
    expect(limitFor(body, settings)).toBe(64)
    expect(limitFor(body, settings, { inputTokens: 8_000 })).toBe(64)
  })

  it('is the smallest of the default and the maximum that is known', () => {
    expect(limitFor({ model: 'small' }, { maxOutputTokensDefault: 4_096 })).toBe(500)
    expect(limitFor({ model: 'unknown' }, { maxOutputTokensDefault: 4_096 })).toBe(4_096)
    expect(limitFor({ model: 'unknown' }, { maxOutputTokensDefault: 20_000 })).toBe(20_000)
  })

  it.each(['small', 'dear', 'short', 'unknown'])(
    'is none without a default where the hold pays for the longest answer: %s',
    (model) => {
      expect(limitFor({ model }, { maxOutputTokensDefault: null })).toBeNull()
    },
  )

  it('is what the hold pays for where that is less, never a context or a guess', () => {
    const none = { maxOutputTokensDefault: null }
    expect(limitFor({ model: 'short' }, none, { share: 0.99 })).toBe(4_096)
    expect(limitFor({ model: 'unknown' }, none, { share: 0.99 })).toBe(4_096)
    expect(limitFor({ model: 'dear' }, none, { share: 0.5 })).toBe(4_000) // of 1 000 + 9 000
    expect(limitFor({ model: 'dear', n: 2 }, none, { share: 0.5 })).toBe(4_250)
    expect(limitFor({ model: 'small', models: ['dear'] }, none, { share: 0.5 })).toBe(500)
    expect(limitFor({ model: 'unknown', models: ['dear'] }, none, { share: 0.02 })).toBe(1_641) // of 1 000 + 131 072
  })

  it('is left alone where the client names one', () => {
    const settings = { maxOutputTokensDefault: 4_096 }
    expect(limitFor({ model: 'short', max_tokens: 9_999 }, settings)).toBeNull()
  })
})
