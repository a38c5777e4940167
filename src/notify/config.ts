import { z } from 'zod'
import { creditsAboveZero } from '../pricing/config.ts'
import { NOTICES } from './notice.ts'

const id = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'use a-z, 0-9, - and _')
const SECRET = /^whsec_[A-Za-z0-9+/]{32,}={0,2}$/

const kinds = z.enum(Object.keys(NOTICES))

/** fetch refuses such a URL, and says it whole. */
function hasNoLogin(url: string): boolean {
  const parsed = URL.parse(url)
  return parsed === null || (parsed.username === '' && parsed.password === '')
}

const webhookSchema = z.strictObject({
  id,
  url: z
    .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
    .refine(hasNoLogin, { error: 'must not hold a user or password: messages are signed' }),
  secret: z
    .string()
    .regex(SECRET, 'must be "whsec_" and at least 24 bytes in base64')
    .describe('Signs each message (Standard Webhooks). Use ${ENV}.'),
  kinds: z.array(kinds).min(1).optional().describe('What it is told of; absent = everything.'),
})

/** Who is told of what. Source: design §11 (notify). */
export const notifyConfigSchema = z
  .strictObject({
    smtp_url: z
      .url({ protocol: /^smtps?$/, error: 'must be like smtps://user:password@host' })
      .optional()
      .describe('Where mail is handed in; absent = no mail. Use ${ENV}.'),
    from: z.email().optional().describe('Sender of mail.'),
    operator_email: z.email().optional().describe('Who gets alerts.'),
    low_balance_credits: creditsAboveZero
      .optional()
      .describe('Tell customers below so many credits.'),
    webhooks: z.array(webhookSchema).default([]).describe('Endpoints of your own.'),
  })
  .refine(({ smtp_url: url, from }) => url === undefined || from !== undefined, {
    error: 'mail needs a sender: name it in "from"',
    path: ['from'],
  })
  .refine(({ webhooks }) => new Set(webhooks.map((one) => one.id)).size === webhooks.length, {
    error: 'each webhook needs an id of its own',
    path: ['webhooks'],
  })

export type NotifyConfig = z.infer<typeof notifyConfigSchema>
export type WebhookConfig = NotifyConfig['webhooks'][number]
