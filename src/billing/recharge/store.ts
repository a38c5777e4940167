import { RECHARGE_DECLINES_MAX } from '../../kernel/limits/stripe.ts'
import type { Tx } from '../../store/db.ts'
import { orNull, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import { attemptRow, rechargeRow, type Attempt, type Recharge } from './rows.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'find-attempt',
  'list-attempts',
  'read-recharge',
  'note-intent',
  'save-method',
  'renew-card',
  'renew-paid',
  'recharges-of-method',
  'account-of-warned',
])

export async function findAttempt(
  tx: Tx,
  name: { readonly id: string } | { readonly paymentIntent: string },
): Promise<Attempt | null> {
  const params = 'id' in name ? [name.id, null] : [null, name.paymentIntent]
  const [row] = await tx.query(sql['find-attempt'], params)
  return row === undefined ? null : attemptRow.parse(row)
}

export async function listAttempts(tx: Tx, accountId: string, max: number): Promise<Attempt[]> {
  const rows = await tx.query(sql['list-attempts'], [accountId, max])
  return rows.map((row) => attemptRow.parse(row))
}

export async function readRecharge(tx: Tx, accountId: string): Promise<Recharge | null> {
  const [row] = await tx.query(sql['read-recharge'], [accountId])
  return row === undefined ? null : rechargeRow.parse(row)
}

/** The payment that Stripe made of an attempt, where none was noted. */
export async function noteIntent(
  tx: Tx,
  id: string,
  paymentIntent: string,
  nowMs: number,
): Promise<void> {
  await tx.query(sql['note-intent'], [id, paymentIntent, new Date(nowMs)])
}

/** false = a later one is kept. */
export async function saveMethod(
  tx: Tx,
  accountId: string,
  method: string,
  atMs: number,
  nowMs: number,
): Promise<boolean> {
  const params = [accountId, method, new Date(atMs), new Date(nowMs)]
  return (await tx.query(sql['save-method'], params)).length > 0
}

/** A card other than the declined one gets one try. Answers whether it was another. */
export async function renewCard(
  tx: Tx,
  accountId: string,
  mark: string,
  nowMs: number,
): Promise<boolean> {
  const params = [accountId, mark, RECHARGE_DECLINES_MAX - 1, new Date(nowMs)]
  return (await tx.query(sql['renew-card'], params)).length > 0
}

/** What was paid by the link of the last attempt lets recharges go on. */
export async function renewPaid(
  tx: Tx,
  { accountId, id }: { readonly accountId: string; readonly id: string },
  nowMs: number,
): Promise<void> {
  await tx.query(sql['renew-paid'], [accountId, id, new Date(nowMs)])
}

export async function accountsOfMethod(tx: Tx, method: string): Promise<string[]> {
  const rows = await tx.query(sql['recharges-of-method'], [method])
  return rows.map((row) => textOf(row, 'account_id'))
}

/** A payment that somebody was warned of. */
export interface WarnedPayment {
  /** What grants: the payment itself or its invoice. */
  readonly granting: string
  readonly payment: string | null
  readonly customer: string | null
}

/** null = nobody's we know. */
export async function accountOfWarned(tx: Tx, of: WarnedPayment): Promise<string | null> {
  const params = [of.granting, of.payment, of.customer]
  const [row] = await tx.query(sql['account-of-warned'], params)
  return row === undefined ? null : orNull(row, 'account_id', textOf)
}
