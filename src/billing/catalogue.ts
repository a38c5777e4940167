import type { Plan } from '../access/plans/config.ts'
import type { Pack, Policies } from './config.ts'

/** What is for sale, by Stripe's prices. The only source of amounts beside our own intents. */
export interface Catalogue {
  readonly policies: Policies
  readonly packs: readonly Pack[]
  /** Something follows from Stripe's own entitlements. */
  readonly hasStripeFeatures: boolean
  pack(id: string): Pack | null
  plan(id: string): Plan | null
  packOf(price: string): Pack | null
  planOf(price: string): Plan | null
}

export function makeCatalogue(config: {
  readonly packs: readonly Pack[]
  readonly plans: readonly Plan[]
  readonly stripe: { readonly policies: Policies }
  readonly access?: { readonly stripe_features: Readonly<Record<string, unknown>> }
}): Catalogue {
  const { packs, plans } = config
  const packsById = new Map(packs.map((pack) => [pack.id, pack]))
  const plansById = new Map(plans.map((plan) => [plan.id, plan]))
  const packsByPrice = new Map(packs.map((pack) => [pack.stripe_price, pack]))
  const byPrice = plans.flatMap((plan) => plan.stripe_prices.map((price) => [price, plan] as const))
  const plansByPrice = new Map(byPrice)
  return {
    policies: config.stripe.policies,
    packs,
    hasStripeFeatures: Object.keys(config.access?.stripe_features ?? {}).length > 0,
    pack: (id) => packsById.get(id) ?? null,
    plan: (id) => plansById.get(id) ?? null,
    packOf: (price) => packsByPrice.get(price) ?? null,
    planOf: (price) => plansByPrice.get(price) ?? null,
  }
}
