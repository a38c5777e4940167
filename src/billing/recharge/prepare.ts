import type { Clock } from '../../kernel/clock.ts'
import type { Db, Tx } from '../../store/db.ts'
import { numberOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import { monthOf, type Failure } from './consequence.ts'
import type { Finding, Findings } from '../findings.ts'
import type { BillingHooks, RechargeEnd } from '../hooks.ts'
import type { Tell } from '../tell.ts'
import { endAttempt, lockWanted, rechargeEnd } from './end.ts'
import type { CardFacts, RechargeReader } from './read.ts'
import { attemptRow, type Attempt, type Recharge } from './rows.ts'
import { readRecharge } from './store.ts'
import type { Accounts } from '../../access/accounts.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['call-attempt', 'spent-in-month'])

export interface PrepareDeps {
  readonly db: Db
  readonly reader: RechargeReader
  readonly accounts: Pick<Accounts, 'read'>
  readonly tell: Tell
  readonly findings: Findings
  readonly hooks: Pick<BillingHooks, 'recharged'>
  readonly clock: Clock
}

interface Charge {
  readonly customer: string
  readonly card: CardFacts
  readonly amount: number
  readonly currency: string
}

const no = (kind: Failure['kind'], detail: string): Failure => ({ kind, detail })

/** What is to be charged, and whom; or why nothing can be. */
async function chargeOf(
  { reader, accounts }: PrepareDeps,
  attempt: Attempt,
  chosen: string | null,
): Promise<Charge | Failure> {
  const customer = (await accounts.read(attempt.accountId))?.stripeCustomerId ?? null
  if (customer === null) return no('no_payment_method', 'no customer')
  const [known, price] = await Promise.all([
    reader.customer(customer),
    reader.price(attempt.stripePrice),
  ])
  if (known === null) return no('customer_deleted', customer)
  const method = chosen ?? known.defaultMethod
  if (method === null) return no('no_payment_method', 'no default payment method')
  const card = await reader.card(method)
  if (card?.customer !== customer) {
    return no(chosen === null ? 'no_payment_method' : 'payment_method_detached', method)
  }
  const { amount, currency } = price
  if (amount === null || amount <= 0) return no('refused', `price ${attempt.stripePrice}`)
  return { customer, card, amount, currency }
}

/** Why what was planned is not to be charged after all; null = it is. */
async function objection(
  tx: Tx,
  attempt: Attempt,
  recharge: Recharge,
  { amount, currency }: Charge,
  nowMs: number,
): Promise<Failure | null> {
  if (recharge.currency !== currency) return no('refused', `the pack now costs ${currency}`)
  if (attempt.month !== monthOf(nowMs)) return no('not_needed', 'planned in another month')
  if (recharge.monthlyAmount === null) return null
  const params = [attempt.accountId, attempt.month, attempt.id]
  const [row] = await tx.query(sql['spent-in-month'], params)
  const spent = row === undefined ? 0 : numberOf(row, 'amount')
  return spent + amount > recharge.monthlyAmount ? no('capped', `${spent} ${currency}`) : null
}

/** Not the card's fault but the operator's or Stripe's: a person has to look. */
export const refusedFinding = ({ id, accountId, packId }: Attempt, detail: string): Finding => ({
  kind: 'recharge_refused',
  severity: 'review',
  subject: accountId,
  evidence: { attempt: id, pack: packId, detail },
})

interface Planned {
  readonly attempt: Attempt
  readonly charge: Charge | Failure
  /** The card that was chosen when the charge was read. */
  readonly chosen: string | null
}

/** Why nothing is charged; null = it is. */
async function reasonNot(
  tx: Tx,
  { attempt, charge, chosen }: Planned,
  nowMs: number,
): Promise<Failure | null> {
  const { isWanted, recharge } = await lockWanted(tx, attempt.accountId)
  if (!isWanted) return no('not_needed', 'before Stripe was asked')
  if ('kind' in charge) return charge
  if (recharge.paymentMethod !== chosen) return no('not_needed', 'another card was chosen')
  return objection(tx, attempt, recharge, charge, nowMs)
}

async function endUncalled(
  tx: Tx,
  { tell, findings }: PrepareDeps,
  attempt: Attempt,
  failure: Failure,
  nowMs: number,
): Promise<RechargeEnd | null> {
  const isCanceled = failure.kind === 'not_needed' || failure.kind === 'capped'
  const ending = { state: isCanceled ? 'canceled' : 'failed', failure } as const
  if (!(await endAttempt(tx, tell, attempt, ending, nowMs))) return null
  if (failure.kind === 'refused') {
    await findings.note(refusedFinding(attempt, failure.detail), tx)
  }
  return rechargeEnd(ending, attempt)
}

/**
 * Fixes what Stripe will be asked for and commits it: from here on whoever goes on with the attempt
 * asks for the same under the same key. null = there is nothing to ask for, or somebody else does.
 * Source: design §7 (planned first).
 */
export async function prepareAttempt(deps: PrepareDeps, attempt: Attempt): Promise<Attempt | null> {
  const { db, clock } = deps
  const chosen = (await readRecharge(db, attempt.accountId))?.paymentMethod ?? null
  const charge = await chargeOf(deps, attempt, chosen)
  const prepared = await db.tx(async (tx) => {
    const nowMs = clock.now()
    const failure = await reasonNot(tx, { attempt, charge, chosen }, nowMs)
    if (failure !== null || 'kind' in charge) {
      const why = failure ?? no('not_needed', '')
      return { attempt: null, ended: await endUncalled(tx, deps, attempt, why, nowMs) }
    }
    const { customer, card, amount, currency } = charge
    const [row] = await tx.query(sql['call-attempt'], [
      ...[attempt.id, attempt.lease, customer, card.id, card.mark, amount, currency],
      new Date(nowMs),
    ])
    return { attempt: row === undefined ? null : attemptRow.parse(row), ended: null }
  })
  if (prepared.ended !== null) deps.hooks.recharged(prepared.ended)
  return prepared.attempt
}
