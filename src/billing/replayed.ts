import Stripe from 'stripe'

/**
 * Stripe failed under an idempotency key, and answers that again for a day to whoever repeats the
 * call, whether it was carried out or not. Source: stripe.md §6.
 */
export const isReplayedFailure = (error: unknown): boolean =>
  error instanceof Stripe.errors.StripeAPIError && error.headers?.['idempotent-replayed'] === 'true'
