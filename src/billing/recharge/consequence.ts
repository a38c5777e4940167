import {
  RECHARGE_DECLINES_MAX,
  RECHARGE_DECLINE_MS_MAX,
  RECHARGE_DECLINE_MS_MIN,
  RECHARGE_PAUSE_MS,
  RECHARGE_TROUBLE_MS,
} from '../../kernel/limits/stripe.ts'

/** Why an attempt did not bring credits. */
export interface Failure {
  readonly kind:
    | 'declined'
    | 'authentication_required'
    | 'do_not_try_again'
    | 'no_payment_method'
    | 'payment_method_detached'
    | 'customer_deleted'
    | 'refused'
    | 'amount_differs'
    | 'trouble'
    | 'not_needed'
    | 'capped'
  /** For people: the bank's or Stripe's code. */
  readonly detail: string
}

/** How a recharge goes on after an attempt. */
export interface Consequence {
  readonly state: 'on' | 'blocked' | 'off'
  readonly reason: string | null
  readonly declines: number
  /** The next attempt, ms from now. */
  readonly waitMs: number
}

/** Pause after `declines` declines in a row, ms: doubles within its bounds. */
const declinePauseMs = (declines: number): number =>
  Math.min(RECHARGE_DECLINE_MS_MIN * 2 ** (declines - 1), RECHARGE_DECLINE_MS_MAX)

export const afterSuccess: Consequence = {
  state: 'on',
  reason: null,
  declines: 0,
  waitMs: RECHARGE_PAUSE_MS,
}

/**
 * What a failure means for the next attempt: again later, not before another card (blocked), or
 * not before a person turns it on (off). Source: stripe.md §3 (payment_intent.*).
 */
export function consequenceOf({ kind }: Failure, declines: number): Consequence {
  const stays = { reason: kind, declines, waitMs: 0 }
  switch (kind) {
    case 'declined': {
      const next = declines + 1
      if (next >= RECHARGE_DECLINES_MAX) {
        return { state: 'blocked', reason: kind, declines: next, waitMs: 0 }
      }
      return { state: 'on', reason: null, declines: next, waitMs: declinePauseMs(next) }
    }
    case 'authentication_required':
    case 'no_payment_method':
    case 'refused':
      return { ...stays, state: 'blocked' }
    case 'do_not_try_again':
    case 'payment_method_detached':
    case 'customer_deleted':
    case 'amount_differs':
      return { ...stays, state: 'off' }
    case 'trouble':
      return { state: 'on', reason: null, declines, waitMs: RECHARGE_TROUBLE_MS }
    case 'not_needed':
    case 'capped':
      return { state: 'on', reason: null, declines, waitMs: RECHARGE_PAUSE_MS }
  }
}

/** The UTC month of a moment, like 2027-01. */
export const monthOf = (atMs: number): string => new Date(atMs).toISOString().slice(0, 7)

/** When the next UTC month begins, Unix ms. */
export function nextMonthMs(atMs: number): number {
  const at = new Date(atMs)
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 1)
}
