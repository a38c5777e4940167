import Stripe from 'stripe'
import type { Db } from '../../store/db.ts'
import type { Effect } from '../worker.ts'

/** Whether Stripe has no such thing: it was deleted, or it is of another account. */
export const isMissing = (error: unknown): boolean =>
  error instanceof Stripe.errors.StripeInvalidRequestError && error.code === 'resource_missing'

/**
 * An effect for events of long ago: what they name may have been deleted since, as drafts and test
 * data are. Then there is nothing to look at, and no try of tomorrow would find it.
 */
export const withoutTheGone =
  (db: Db, effect: Effect): Effect =>
  async (event, finish) => {
    try {
      await effect(event, finish)
    } catch (error) {
      if (!isMissing(error)) throw error
      await db.tx((tx) => finish(tx, 'Stripe has it no more'))
    }
  }
