import { z } from 'zod'
import { micros } from '../../kernel/money.ts'

const maybeText = z.string().nullable()
const maybeNumber = z.number().nullable()
const money = z.number().transform(micros)

export const RECHARGE_STATES = ['on', 'blocked', 'off'] as const

export const rechargeRow = z
  .object({
    account_id: z.string(),
    state: z.enum(RECHARGE_STATES),
    reason: maybeText,
    pack_id: maybeText,
    threshold_micros: money.nullable(),
    monthly_count: maybeNumber,
    monthly_amount: maybeNumber,
    currency: maybeText,
    return_url: maybeText,
    payment_method: maybeText,
    declines: z.number(),
    card_mark: maybeText,
    due_at: z.number(),
    changed_at: z.number(),
  })
  .transform((row) => ({
    accountId: row.account_id,
    state: row.state,
    reason: row.reason,
    packId: row.pack_id,
    thresholdMicros: row.threshold_micros,
    monthlyCount: row.monthly_count,
    monthlyAmount: row.monthly_amount,
    currency: row.currency,
    returnUrl: row.return_url,
    paymentMethod: row.payment_method,
    declines: row.declines,
    cardMark: row.card_mark,
    dueAtMs: row.due_at,
    changedAtMs: row.changed_at,
  }))

/** What an account allowed. Source: migrations/0011-recharge. */
export type Recharge = z.infer<typeof rechargeRow>

export const ATTEMPT_STATES = [
  'planned',
  'called',
  'open',
  'succeeded',
  'failed',
  'canceled',
] as const

export const attemptRow = z
  .object({
    id: z.string(),
    account_id: z.string(),
    month: z.string(),
    pack_id: z.string(),
    stripe_price: z.string(),
    micros: money,
    expires_days: maybeNumber,
    return_url: z.string(),
    state: z.enum(ATTEMPT_STATES),
    idempotency_key: z.string(),
    customer_id: maybeText,
    payment_method: maybeText,
    card_mark: maybeText,
    amount: maybeNumber,
    currency: maybeText,
    payment_intent: maybeText,
    failure: maybeText,
    link: z.enum(['wanted', 'told']).nullable(),
    tries: z.number(),
    lease: maybeText,
    planned_at: z.number(),
    called_at: maybeNumber,
    last_call_at: maybeNumber,
  })
  .transform((row) => ({
    id: row.id,
    accountId: row.account_id,
    month: row.month,
    packId: row.pack_id,
    stripePrice: row.stripe_price,
    micros: row.micros,
    expiresDays: row.expires_days,
    returnUrl: row.return_url,
    state: row.state,
    idempotencyKey: row.idempotency_key,
    customerId: row.customer_id,
    paymentMethod: row.payment_method,
    cardMark: row.card_mark,
    amount: row.amount,
    currency: row.currency,
    paymentIntent: row.payment_intent,
    failure: row.failure,
    link: row.link,
    tries: row.tries,
    lease: row.lease,
    plannedAtMs: row.planned_at,
    calledAtMs: row.called_at,
    lastCallAtMs: row.last_call_at,
  }))

/** One charge for a pack, written before Stripe is asked for it. */
export type Attempt = z.infer<typeof attemptRow>
