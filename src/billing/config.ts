import { z } from 'zod'
import { ZERO } from '../kernel/money.ts'
import { creditsAmount as credits } from '../pricing/config.ts'

const id = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'use a-z, 0-9, - and _')
const price = z.string().regex(/^price_\w{1,240}$/, 'name a price of Stripe, like "price_…"')

const days = z.int().positive().max(36_500)

const packSchema = z.strictObject({
  id,
  stripe_price: price.describe('A one-time price.'),
  credits: credits.refine((amount) => amount > 0, { error: 'must be more than zero' }),
  expires_days: days.optional().describe('From the payment; absent = never.'),
})

const planSchema = z.strictObject({
  id,
  stripe_prices: z.array(price).min(1).describe('Recurring prices, such as month and year.'),
  included_credits: credits.default(ZERO),
  rollover: z.int().min(0).max(120).default(0).describe('Periods that unused credits outlive.'),
  overage: z.strictObject({ meter: z.string().min(1), limit: credits }).optional(),
})

export const packsSchema = z
  .array(packSchema)
  .refine((packs) => isUnique(packs.flatMap((pack) => [pack.id, pack.stripe_price])), {
    error: 'each pack needs an id and a price of its own',
  })

export const plansSchema = z
  .array(planSchema)
  .refine((plans) => isUnique(plans.flatMap((plan) => [plan.id, ...plan.stripe_prices])), {
    error: 'each plan needs an id and prices of its own',
  })

const isUnique = (names: readonly string[]): boolean => new Set(names).size === names.length

/** What happens where Stripe leaves the choice. Source: stripe/facts.md §3 ("by policy"). */
export const policiesSchema = z.strictObject({
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
})

export const stripeConfigSchema = z.strictObject({ policies: policiesSchema.prefault({}) })

export type Pack = z.infer<typeof packSchema>
export type Plan = z.infer<typeof planSchema>
export type Policies = z.infer<typeof policiesSchema>
