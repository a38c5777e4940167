import { createHmac } from 'node:crypto'
import { NOTIFICATION_SEND_MS_MAX } from '../kernel/limits/notify.ts'
import type { WebhookConfig } from './config.ts'
import type { Claimed } from './outbox.ts'

/** The receiver wants no more: trying again is pointless. */
export class GoneError extends Error {
  override readonly name = 'GoneError'
}

/** Standard Webhooks: "v1," and HMAC-SHA256 of "id.timestamp.body" in base64. */
export function signatureOf(secret: string, id: string, timestamp: number, body: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const digest = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return `v1,${digest}`
}

/** The message: what happened, when, to which account. */
const messageOf = ({ kind, account_id, data, created_at }: Claimed): string =>
  JSON.stringify({ type: kind, timestamp: new Date(created_at).toISOString(), account_id, data })

/**
 * Posts one message, signed anew for each try. Only a 2xx counts; a redirect is not followed.
 * Throws GoneError for 410, else an Error that names the status.
 */
export async function post(
  { url, secret }: WebhookConfig,
  claimed: Claimed,
  nowMs: number,
): Promise<void> {
  const body = messageOf(claimed)
  const timestamp = Math.floor(nowMs / 1000)
  const response = await fetch(url, {
    method: 'POST',
    redirect: 'manual',
    signal: AbortSignal.timeout(NOTIFICATION_SEND_MS_MAX),
    headers: {
      'content-type': 'application/json',
      'webhook-id': claimed.id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signatureOf(secret, claimed.id, timestamp, body),
    },
    body,
  })
  await response.body?.cancel()
  if (response.status === 410) throw new GoneError('the receiver answered 410')
  if (!response.ok) throw new Error(`the receiver answered ${response.status}`)
}
