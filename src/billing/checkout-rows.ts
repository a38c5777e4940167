import { z } from 'zod'
import { micros } from '../kernel/money.ts'
import type { Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'find-checkout',
  'plan-checkout',
  'open-checkout',
  'change-checkout',
])

const CHECKOUT_STATES = ['planned', 'open', 'pending', 'granted', 'failed'] as const
export type CheckoutState = (typeof CHECKOUT_STATES)[number]

const maybeText = z.string().nullable()
const maybeNumber = z.number().nullable()

const checkoutRow = z
  .object({
    id: z.string(),
    account_id: z.string(),
    item_kind: z.enum(['pack', 'plan']),
    item_id: z.string(),
    stripe_price: z.string(),
    micros: z.number().transform(micros).nullable(),
    expires_days: maybeNumber,
    success_url: z.string(),
    cancel_url: z.string(),
    request_hash: z.string(),
    session_id: maybeText,
    url: maybeText,
    payment_intent: maybeText,
    amount: maybeNumber,
    currency: maybeText,
    state: z.enum(CHECKOUT_STATES),
    failure: maybeText,
    expires_at: maybeNumber,
    keeps_card: z.boolean(),
    created_at: z.number(),
    changed_at: z.number(),
  })
  .transform((row) => ({
    id: row.id,
    accountId: row.account_id,
    itemKind: row.item_kind,
    itemId: row.item_id,
    stripePrice: row.stripe_price,
    micros: row.micros,
    expiresDays: row.expires_days,
    successUrl: row.success_url,
    cancelUrl: row.cancel_url,
    requestHash: row.request_hash,
    sessionId: row.session_id,
    url: row.url,
    paymentIntent: row.payment_intent,
    amount: row.amount,
    currency: row.currency,
    state: row.state,
    failure: row.failure,
    expiresAtMs: row.expires_at,
    keepsCard: row.keeps_card,
    createdAtMs: row.created_at,
    changedAtMs: row.changed_at,
  }))

/** An intent of ours: what is bought, by whom, and what it grants. */
export type Checkout = z.infer<typeof checkoutRow>

export type NewCheckout = Pick<
  Checkout,
  | 'id'
  | 'accountId'
  | 'itemKind'
  | 'itemId'
  | 'stripePrice'
  | 'micros'
  | 'expiresDays'
  | 'successUrl'
  | 'cancelUrl'
  | 'requestHash'
> & {
  readonly requestKey: string | null
  /** Whether recharges may charge its card afterwards. Absent = they may not. */
  readonly keepsCard?: boolean
}

/** What Stripe answered when the session was made. */
export interface OpenedCheckout {
  readonly id: string
  readonly sessionId: string
  readonly url: string | null
  readonly amount: number | null
  readonly currency: string | null
  readonly expiresAtMs: number
}

export interface CheckoutChange {
  readonly id: string
  /** null = as it is; so with the payment. */
  readonly sessionId: string | null
  readonly paymentIntent: string | null
  readonly state: CheckoutState
  readonly failure: string | null
}

export type CheckoutName =
  | { readonly id: string }
  | { readonly sessionId: string }
  | { readonly paymentIntent: string }
  | { readonly accountId: string; readonly requestKey: string }

/** Rows of checkout_sessions. Whoever calls brings the transaction. */
export const checkoutRows = {
  async find(tx: Tx, name: CheckoutName): Promise<Checkout | null> {
    const all = { id: null, sessionId: null, paymentIntent: null, accountId: null, ...name }
    const requestKey = 'requestKey' in name ? name.requestKey : null
    const { id, sessionId, paymentIntent, accountId } = all
    const params = [id, sessionId, paymentIntent, accountId, requestKey]
    const [row] = await tx.query(sql['find-checkout'], params)
    return row === undefined ? null : checkoutRow.parse(row)
  },
  /** false = that account has a checkout under this key already. */
  async plan(tx: Tx, one: NewCheckout, nowMs: number): Promise<boolean> {
    const rows = await tx.query(sql['plan-checkout'], [
      ...[one.id, one.accountId, one.itemKind, one.itemId, one.stripePrice, one.micros],
      ...[one.expiresDays, one.successUrl, one.cancelUrl, one.requestKey, one.requestHash],
      ...[new Date(nowMs), one.keepsCard ?? false],
    ])
    return rows.length === 1
  },
  async open(tx: Tx, one: OpenedCheckout, nowMs: number): Promise<void> {
    await tx.query(sql['open-checkout'], [
      ...[one.id, one.sessionId, one.url, one.amount, one.currency],
      ...[new Date(one.expiresAtMs), new Date(nowMs)],
    ])
  },
  /** What was granted stays granted. */
  async change(tx: Tx, one: CheckoutChange, nowMs: number): Promise<void> {
    await tx.query(sql['change-checkout'], [
      ...[one.id, one.sessionId, one.paymentIntent, one.state, one.failure, new Date(nowMs)],
    ])
  },
}
