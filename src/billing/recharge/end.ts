import { ZERO } from '../../kernel/money.ts'
import type { Tx } from '../../store/db.ts'
import { flagOf, numberOf, orNull, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import { RECHARGE_OPEN_LOOK_MS } from '../../kernel/limits/stripe.ts'
import {
  afterSuccess,
  consequenceOf,
  nextMonthMs,
  type Consequence,
  type Failure,
} from './consequence.ts'
import type { RechargeEnd } from '../hooks.ts'
import type { Tell } from '../tell.ts'
import { rechargeRow, type Attempt, type Recharge } from './rows.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'lock-recharge',
  'open-attempt',
  'end-attempt',
  'turn-recharge',
  'turn-off',
  'turn-off-warned',
  'note-warning',
])

export type Ending =
  | { readonly state: 'succeeded' }
  | { readonly state: 'failed' | 'canceled'; readonly failure: Failure }

/** What operations count of it. */
export const rechargeEnd = (ending: Ending, { micros }: Pick<Attempt, 'micros'>): RechargeEnd =>
  ending.state === 'succeeded'
    ? { outcome: 'succeeded', micros }
    : { outcome: ending.failure.kind, micros: ZERO }

/** These are the program's own affairs: nobody has to do anything. */
const QUIET: readonly Failure['kind'][] = ['not_needed', 'trouble']

const WORDS: Readonly<Partial<Record<Failure['kind'], string>>> = {
  no_payment_method: 'there is no card to charge',
  payment_method_detached: 'the card was removed',
  customer_deleted: 'the customer was deleted',
  do_not_try_again: 'the bank asks not to try this card again',
  capped: 'the monthly limit is reached',
  amount_differs: 'another amount was paid than was asked for',
}

/**
 * Ends an attempt and says how the recharge goes on, once however often it is called. Locks the
 * recharge before the attempt, as planning does. Answers whether anything changed.
 */
export async function endAttempt(
  tx: Tx,
  tell: Tell,
  attempt: Pick<Attempt, 'id' | 'accountId'>,
  ending: Ending & { readonly paymentIntent?: string | null },
  nowMs: number,
): Promise<boolean> {
  const { id, accountId } = attempt
  const [row] = await tx.query(sql['lock-recharge'], [accountId])
  const { declines } = rechargeRow.parse(row)
  const failure = ending.state === 'succeeded' ? null : ending.failure
  const isAuthentication = failure?.kind === 'authentication_required'
  const [ended] = await tx.query(sql['end-attempt'], [
    ...[id, ending.state, ending.paymentIntent ?? null],
    ...[failure === null ? null : `${failure.kind}: ${failure.detail}`],
    ...[isAuthentication ? 'wanted' : null, new Date(nowMs)],
  ])
  if (ended === undefined) return false
  const next = failure === null ? afterSuccess : consequenceOf(failure, declines)
  const mark = failure === null ? null : orNull(ended, 'card_mark', textOf)
  const dueMs = failure?.kind === 'capped' ? nextMonthMs(nowMs) : nowMs + next.waitMs
  await turn(tx, accountId, next, mark, dueMs, nowMs)
  if (failure === null || isAuthentication || QUIET.includes(failure.kind)) return true
  const reason = WORDS[failure.kind] ?? failure.detail
  const occasion = `recharge_failed:${id}`
  await tell({ kind: 'recharge_failed', occasion, accountId, data: { reason } }, nowMs, tx)
  return true
}

async function turn(
  tx: Tx,
  accountId: string,
  { state, reason, declines }: Consequence,
  mark: string | null,
  dueMs: number,
  nowMs: number,
): Promise<void> {
  await tx.query(sql['turn-recharge'], [
    ...[accountId, state, reason, declines, mark, new Date(dueMs), new Date(nowMs)],
  ])
}

/** Stripe has the payment and it is not over: nothing else is started meanwhile. */
export async function openAttempt(
  tx: Tx,
  attempt: Attempt,
  paymentIntent: string,
  nowMs: number,
): Promise<boolean> {
  const again = new Date(nowMs + RECHARGE_OPEN_LOOK_MS)
  const params = [attempt.id, paymentIntent, new Date(nowMs), again]
  return (await tx.query(sql['open-attempt'], params)).length > 0
}

/** Off until a person turns it on. Answers whether it was not. */
export async function turnOff(
  tx: Tx,
  accountId: string,
  reason: string,
  nowMs: number,
): Promise<boolean> {
  const rows = await tx.query(sql['turn-off'], [accountId, reason, new Date(nowMs)])
  return rows.length > 0
}

/**
 * Off until the operator turns it on, also where the customer sets it up only later. Once for a
 * warning: what an operator decided since stands.
 */
export async function turnOffWarned(
  tx: Tx,
  accountId: string,
  warning: string,
  nowMs: number,
): Promise<void> {
  const now = new Date(nowMs)
  const isNew = (await tx.query(sql['note-warning'], [warning, accountId, now])).length > 0
  if (isNew) await tx.query(sql['turn-off-warned'], [accountId, now])
}

/** Whether an account still wants what was planned for it. Its row is locked by this. */
export async function lockWanted(
  tx: Tx,
  accountId: string,
): Promise<{
  readonly isWanted: boolean
  readonly recharge: Recharge
  readonly customerId: string | null
}> {
  const [row] = await tx.query(sql['lock-recharge'], [accountId])
  if (row === undefined) throw new Error('unreachable: an attempt has a recharge')
  const recharge = rechargeRow.parse(row)
  const { state, thresholdMicros } = recharge
  const isLow = thresholdMicros !== null && numberOf(row, 'posted_micros') < thresholdMicros
  const isOpen = row.account_status === 'active' && !flagOf(row, 'is_blocked')
  const isWanted = state === 'on' && isOpen && !flagOf(row, 'is_disputed') && isLow
  return { isWanted, recharge, customerId: orNull(row, 'stripe_customer_id', textOf) }
}
