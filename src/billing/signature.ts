import { createHmac, timingSafeEqual } from 'node:crypto'
import { STRIPE_SIGNATURE_AGE_MS_MAX } from '../kernel/limits/stripe.ts'

export type SignatureFault = 'missing' | 'mismatch' | 'too_old' | 'in_future'

/** More than any header of Stripe holds: one for each active secret. */
const SIGNATURES_MAX = 16
const HEX = /^[0-9a-f]{64}$/i

interface Stamp {
  readonly text: string
  readonly atMs: number
  readonly signatures: readonly Buffer[]
}

function readHeader(header: string | undefined): Stamp | null {
  if (header === undefined) return null
  const parts = header.split(',', 2 * SIGNATURES_MAX).map((part) => part.trim().split('='))
  const text = parts.find(([name]) => name === 't')?.[1] ?? ''
  if (!/^\d{1,12}$/.test(text)) return null
  const signatures = parts
    .flatMap(([name, value = '']) => (name === 'v1' && HEX.test(value) ? [value] : []))
    .slice(0, SIGNATURES_MAX)
    .map((value) => Buffer.from(value, 'hex'))
  return signatures.length === 0 ? null : { text, atMs: Number(text) * 1000, signatures }
}

/**
 * Whether Stripe signed these bytes lately with one of `secrets`; null = it did. Stamps from the
 * future are refused as well as old ones: both would make a stolen delivery good for longer.
 * Source: docs.stripe.com/webhooks/signature.
 */
export function checkSignature(
  body: Uint8Array,
  header: string | undefined,
  secrets: readonly string[],
  nowMs: number,
): SignatureFault | null {
  const stamp = readHeader(header)
  if (stamp === null) return 'missing'
  const isOurs = secrets.some((secret) => {
    const expected = createHmac('sha256', secret).update(`${stamp.text}.`).update(body).digest()
    return stamp.signatures.some((signature) => timingSafeEqual(signature, expected))
  })
  if (!isOurs) return 'mismatch'
  const ageMs = nowMs - stamp.atMs
  if (ageMs > STRIPE_SIGNATURE_AGE_MS_MAX) return 'too_old'
  return ageMs < -STRIPE_SIGNATURE_AGE_MS_MAX ? 'in_future' : null
}
