import { z } from 'zod'
import { ZERO } from '../../kernel/money.ts'
import { creditsAmount as credits } from '../../pricing/config.ts'
import { issueKeySchema } from '../claims/config.ts'

export const itemId = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'use a-z, 0-9, - and _')
export const stripePrice = z
  .string()
  .regex(/^price_\w{1,240}$/, 'name a price of Stripe, like "price_…"')

const atLeastOne = z.int().positive().max(2_000_000_000)
const globs = z
  .array(z.string().trim().min(1).max(256))
  .min(1, 'name at least one, or leave it out for all')
  .max(100)

/** A flag, or a number that a product reads as its limit. Absent and false are the same. */
const featureValue = z.union([z.boolean(), z.int().min(0).max(Number.MAX_SAFE_INTEGER)])
export const featuresSchema = z.record(
  z.string().regex(/^[A-Za-z0-9][\w.:-]{0,62}$/, 'use letters, digits, _ . : -'),
  featureValue,
)

/** Of the whole account, whatever its keys say. Absent = no limit. */
const ratesSchema = z.strictObject({
  requests_per_minute: atLeastOne.optional(),
  tokens_per_minute: atLeastOne.optional(),
  max_concurrency: atLeastOne.optional(),
})

const planSchema = z.strictObject({
  id: itemId,
  name: z.string().trim().min(1).max(200).optional().describe('For people; absent = the id.'),
  stripe_prices: z
    .array(stripePrice)
    .default([])
    .describe('Recurring prices, such as month and year; none = it is not sold (a fallback).'),
  rank: z.int().min(0).max(1_000).default(0).describe('Of several plans the highest rules.'),
  included_credits: credits.default(ZERO),
  rollover: z.int().min(0).max(120).default(0).describe('Periods that unused credits outlive.'),
  features: featuresSchema.default({}),
  models: globs.optional().describe('Models that may be used; absent = all.'),
  endpoints: globs.optional().describe('Like "chat/completions"; absent = all.'),
  rates: ratesSchema.prefault({}),
  issue_key: issueKeySchema.optional(),
  credit_limit: credits.default(ZERO).describe('How far below zero the account may go.'),
  overage: z.strictObject({ meter: z.string().min(1), limit: credits }).optional(),
  usage: z
    .strictObject({ meters: z.array(z.string().min(1)).min(1), credit_limit: credits })
    .optional()
    .describe('Pay as you go: meters that report all usage, and how much may be unbilled.'),
  fallback: itemId.optional().describe('The plan after grace; absent = access.default_plan.'),
})

export type Plan = z.infer<typeof planSchema>

const isUnique = (names: readonly string[]): boolean => new Set(names).size === names.length

export const plansSchema = z
  .array(planSchema)
  .refine((plans) => isUnique(plans.flatMap((plan) => [plan.id, ...plan.stripe_prices])), {
    error: 'each plan needs an id and prices of its own',
  })
  .superRefine((plans, context) => {
    for (const [at, { id, fallback }] of plans.entries()) {
      const known = fallback === undefined || plans.some((other) => other.id === fallback)
      if (known && fallback !== id) continue
      const message = known ? 'is the plan itself' : 'is no plan of this list'
      context.addIssue({ code: 'custom', message, path: [at, 'fallback'] })
    }
  })

const days = z.int().min(0).max(365)

/** When an unpaid subscription loses what. Days since the oldest unpaid invoice was due. */
const graceSchema = z
  .strictObject({
    remind_days: days.default(3),
    downgrade_days: days.default(7),
    suspend_days: days.default(14),
  })
  .refine((it) => it.remind_days <= it.downgrade_days && it.downgrade_days <= it.suspend_days, {
    error: 'remind, downgrade and suspend come in this order',
  })

export const accessConfigSchema = z.strictObject({
  default_plan: itemId.optional().describe('Of accounts without a standing subscription.'),
  without_plan: z
    .enum(['allow', 'refuse'])
    .default('allow')
    .describe('Never had a plan, and there is no default: credits alone decide, or no access.'),
  after_plan: z
    .enum(['allow', 'refuse'])
    .default('allow')
    .describe('Had a plan, and there is neither fallback nor default: as above.'),
  grace: graceSchema.prefault({}),
  stripe_features: z
    .record(z.string().min(1).max(80), featuresSchema)
    .default({})
    .describe('What features of Stripe’s own entitlements give, by their lookup keys.'),
  slack_minutes: z
    .int()
    .min(10)
    .max(10_080)
    .default(360)
    .describe('How long a paid period is outlived while no news of the next one has come.'),
})

export type AccessConfig = z.infer<typeof accessConfigSchema>

/** The default plan must be one that is configured. */
export function checkDefaultPlan(
  config: { readonly plans: readonly Plan[]; readonly access: AccessConfig },
  context: z.core.$RefinementCtx,
): void {
  const { default_plan: id } = config.access
  if (id === undefined || config.plans.some((plan) => plan.id === id)) return
  const path = ['access', 'default_plan']
  context.addIssue({ code: 'custom', message: 'is no plan of "plans"', path })
}
