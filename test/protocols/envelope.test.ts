import { describe, expect, it } from 'vitest'
import { ERRORS, refuse, type ErrorCode } from '../../src/kernel/errors.ts'
import { envelope, familyOfPath } from '../../src/protocols/envelope.ts'
import { PROTOCOLS, protocolOfPath } from '../../src/protocols/registry.ts'

describe('a refusal', () => {
  it('wears OpenAI’s envelope', () => {
    const sent = envelope('openai', refuse('insufficient_quota', 'Add credits at /buy.'), 'req-1')
    expect(sent.status).toBe(402)
    expect(sent.headers).toEqual({
      'content-type': 'application/json',
      'x-farebox-request-id': 'req-1',
      'x-request-id': 'req-1',
      'x-should-retry': 'false',
    })
    expect(JSON.parse(sent.body)).toEqual({
      error: {
        message: 'Add credits at /buy.',
        type: 'insufficient_quota',
        param: null,
        code: 'insufficient_quota',
      },
    })
  })

  it('wears Anthropic’s envelope, request id and all', () => {
    const refusal = refuse('rate_limit_exceeded', 'Slow down.', { retryAfterMs: 1500 })
    const sent = envelope('anthropic', refusal, 'req-2')
    expect(sent.status).toBe(429)
    expect(sent.headers).toMatchObject({ 'request-id': 'req-2', 'retry-after': '2' })
    expect(JSON.parse(sent.body)).toEqual({
      type: 'error',
      error: { type: 'rate_limit_error', message: 'Slow down.' },
      request_id: 'req-2',
    })
  })

  it('wears Gemini’s envelope, our own code as its reason', () => {
    const sent = envelope('gemini', refuse('credits_held', 'Wait.', { receiptId: 'r' }), 'req-3')
    expect(sent.status).toBe(429)
    expect(JSON.parse(sent.body)).toEqual({
      error: {
        code: 429,
        message: 'Wait.',
        status: 'RESOURCE_EXHAUSTED',
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
            reason: 'CREDITS_HELD',
            domain: 'farebox',
            metadata: { receipt_id: 'r' },
          },
        ],
      },
    })
  })

  it('names the receipt of an answer that was not kept', () => {
    const refusal = refuse('idempotency_result_gone', 'Charged.', { receiptId: 'r-9' })
    for (const family of ['openai', 'anthropic'] as const) {
      expect(JSON.parse(envelope(family, refusal, 'q').body)).toMatchObject({
        error: { receipt_id: 'r-9' },
      })
    }
  })

  it('has both envelopes for every code of the table', () => {
    const isCode = (code: string): code is ErrorCode => code in ERRORS
    for (const code of Object.keys(ERRORS).filter(isCode)) {
      const sent = envelope('openai', refuse(code, 'm'), 'q')
      expect(sent.status).toBe(ERRORS[code].status)
      expect(JSON.parse(sent.body)).toMatchObject({ error: { type: ERRORS[code].openaiType } })
      expect(JSON.parse(envelope('anthropic', refuse(code, 'm'), 'q').body)).toMatchObject({
        error: { type: ERRORS[code].anthropicType },
      })
    }
  })
})

describe('a path', () => {
  it('tells its family, metered or not', () => {
    for (const path of [
      '/v1/messages',
      '/v1/messages?beta=true',
      '/v1/messages/batches',
      '//v1/messages',
    ]) {
      expect(familyOfPath(path)).toBe('anthropic')
    }
    for (const path of [
      '/v1beta/models/x:generateContent',
      '/v1/models/x:streamGenerateContent?alt=sse',
      '/v1beta',
      '//v1beta/files?key=x',
    ]) {
      expect(familyOfPath(path)).toBe('gemini')
    }
    for (const path of [
      '/v1/chat/completions',
      '/v1/messagesx',
      '/',
      '/v1/models',
      '/v1/models/ft:gpt-4o:org::id',
      '/x?/v1/messages',
      '',
    ]) {
      expect(familyOfPath(path)).toBe('openai')
    }
  })

  it('finds its protocol exactly', () => {
    for (const protocol of PROTOCOLS) {
      expect(protocolOfPath(protocol.path)).toBe(protocol)
      expect(protocolOfPath(`${protocol.path}?beta=true`)).toBe(protocol)
      expect(protocolOfPath(`${protocol.path}/other`)).toBeNull()
    }
    expect(protocolOfPath('/v1/realtime')).toBeNull()
  })
})
