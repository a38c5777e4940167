import { z } from 'zod'
import { micros } from '../../kernel/money.ts'
import type { Param, Tx } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'
import { featuresSchema } from './config.ts'
import { overrideRow, type Override } from './overrides.ts'
import type { Entitlements } from './resolve.ts'
import type { SubscriptionState } from './standing.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'subscriptions-of',
  'overrides-of',
  'read-entitlements',
])

const time = z.number().nullable()
const names = z.array(z.string()).nullable()
const count = z.number().nullable()
const money = z.number().transform(micros)

const subscriptionRow = z
  .object({
    ...{ id: z.string(), plan_id: z.string(), stripe_price: z.string().nullable() },
    ...{ quantity: z.number(), status: z.string(), started_at: z.number(), changed_at: z.number() },
    ...{ current_period_start: time, current_period_end: time, trial_end: time },
    ...{ cancel_at: time, cancel_at_period_end: z.boolean(), ended_at: time, owed_since: time },
    ...{ is_collection_paused: z.boolean(), latest_invoice: z.string().nullable() },
    ...{ invoice_status: z.string().nullable(), pay_url: z.string().nullable() },
  })
  .transform((row): SubscriptionRow => ({
    id: row.id,
    planId: row.plan_id,
    status: row.status,
    periodStartMs: row.current_period_start,
    periodEndMs: row.current_period_end ?? row.trial_end,
    cancelAtMs: row.cancel_at,
    endedAtMs: row.ended_at,
    isCollectionPaused: row.is_collection_paused,
    invoiceStatus: row.invoice_status,
    owedSinceMs: row.owed_since,
    startedAtMs: row.started_at,
    payUrl: row.pay_url,
    cancelsAtPeriodEnd: row.cancel_at_period_end,
    changedAtMs: row.changed_at,
  }))

export interface SubscriptionRow extends SubscriptionState {
  /** Where its unpaid invoice can be paid. */
  readonly payUrl: string | null
  readonly cancelsAtPeriodEnd: boolean
  readonly changedAtMs: number
}

export async function subscriptionsOf(tx: Tx, accountId: string): Promise<SubscriptionRow[]> {
  const rows = await tx.query(sql['subscriptions-of'], [accountId])
  return rows.map((row) => subscriptionRow.parse(row))
}

export async function overridesOf(tx: Tx, accountId: string, all = false): Promise<Override[]> {
  const rows = await tx.query(sql['overrides-of'], [accountId, all])
  return rows.map((row) => overrideRow.parse(row))
}

const entitlementsRow = z
  .object({
    state: z.enum([
      ...['active', 'trialing', 'grace', 'downgraded', 'suspended', 'pending'],
      ...['comped', 'none'],
    ] as const),
    ...{ plan_id: z.string().nullable(), subscription_id: z.string().nullable() },
    rung: z.enum(['warned', 'reminded', 'downgraded', 'suspended']).nullable(),
    blocked: z.enum(['suspended', 'no_plan']).nullable(),
    ...{ features: featuresSchema, models: names, endpoints: names },
    ...{ requests_per_minute: count, tokens_per_minute: count, max_concurrency: count },
    ...{ credit_limit_micros: money, overage_limit_micros: money },
    ...{ overage_meter: z.string().nullable(), paid_through: time, next_change_at: time },
    plans_version: z.string(),
  })
  .transform((row): { is: Entitlements; plansVersion: string } => ({
    plansVersion: row.plans_version,
    is: {
      state: row.state,
      planId: row.plan_id,
      subscriptionId: row.subscription_id,
      rung: row.rung,
      blocked: row.blocked,
      features: row.features,
      models: row.models,
      endpoints: row.endpoints,
      requestsPerMinute: row.requests_per_minute,
      tokensPerMinute: row.tokens_per_minute,
      maxConcurrency: row.max_concurrency,
      creditLimitMicros: row.credit_limit_micros,
      overageLimitMicros: row.overage_limit_micros,
      overageMeter: row.overage_meter,
      paidThroughMs: row.paid_through,
      nextChangeAtMs: row.next_change_at,
    },
  }))

/** What was resolved last, and with which plans; null = nothing yet. */
export async function readEntitlements(tx: Tx, accountId: string) {
  const [row] = await tx.query(sql['read-entitlements'], [accountId])
  return row === undefined ? null : entitlementsRow.parse(row)
}

const dateOf = (ms: number | null): Date | null => (ms === null ? null : new Date(ms))
const jsonOf = (value: unknown): string | null => (value === null ? null : JSON.stringify(value))

/** Parameters of write-entitlements.sql. */
export const entitlementParams = (
  accountId: string,
  it: Entitlements,
  plansVersion: string,
  nowMs: number,
): Param[] => [
  ...[accountId, it.state, it.planId, it.subscriptionId, it.rung, it.blocked],
  ...[JSON.stringify(it.features), jsonOf(it.models), jsonOf(it.endpoints)],
  ...[it.requestsPerMinute, it.tokensPerMinute, it.maxConcurrency],
  ...[it.creditLimitMicros, it.overageLimitMicros, it.overageMeter],
  ...[dateOf(it.paidThroughMs), dateOf(it.nextChangeAtMs), plansVersion, new Date(nowMs)],
]
