import { keepStripeFeatures } from '../../access/plans/stripe-features.ts'
import type { Tx } from '../../store/db.ts'
import { readLook, takeLook, type Look } from './look.ts'
import { accountOfCustomer, none } from './looks.ts'
import type { PlanLooksDeps } from './looks-of-plans.ts'
import type { Written } from './write.ts'

/**
 * What Stripe itself entitles a customer to, kept whole. An event says only that it changed, and
 * holds one page of it. Source: stripe.md §3 (entitlements.*).
 */
export const makeEntitlementLooks = (deps: PlanLooksDeps) => ({
  async entitlements(customer: string): Promise<Look<Written>> {
    const { db, invoices, entitle } = deps
    const accountId = await accountOfCustomer(db, customer)
    if (accountId === null) return { write: () => Promise.resolve(none('of nobody we know')) }
    const lookupKeys = await invoices.features(customer)
    return {
      async write(tx, nowMs) {
        await keepStripeFeatures(tx, accountId, lookupKeys, nowMs)
        const changed = (await entitle?.(tx, accountId, nowMs)) ?? false
        const outcome = `${lookupKeys.length} features of Stripe's`
        return { ...none(outcome), accounts: changed ? [accountId] : [] }
      },
    }
  },
})

/**
 * The same beside a look at a subscription, where the configuration makes anything of it: an event
 * that was lost is made up for by the next one. null = there is nothing to keep.
 */
export async function readFeatures(
  { db, invoices, catalogue }: PlanLooksDeps,
  customer: string | null,
  accountId: string,
): Promise<((tx: Tx, nowMs: number) => Promise<void>) | null> {
  if (customer === null || !catalogue().hasStripeFeatures) return null
  const name = `entitlements:${customer}`
  const number = await readLook(db, name)
  const lookupKeys = await invoices.features(customer)
  return async (tx, nowMs) => {
    await takeLook(tx, name, number, nowMs)
    await keepStripeFeatures(tx, accountId, lookupKeys, nowMs)
  }
}
