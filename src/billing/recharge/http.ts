import { z } from 'zod'
import { isoOrNull } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import type { Account } from '../../access/rows.ts'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import { URL_CHARS_MAX } from '../../kernel/limits/stripe.ts'
import { viewCredits } from '../../kernel/money.ts'
import { refusalOfStripe } from '../refusals.ts'
import { ATTEMPT_STATES, RECHARGE_STATES, type Attempt } from './rows.ts'
import type { Asker, RechargeView, Settings } from './settings.ts'

/** Bodies that the customer's and the operator's routes share. */

const url = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .max(URL_CHARS_MAX)

const on = z
  .strictObject({
    enabled: z.literal(true),
    pack: z.string().min(1).max(63),
    /** Credits below which a pack is bought. */
    threshold: fields.limit.refine((amount) => amount > 0, { error: 'must be above zero' }),
    monthly_count: z.int().min(1).max(1_000).optional(),
    /** In the smallest unit of the pack's currency, such as cents. */
    monthly_amount: z.int().min(1).max(100_000_000_000).optional(),
    return_url: url.optional(),
  })
  .refine(({ monthly_count: count, monthly_amount: amount }) => (count ?? amount) !== undefined, {
    error: 'name a monthly limit: monthly_count or monthly_amount',
    path: ['monthly_count'],
  })

export const rechargeBody = z.union([z.strictObject({ enabled: z.literal(false) }), on])

const attemptView = z.object({
  id: z.string(),
  state: z.enum(ATTEMPT_STATES),
  pack: z.string(),
  credits: fields.amountView,
  amount: z.int().nullable(),
  currency: z.string().nullable(),
  payment_intent: z.string().nullable(),
  failure: z.string().nullable(),
  planned_at: z.string().nullable(),
})

export const rechargeView = z.object({
  account_id: z.string(),
  /** blocked: waits for another card. */
  state: z.enum(RECHARGE_STATES),
  reason: z.string().nullable(),
  pack: z.string().nullable(),
  threshold: fields.amountView.nullable(),
  monthly_count: z.int().nullable(),
  monthly_amount: z.int().nullable(),
  currency: z.string().nullable(),
  return_url: z.string().nullable(),
  /** null = the customer's default. */
  payment_method: z.string().nullable(),
  not_before: z.string().nullable(),
  this_month: z.object({ attempts: z.int(), amount: z.int() }),
  attempts: z.array(attemptView),
})

const viewAttempt = (attempt: Attempt): z.infer<typeof attemptView> => ({
  id: attempt.id,
  state: attempt.state,
  pack: attempt.packId,
  credits: viewCredits(attempt.micros),
  amount: attempt.amount,
  currency: attempt.currency,
  payment_intent: attempt.paymentIntent,
  failure: attempt.failure,
  planned_at: isoOrNull(attempt.plannedAtMs),
})

export function viewRecharge(
  accountId: string,
  { recharge, attempts, month }: RechargeView,
): z.infer<typeof rechargeView> {
  const threshold = recharge?.thresholdMicros ?? null
  return {
    account_id: accountId,
    state: recharge?.state ?? 'off',
    reason: recharge === null ? 'not_set_up' : recharge.reason,
    pack: recharge?.packId ?? null,
    threshold: threshold === null ? null : viewCredits(threshold),
    monthly_count: recharge?.monthlyCount ?? null,
    monthly_amount: recharge?.monthlyAmount ?? null,
    currency: recharge?.currency ?? null,
    return_url: recharge?.returnUrl ?? null,
    payment_method: recharge?.paymentMethod ?? null,
    not_before: recharge?.state === 'on' ? isoOrNull(recharge.dueAtMs) : null,
    this_month: month,
    attempts: attempts.map(viewAttempt),
  }
}

/** What a body asks for. null = it is done. */
export async function saveFrom(
  settings: Pick<Settings, 'save' | 'off'>,
  account: Account,
  body: z.output<typeof rechargeBody>,
  asker: Asker,
  defaultUrl: string | null,
): Promise<Refusal | null> {
  if (!body.enabled) {
    await settings.off(account.id, asker)
    return null
  }
  const returnUrl = body.return_url ?? defaultUrl
  if (returnUrl === null) {
    return refuse('invalid_request', 'return_url: name where the customer comes back to.')
  }
  const { pack, threshold: thresholdMicros } = body
  const caps = {
    monthlyCount: body.monthly_count ?? null,
    monthlyAmount: body.monthly_amount ?? null,
  }
  try {
    return await settings.save(account, { pack, thresholdMicros, ...caps, returnUrl }, asker)
  } catch (error) {
    const refusal = refusalOfStripe(error)
    if (refusal === null) throw error
    return refusal
  }
}
