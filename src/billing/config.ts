import { z } from 'zod'
import { issueKeySchema } from '../access/claims/config.ts'
import { itemId as id, stripePrice as price } from '../access/plans/config.ts'
import { creditsAmount as credits } from '../pricing/config.ts'

const days = z.int().positive().max(36_500)

const packSchema = z.strictObject({
  id,
  stripe_price: price.describe('A one-time price.'),
  credits: credits.refine((amount) => amount > 0, { error: 'must be more than zero' }),
  expires_days: days.optional().describe('From the payment; absent = never.'),
  issue_key: issueKeySchema.optional(),
})

export const packsSchema = z
  .array(packSchema)
  .refine((packs) => isUnique(packs.flatMap((pack) => [pack.id, pack.stripe_price])), {
    error: 'each pack needs an id and a price of its own',
  })

const isUnique = (names: readonly string[]): boolean => new Set(names).size === names.length

/** What happens where Stripe leaves the choice. Source: stripe.md §3 ("by policy"). */
const policiesSchema = z.strictObject({
  zero_checkout: z.enum(['grant', 'ignore']).default('grant').describe('A checkout of amount 0.'),
  trial_included: z.enum(['grant', 'ignore']).default('grant').describe('Credits in a trial.'),
  plan_change: z
    .enum(['prorate', 'ignore'])
    .default('prorate')
    .describe('A larger plan in mid-period: its share of the rest, or nothing until the next.'),
  included_at_end: z
    .enum(['expire', 'keep'])
    .default('expire')
    .describe('Included credits when their plan ends.'),
  dispute: z
    .enum(['freeze', 'flag'])
    .default('freeze')
    .describe('While a dispute is open or lost.'),
  pause_collection: z
    .enum(['keep', 'suspend'])
    .default('keep')
    .describe(
      'A subscription whose collection is paused: kept until its paid period ends, or not.',
    ),
  early_fraud_warning: z
    .enum(['flag', 'ignore'])
    .default('flag')
    .describe('A warning of Radar: told, and no automatic recharge any more; or nothing.'),
  credit_note: z
    .enum(['finding', 'ignore'])
    .default('finding')
    .describe('Money credited to the balance or paid back outside of Stripe.'),
})

const catalogueEntry = z.strictObject({
  lookup_key: id.describe('Names the price at Stripe, and its variable STRIPE_PRICE_<NAME>.'),
  name: z.string().trim().min(1).max(250),
  amount: z.int().positive().describe('In the smallest unit of the currency, such as cents.'),
  currency: z.string().regex(/^[a-z]{3}$/, 'three small letters, like usd'),
  interval: z.enum(['day', 'week', 'month', 'year']).optional().describe('Absent = one-time.'),
})

/** A product and its price that `farebox stripe setup` makes. */
export type CatalogueEntry = z.infer<typeof catalogueEntry>

export const stripeConfigSchema = z.strictObject({
  catalogue: z
    .array(catalogueEntry)
    .default([])
    .refine((entries) => isUnique(entries.map((entry) => entry.lookup_key)), {
      error: 'each entry needs a lookup_key of its own',
    })
    .describe('What farebox stripe setup makes at Stripe.'),
  policies: policiesSchema.prefault({}),
})

export type Pack = z.infer<typeof packSchema>
export type Policies = z.infer<typeof policiesSchema>
