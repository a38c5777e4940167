import Stripe from 'stripe'
import { refuse, type Refusal } from '../kernel/errors.ts'

const AWAY = refuse(
  'gateway_unavailable',
  'Stripe did not answer, so it is not known whether this was done. Repeat it as it was.',
)
const BUSY = refuse('rate_limit_exceeded', 'Stripe takes no more calls right now. Try again.')

/** What a caller is told of Stripe's error, whose words are for the log; null = it is none. */
export function refusalOfStripe(error: unknown): Refusal | null {
  const { StripeError, StripeRateLimitError, StripeInvalidRequestError } = Stripe.errors
  if (!(error instanceof StripeError)) return null
  if (error instanceof StripeRateLimitError) return BUSY
  if (error instanceof StripeInvalidRequestError) {
    return refuse('upstream_error', 'Stripe refused this; the log of the operator says why.')
  }
  return AWAY
}
