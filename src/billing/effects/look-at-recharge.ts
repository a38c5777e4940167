import { decideRecharge, endingOf } from '../recharge/decide.ts'
import { endAttempt, openAttempt, rechargeEnd, turnOff } from '../recharge/end.ts'
import type { RechargeFacts, RechargeReader } from '../recharge/read.ts'
import type { Attempt } from '../recharge/rows.ts'
import { findAttempt, noteIntent, renewCard, saveMethod } from '../recharge/store.ts'
import type { RechargeEnd } from '../hooks.ts'
import type { Tell } from '../tell.ts'
import type { Tx } from '../../store/db.ts'
import type { Look } from './look.ts'
import { accountOfCustomer, none, withStored, type LooksDeps } from './looks.ts'
import { readSales, writePayment, type Written } from './write.ts'

export interface RechargeLooksDeps extends LooksDeps {
  readonly recharges: RechargeReader
  readonly tell: Tell
}

/** What of an attempt is to be noted of its payment as it is now. */
async function writeAttempt(
  tx: Tx,
  deps: RechargeLooksDeps,
  attempt: Attempt,
  payment: RechargeFacts,
  isGranted: boolean,
  nowMs: number,
): Promise<RechargeEnd | null> {
  // A second payment that names this attempt decides nothing about the first.
  if (attempt.paymentIntent !== null && attempt.paymentIntent !== payment.id) {
    if (payment.isPaid) await turnOff(tx, attempt.accountId, 'amount_differs', nowMs)
    return null
  }
  const ending = endingOf(payment, isGranted)
  if (ending !== null) {
    const paid = { ...ending, paymentIntent: payment.id }
    const isEnded = await endAttempt(tx, deps.tell, attempt, paid, nowMs)
    return isEnded ? rechargeEnd(ending, attempt) : null
  }
  const isNew = await openAttempt(tx, attempt, payment.id, nowMs)
  if (!isNew || payment.actionUrl === null) return null
  const occasion = `recharge_action:${attempt.id}`
  const { accountId } = attempt
  const data = { url: payment.actionUrl }
  await deps.tell({ kind: 'authentication_required', occasion, accountId, data }, nowMs, tx)
  return null
}

/** The payment of an attempt: grants once when it is paid, takes back what went back. */
async function lookAtCharge(
  deps: RechargeLooksDeps,
  id: string,
  attemptId: string,
): Promise<Look<Written>> {
  const { db, recharges, catalogue } = deps
  const payment = await recharges.charge(id)
  const attempt = await findAttempt(db, { id: attemptId })
  if (attempt === null) return { write: () => Promise.resolve(none('of no attempt')) }
  const decision = withStored(await readSales(db, id), decideRecharge(attempt, payment))
  const policy = catalogue().policies.dispute
  return {
    async write(tx, nowMs) {
      const written = await writePayment(tx, { ...deps, policy }, payment, decision, nowMs)
      await noteIntent(tx, attempt.id, payment.id, nowMs)
      const isGranted = decision.sales.length > 0
      const recharge = await writeAttempt(tx, deps, attempt, payment, isGranted, nowMs)
      return recharge === null ? written : { ...written, recharge }
    },
  }
}

/** The card that a customer set up on a page of ours. */
async function lookAtSetup(deps: RechargeLooksDeps, id: string): Promise<Look<Written>> {
  const { db, recharges } = deps
  const setup = await recharges.setup(id)
  const { accountId, paymentMethod, isReady, createdMs, customer } = setup
  const owner = await accountOfCustomer(db, customer)
  // The account is the customer's own, whatever the metadata says.
  if (accountId === null || owner !== accountId || !isReady || paymentMethod === null) {
    return { write: () => Promise.resolve(none('no card was set up for a recharge')) }
  }
  const card = await recharges.card(paymentMethod)
  return {
    async write(tx, nowMs) {
      if (card?.customer !== customer) return none('the card is gone')
      const isLatest = await saveMethod(tx, accountId, paymentMethod, createdMs, nowMs)
      if (isLatest) await renewCard(tx, accountId, card.mark, nowMs)
      return none('card set up for recharges')
    },
  }
}

export const makeRechargeLooks = (deps: RechargeLooksDeps) => ({
  recharge: (id: string, attempt: string) => lookAtCharge(deps, id, attempt),
  setup: (id: string) => lookAtSetup(deps, id),
})
