import Stripe from 'stripe'
import type { Clock } from '../kernel/clock.ts'
import { PORTAL_FOUND_MS } from '../kernel/limits/stripe.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { findPortals } from './portal-settings.ts'

export interface PortalDeps {
  readonly stripe: Pick<Stripe, 'billingPortal'>
  readonly clock: Clock
  readonly log: Log
}

/** Opens Stripe's customer portal for a customer. Throws what Stripe throws. */
export type OpenPortal = (customer: string, returnUrl: string) => Promise<{ readonly url: string }>

/**
 * With the settings that `farebox stripe setup` made, which are looked for now and then; where it
 * made none, with the account's own.
 */
export function makeOpenPortal({ stripe, clock, log }: PortalDeps): OpenPortal {
  let known: { readonly id: string | null; readonly atMs: number } | null = null

  async function find(): Promise<string | null> {
    try {
      return (await findPortals(stripe, { hasProducts: false })).ours?.id ?? null
    } catch (error) {
      // A restricted key may open sessions and yet not read settings.
      if (!(error instanceof Stripe.errors.StripePermissionError)) throw error
      log.warn({ error: describeError(error) }, 'settings of the customer portal cannot be read')
      return null
    }
  }

  async function settings(): Promise<string | null> {
    const nowMs = clock.now()
    if (known === null || nowMs - known.atMs >= PORTAL_FOUND_MS) {
      known = { id: await find(), atMs: nowMs }
    }
    return known.id
  }

  async function open(customer: string, returnUrl: string): Promise<{ readonly url: string }> {
    const id = await settings()
    const configuration = id === null ? {} : { configuration: id }
    const params = { customer, return_url: returnUrl, ...configuration }
    const { url } = await stripe.billingPortal.sessions.create(params)
    return { url }
  }

  return async (customer, returnUrl) => {
    const before = known
    try {
      return await open(customer, returnUrl)
    } catch (error) {
      // What was known may have been switched off since.
      const isStale = error instanceof Stripe.errors.StripeInvalidRequestError && before?.id != null
      if (!isStale) throw error
      known = null
      return open(customer, returnUrl)
    }
  }
}
