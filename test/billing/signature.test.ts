import Stripe from 'stripe'
import { expect, test } from 'vitest'
import { checkSignature } from '../../src/billing/signature.ts'

const stripe = new Stripe('sk_test_x', { telemetry: false })
const NOW = Date.UTC(2027, 0, 31, 12)
const [OLD, NEW] = ['whsec_old', 'whsec_new']
const PAYLOAD = '{"id":"evt_1","object":"event","größe":1}'
const body = Buffer.from(PAYLOAD)

const sign = (secret: string, atMs = NOW, payload = PAYLOAD) =>
  stripe.webhooks.generateTestHeaderString({
    payload,
    secret,
    timestamp: Math.floor(atMs / 1000),
  })

test('what stripe-node signs is taken, with any of the secrets', () => {
  expect(checkSignature(body, sign(OLD), [OLD], NOW)).toBeNull()
  expect(checkSignature(body, sign(OLD), [NEW, OLD], NOW)).toBeNull()
  const rolling = `${sign(OLD)},${sign(NEW).split(',')[1] ?? ''}`
  expect(checkSignature(body, rolling, [NEW], NOW)).toBeNull()
})

test('another secret, a changed body and a changed time are refused', () => {
  expect(checkSignature(body, sign('whsec_other'), [OLD, NEW], NOW)).toBe('mismatch')
  expect(checkSignature(Buffer.from(`${PAYLOAD} `), sign(OLD), [OLD], NOW)).toBe('mismatch')
  const moved = sign(OLD, NOW - 3_600_000).replace(/t=\d+/, `t=${NOW / 1000}`)
  expect(checkSignature(body, moved, [OLD], NOW)).toBe('mismatch')
  expect(checkSignature(body, sign(OLD), [], NOW)).toBe('mismatch')
})

test('five minutes either way are tolerated, six are not', () => {
  expect(checkSignature(body, sign(OLD, NOW - 299_000), [OLD], NOW)).toBeNull()
  expect(checkSignature(body, sign(OLD, NOW + 299_000), [OLD], NOW)).toBeNull()
  expect(checkSignature(body, sign(OLD, NOW - 360_000), [OLD], NOW)).toBe('too_old')
  expect(checkSignature(body, sign(OLD, NOW + 360_000), [OLD], NOW)).toBe('in_future')
})

test.each([
  ['no header', undefined],
  ['an empty header', ''],
  ['no time', sign(OLD).replace(/t=\d+,/, '')],
  ['no number for a time', sign(OLD).replace(/t=\d+/, 't=NaN')],
  ['an empty signature', `t=${NOW / 1000},v1=`],
  ['a signature of another scheme', sign(OLD).replace('v1=', 'v0=')],
  ['a signature cut short', sign(OLD).slice(0, -2)],
  ['noise', ',=,=,v1,t,'.repeat(1_000)],
])('%s is refused', (_name, header) => {
  expect(checkSignature(body, header, [OLD], NOW)).toBe('missing')
})

test('a body that is not text is compared as bytes', () => {
  const bytes = Buffer.from([0xff, 0xfe, 0x00])
  const asText = sign(OLD, NOW, bytes.toString('utf8'))
  expect(checkSignature(bytes, asText, [OLD], NOW)).toBe('mismatch')
})

test('any byte of the body or of the signature that is another is refused', () => {
  const header = sign(OLD)
  for (let at = 0; at < body.length; at += 1) {
    const mutated = Buffer.from(body)
    mutated[at] = (mutated[at] ?? 0) ^ 1
    expect(checkSignature(mutated, header, [OLD], NOW)).toBe('mismatch')
  }
  const start = header.indexOf('v1=') + 3
  for (let at = start; at < header.length; at += 1) {
    const other = header[at] === '0' ? '1' : '0'
    const mutated = header.slice(0, at) + other + header.slice(at + 1)
    expect(checkSignature(body, mutated, [OLD], NOW)).toBe('mismatch')
  }
})
