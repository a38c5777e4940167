import { describe, expect, test } from 'vitest'
import { notifyConfigSchema } from '../../src/notify/config.ts'
import { NOTICES } from '../../src/notify/notice.ts'
import { mailText } from '../../src/notify/text.ts'
import { signatureOf } from '../../src/notify/webhook.ts'

const SECRET = `whsec_${'A'.repeat(32)}`

describe('the configuration', () => {
  test.each([
    ['mail without a sender', { smtp_url: 'smtp://mail' }],
    ['another protocol', { smtp_url: 'https://mail', from: 'a@b.example' }],
    ['a short secret', { webhooks: [{ id: 'a', url: 'https://x', secret: 'whsec_AAAA' }] }],
    ['a login', { webhooks: [{ id: 'a', url: 'https://u:p@x', secret: SECRET }] }],
    ['no URL', { webhooks: [{ id: 'a', url: 'x', secret: SECRET }] }],
    [
      'two of one id',
      {
        webhooks: [
          { id: 'a', url: 'https://x', secret: SECRET },
          { id: 'a', url: 'https://y', secret: SECRET },
        ],
      },
    ],
    [
      'a kind that is none',
      { webhooks: [{ id: 'a', url: 'https://x', secret: SECRET, kinds: ['x'] }] },
    ],
    ['a threshold of nothing', { low_balance_credits: '0' }],
    ['a name that is not known', { smtp: 'x' }],
  ])('refuses %s', (_name, config) => {
    expect(notifyConfigSchema.safeParse(config).success).toBe(false)
  })
})

test('messages are signed as Standard Webhooks gives it in its example', () => {
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  const body = '{"test": 2432232314}'
  expect(signatureOf(secret, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, body)).toBe(
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  )
})

test('a mail is not written from data of another kind', () => {
  for (const kind of Object.keys(NOTICES)) {
    if (kind in NOTICES) expect(() => mailText(kind as keyof typeof NOTICES, {})).toThrow()
  }
})
