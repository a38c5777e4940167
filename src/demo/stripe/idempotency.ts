import { ApiFault, refused } from './faults.ts'
import type { Obj } from './json.ts'
import { DAY_S } from './world.ts'

export interface Answer {
  readonly status: number
  readonly body: Obj
}

/** Stripe's memory of idempotency keys. Source: docs.stripe.com/api/idempotent_requests */
export interface Idempotency {
  /** The kept answer, or null after which the caller runs and calls `finish` or `forget`. */
  begin(scope: 'v1' | 'v2', key: string, fingerprint: string): Answer | null
  finish(scope: 'v1' | 'v2', key: string, answer: Answer): void
  forget(scope: 'v1' | 'v2', key: string): void
}

interface Kept {
  readonly fingerprint: string
  readonly atS: number
  answer: Answer | null
}

const KEY_CHARS_MAX = 255
/** v1 keeps keys at least a day, v2 thirty. */
const KEEP_S = { v1: DAY_S, v2: 30 * DAY_S }

export function makeIdempotency(now: () => number): Idempotency {
  const kept = new Map<string, Kept>()
  return {
    begin(scope, key, fingerprint) {
      if (key.length > KEY_CHARS_MAX) {
        throw refused(400, 'invalid_request_error', 'Idempotency keys may have 255 characters.')
      }
      const name = `${scope} ${key}`
      const found = kept.get(name)
      if (found === undefined || now() - found.atS > KEEP_S[scope]) {
        kept.set(name, { fingerprint, atS: now(), answer: null })
        return null
      }
      if (found.fingerprint !== fingerprint) throw otherParameters(key)
      if (found.answer === null) throw inUse(key)
      return found.answer
    },
    finish(scope, key, answer) {
      const found = kept.get(`${scope} ${key}`)
      if (found !== undefined) found.answer = answer
    },
    forget(scope, key) {
      kept.delete(`${scope} ${key}`)
    },
  }
}

const otherParameters = (key: string): ApiFault =>
  refused(
    400,
    'idempotency_error',
    'Keys for idempotent requests can only be used with the same parameters they were first used ' +
      `with. Try using a key other than '${key}' if you meant to execute a different request.`,
  )

export const inUse = (key: string): ApiFault =>
  refused(
    409,
    'invalid_request_error',
    `There is currently another in-progress request using this Idempotent Key: ${key}`,
    'idempotency_key_in_use',
  )
