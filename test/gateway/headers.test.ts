import { describe, expect, it } from 'vitest'
import { clientHeaders, upstreamHeaders } from '../../src/gateway/headers.ts'

const own = ['authorization', 'Bearer sk-operator']
const names = new Set(['authorization'])

const asObject = (flat: string[]): Record<string, string> => {
  const result: Record<string, string> = {}
  for (let at = 0; at < flat.length; at += 2) result[flat[at] ?? ''] = flat[at + 1] ?? ''
  return result
}

describe('headers towards the upstream', () => {
  it('replace every credential of the client by the operator’s', () => {
    const sent = asObject(
      upstreamHeaders(
        {
          authorization: 'Bearer fb_test_client',
          'x-api-key': 'fb_test_client',
          'api-key': 'fb_test_client',
          'x-goog-api-key': 'fb_test_client',
          cookie: 'a=b',
        },
        own,
        names,
      ),
    )
    expect(sent).toEqual({ 'accept-encoding': 'identity', authorization: 'Bearer sk-operator' })
  })

  it('drop hop-by-hop headers, also those that Connection names', () => {
    const sent = asObject(
      upstreamHeaders(
        { connection: 'close, X-Secret', 'x-secret': '1', te: 'trailers', expect: '100-continue' },
        own,
        names,
      ),
    )
    expect(Object.keys(sent)).toEqual(['accept-encoding', 'authorization'])
  })

  it('keep what providers and SDKs need', () => {
    const kept = {
      'anthropic-version': '2023-06-01',
      'anthropic-beta': 'a,b',
      'x-stainless-lang': 'js',
      'user-agent': 'OpenAI/JS',
      traceparent: '00-1-2-01',
      'content-type': 'application/json',
    }
    expect(asObject(upstreamHeaders(kept, own, names))).toMatchObject(kept)
  })

  it('never let the client address another organisation, or see its idempotency key go on', () => {
    const sent = asObject(
      upstreamHeaders(
        { 'openai-organization': 'org', 'openai-project': 'p', 'idempotency-key': 'k' },
        [],
        new Set(),
      ),
    )
    expect(Object.keys(sent)).toEqual(['accept-encoding'])
  })
})

it('headers that hide or change what an upstream reports never reach it', () => {
  const headers = {
    'x-goog-fieldmask': 'candidates(content)',
    'x-goog-encode-response-if-executable': 'base64',
    'x-goog-user-project': 'theirs',
    'x-http-method-override': 'GET',
    'x-goog-api-client': 'genai-js/1.0',
  }
  const sent = asObject(upstreamHeaders(headers, [], new Set()))
  expect(Object.keys(sent)).toEqual(['accept-encoding', 'x-goog-api-client'])
})

describe('headers towards the client', () => {
  it('hide the operator’s account and the connection', () => {
    const shown = clientHeaders(
      {
        'set-cookie': ['a=b'],
        'alt-svc': 'h3',
        'strict-transport-security': 'max-age=1',
        'openai-organization': 'org-operator',
        'openai-project': 'proj-operator',
        'anthropic-organization-id': 'org',
        'anthropic-priority-input-tokens-limit': '10000',
        'x-ms-deployment-name': 'operators-own',
        'x-ratelimit-remaining-requests': '1',
        'anthropic-ratelimit-tokens-limit': '1',
        'content-length': '12',
        'content-type': 'application/json',
      },
      'id-1',
      'x-request-id',
    )
    expect(shown).toEqual({
      'x-farebox-request-id': 'id-1',
      'x-request-id': 'id-1',
      'content-type': 'application/json',
    })
  })

  it('keep the provider’s request id, which its support asks for', () => {
    const shown = clientHeaders({ 'x-request-id': 'req_provider' }, 'id-1', 'x-request-id')
    expect(shown['x-request-id']).toBe('req_provider')
  })

  it('cannot be forged by an upstream', () => {
    const shown = clientHeaders({ 'x-farebox-balance': '99999' }, 'id-1', 'x-request-id')
    expect(shown).not.toHaveProperty('x-farebox-balance')
  })

  const NOW = 'Sat, 21 Nov 2026 12:00:00 GMT'
  it.each([
    [{ 'retry-after': '7' }, { 'retry-after': '7' }],
    [{ 'retry-after': '0' }, { 'retry-after': '0' }],
    [{ 'retry-after': '60' }, { 'retry-after': '60' }],
    [{ 'retry-after': '61' }, { 'retry-after': '60' }],
    [{ 'retry-after': '86400' }, { 'retry-after': '60' }],
    [{ 'retry-after': '9'.repeat(400) }, { 'retry-after': '60' }],
    [{ 'retry-after': '1.2' }, { 'retry-after': '2' }],
    [{ 'retry-after': '-5' }, { 'retry-after': '0' }],
    [{ 'retry-after-ms': '1500' }, { 'retry-after-ms': '1500' }],
    [{ 'retry-after-ms': '120000.5' }, { 'retry-after-ms': '60000' }],
    [
      { 'retry-after': '120', 'retry-after-ms': '250' },
      { 'retry-after': '60', 'retry-after-ms': '250' },
    ],
    [{ 'retry-after': 'Sat, 21 Nov 2026 12:00:30 GMT', date: NOW }, { 'retry-after': '30' }],
    [{ 'retry-after': 'Sun, 22 Nov 2026 12:00:00 GMT', date: NOW }, { 'retry-after': '60' }],
    [{ 'retry-after': 'Fri, 20 Nov 2026 12:00:00 GMT', date: NOW }, { 'retry-after': '0' }],
    [{ 'retry-after': 'Sat, 21 Nov 2026 12:00:30 GMT' }, { 'retry-after': '60' }],
    [{ 'retry-after': 'later' }, {}],
    [{ 'retry-after': '', 'retry-after-ms': '1e9' }, {}],
    [{}, {}],
  ])('ask a client to wait a minute at most: %j', (sent, told) => {
    const shown = clientHeaders(sent, 'id-1', 'x-request-id')
    delete shown.date
    expect(shown).toEqual({ 'x-farebox-request-id': 'id-1', 'x-request-id': 'id-1', ...told })
  })
})
