import Stripe from 'stripe'

/** An event as Stripe takes it: payload values are text. Source: stripe.md §4. */
export interface MeterEvent {
  readonly eventName: string
  readonly identifier: string
  readonly payload: Readonly<Record<string, string>>
  /** Unix seconds. */
  readonly atS: number
}

/**
 * What became of a call. accepted: Stripe has it. duplicate: had it before. throttled, denied: it
 * has not, for now. unknown: nobody can tell. refused: it has not and will not.
 */
export type SendOutcome =
  | { readonly kind: 'accepted' | 'duplicate' }
  | { readonly kind: 'throttled' | 'denied' | 'unknown' | 'refused'; readonly why: string }

/** One call each, never repeated within. Another transport, such as v2's stream, fits in here. */
export interface MeterSender {
  send(event: MeterEvent): Promise<SendOutcome>
  /** Takes an event back. The same `key` again is the same call. */
  cancel(eventName: string, identifier: string, key: string): Promise<SendOutcome>
}

/** Says that the identifier is known, without a code. Source: stripe.md §4 (dedupe). */
const DUPLICATE = /already exists with identifier/i

/** The meter is not there or takes nothing: it has nothing to do with the event. Same source. */
const NO_METER = /^(no_meter|archived_meter)$/

const WHY_CHARS_MAX = 300

function outcomeOf(error: unknown): SendOutcome {
  const why = (error instanceof Error ? error.message : String(error)).slice(0, WHY_CHARS_MAX)
  const { errors } = Stripe
  if (error instanceof errors.StripeRateLimitError) return { kind: 'throttled', why }
  if (
    error instanceof errors.StripeAuthenticationError ||
    error instanceof errors.StripePermissionError
  ) {
    return { kind: 'denied', why }
  }
  if (error instanceof errors.StripeInvalidRequestError) {
    if (NO_METER.test(error.code ?? '')) return { kind: 'denied', why }
    return DUPLICATE.test(error.message) ? { kind: 'duplicate' } : { kind: 'refused', why }
  }
  return { kind: 'unknown', why }
}

async function outcome(call: Promise<unknown>): Promise<SendOutcome> {
  try {
    await call
    return { kind: 'accepted' }
  } catch (error) {
    return outcomeOf(error)
  }
}

/** v1 meter events. What is repeated, and when, is the reporter's to decide. */
export function makeStripeSender(stripe: Pick<Stripe, 'billing'>): MeterSender {
  const once = { maxNetworkRetries: 0 }
  return {
    send: ({ eventName, identifier, payload, atS }) =>
      outcome(
        stripe.billing.meterEvents.create(
          { event_name: eventName, identifier, payload: { ...payload }, timestamp: atS },
          once,
        ),
      ),
    cancel: (eventName, identifier, key) =>
      outcome(
        stripe.billing.meterEventAdjustments.create(
          { type: 'cancel', event_name: eventName, cancel: { identifier } },
          { ...once, idempotencyKey: key },
        ),
      ),
  }
}
