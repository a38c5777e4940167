import Stripe from 'stripe'
import { isReplayedFailure } from '../replayed.ts'
import type { Failure } from './consequence.ts'
import { failureOf } from './decide.ts'
import type { Attempt } from './rows.ts'

/** The same row, the same parameters, whoever repeats the call. */
function chargeParams(attempt: Attempt): Stripe.PaymentIntentCreateParams {
  const { amount, currency, customerId, paymentMethod } = attempt
  if (amount === null || currency === null || customerId === null || paymentMethod === null) {
    throw new Error('unreachable: what is called has its parameters')
  }
  return {
    ...{ amount, currency, customer: customerId, payment_method: paymentMethod },
    ...{ confirm: true, off_session: true },
    automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
    metadata: { farebox_attempt: attempt.id },
    description: `Recharge: ${attempt.packId}`,
  }
}

export type Called =
  | { readonly kind: 'made'; readonly payment: string }
  /** Stripe said that it did nothing, and will not. */
  | { readonly kind: 'ended'; readonly failure: Failure }
  /** It did nothing, under a key that is used up. */
  | { readonly kind: 'replayed' }

/** Throws what leaves the outcome open, or what a repeat may mend. */
function readRefusal(error: unknown): Called {
  const { StripeCardError, StripeInvalidRequestError, StripeError } = Stripe.errors
  if (!(error instanceof StripeError)) throw error
  const told: InstanceType<typeof StripeError> = error
  const code = told.code ?? told.type
  if (error instanceof StripeCardError) {
    if (error.payment_intent !== undefined) {
      return { kind: 'made', payment: error.payment_intent.id }
    }
    const facts = { code, declineCode: told.decline_code ?? null }
    const failure = failureOf({ ...facts, adviceCode: told.advice_code ?? null })
    return { kind: 'ended', failure }
  }
  if (error instanceof StripeInvalidRequestError) {
    return { kind: 'ended', failure: { kind: 'refused', detail: code } }
  }
  if (isReplayedFailure(error)) return { kind: 'replayed' }
  throw error
}

/** Asks Stripe to charge. Throws what leaves the outcome open. */
export async function callStripe(
  stripe: Pick<Stripe, 'paymentIntents'>,
  attempt: Attempt,
): Promise<Called> {
  try {
    const made = await stripe.paymentIntents.create(chargeParams(attempt), {
      idempotencyKey: attempt.idempotencyKey,
    })
    return { kind: 'made', payment: made.id }
  } catch (error) {
    return readRefusal(error)
  }
}
