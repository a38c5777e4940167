import { makeBook, type PlanBook } from '../../src/access/plans/book.ts'
import { accessConfigSchema, plansSchema } from '../../src/access/plans/config.ts'
import type { SubscriptionState } from '../../src/access/plans/standing.ts'

export const DAY = 86_400_000
export const HOUR = 3_600_000

export const PLANS = [
  { id: 'free', models: ['gpt-4o-mini'], rates: { requests_per_minute: 3 } },
  {
    id: 'pro',
    stripe_prices: ['price_pro'],
    rank: 1,
    features: { exports: true, seats: 5 },
    models: ['gpt-*'],
    overage: { meter: 'ai', limit: '10' },
    fallback: 'free',
  },
  { id: 'team', stripe_prices: ['price_team'], rank: 2, credit_limit: '1' },
]

export const planConfig = (access: object = {}, pause: 'keep' | 'suspend' = 'keep') => ({
  plans: plansSchema.parse(PLANS),
  access: accessConfigSchema.parse(access),
  stripe: { policies: { pause_collection: pause } },
})

export const bookOf = (access: object = {}, pause: 'keep' | 'suspend' = 'keep'): PlanBook =>
  makeBook(planConfig(access, pause))

/** The 31st: its month is followed by one of 28 days. */
export const START = Date.UTC(2027, 0, 31, 12)
export const END = Date.UTC(2027, 1, 28, 12)

export const subscription = (fields: Partial<SubscriptionState> = {}): SubscriptionState => ({
  id: 'sub_1',
  planId: 'pro',
  status: 'active',
  periodStartMs: START,
  periodEndMs: END,
  cancelAtMs: null,
  endedAtMs: null,
  isCollectionPaused: false,
  invoiceStatus: 'paid',
  owedSinceMs: null,
  startedAtMs: START,
  ...fields,
})
