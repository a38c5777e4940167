import { makeCatalogue, type Catalogue } from '../../src/billing/catalogue.ts'
import { plansSchema } from '../../src/access/plans/config.ts'
import { packsSchema, stripeConfigSchema } from '../../src/billing/config.ts'

/** A pack of 50 credits, plans of 100, of 410 that roll over once, and of none. */
export function catalogueOf(policies: object = {}): Catalogue {
  return makeCatalogue({
    packs: packsSchema.parse([{ id: 'extra', stripe_price: 'price_extra', credits: 50 }]),
    plans: plansSchema.parse([
      { id: 'small', stripe_prices: ['price_small'], included_credits: 100 },
      { id: 'large', stripe_prices: ['price_large'], included_credits: 410, rollover: 1 },
      { id: 'empty', stripe_prices: ['price_empty'] },
    ]),
    stripe: stripeConfigSchema.parse({ policies }),
  })
}
