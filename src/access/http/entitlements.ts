import { z } from 'zod'
import { viewCredits } from '../../kernel/money.ts'
import type { Override } from '../plans/overrides.ts'
import type { Entitlements } from '../plans/resolve.ts'
import type { SubscriptionRow } from '../plans/rows.ts'
import { isoOrNull } from './balance.ts'
import { amountView } from './fields.ts'

const names = z.array(z.string()).nullable()
const count = z.int().nullable()
const time = z.string().nullable()

/** Entitlements as every body shows them. null = no limit. */
export const entitlementsView = z.object({
  state: z
    .string()
    .describe('active, trialing, grace, downgraded, suspended, pending, comped or none'),
  plan: z.string().nullable(),
  subscription_id: z.string().nullable(),
  rung: z.string().nullable().describe('warned, reminded, downgraded or suspended'),
  blocked: z.string().nullable().describe('suspended or no_plan'),
  features: z.record(z.string(), z.union([z.boolean(), z.int()])),
  models: names,
  endpoints: names,
  rates: z.object({
    requests_per_minute: count,
    tokens_per_minute: count,
    max_concurrency: count,
  }),
  credit_limit: amountView,
  overage_limit: amountView,
  overage_meter: z.string().nullable(),
  paid_through: time,
  next_change_at: time,
})

export const viewEntitlements = (it: Entitlements): z.infer<typeof entitlementsView> => ({
  state: it.state,
  plan: it.planId,
  subscription_id: it.subscriptionId,
  rung: it.rung,
  blocked: it.blocked,
  features: it.features,
  models: it.models === null ? null : [...it.models],
  endpoints: it.endpoints === null ? null : [...it.endpoints],
  rates: {
    requests_per_minute: it.requestsPerMinute,
    tokens_per_minute: it.tokensPerMinute,
    max_concurrency: it.maxConcurrency,
  },
  credit_limit: viewCredits(it.creditLimitMicros),
  overage_limit: viewCredits(it.overageLimitMicros),
  overage_meter: it.overageMeter,
  paid_through: isoOrNull(it.paidThroughMs),
  next_change_at: isoOrNull(it.nextChangeAtMs),
})

export const subscriptionView = z.object({
  id: z.string(),
  plan: z.string(),
  status: z.string(),
  current_period_start: time,
  current_period_end: time,
  cancel_at: time,
  ended_at: time,
  collection_paused: z.boolean(),
  invoice_status: z.string().nullable(),
  owed_since: time,
  pay_url: z.string().nullable(),
  seen_at: time,
})

export const viewSubscription = (it: SubscriptionRow): z.infer<typeof subscriptionView> => ({
  id: it.id,
  plan: it.planId,
  status: it.status,
  current_period_start: isoOrNull(it.periodStartMs),
  current_period_end: isoOrNull(it.periodEndMs),
  cancel_at: isoOrNull(it.cancelAtMs),
  ended_at: isoOrNull(it.endedAtMs),
  collection_paused: it.isCollectionPaused,
  invoice_status: it.invoiceStatus,
  owed_since: isoOrNull(it.owedSinceMs),
  pay_url: it.payUrl,
  seen_at: isoOrNull(it.changedAtMs),
})

export const overrideView = z.object({
  id: z.string(),
  patch: z.unknown().describe('plan, access, features, models, endpoints, rates, limits'),
  reason: z.string(),
  actor: z.string(),
  created_at: time,
  expires_at: time,
  removed_at: time,
  removed_by: z.string().nullable(),
})

export const viewOverride = (it: Override): z.input<typeof overrideView> => ({
  id: it.id,
  patch: it.patch,
  reason: it.reason,
  actor: it.actor,
  created_at: isoOrNull(it.createdAtMs),
  expires_at: isoOrNull(it.expiresAtMs),
  removed_at: isoOrNull(it.removedAtMs),
  removed_by: it.removedBy,
})
