import { writeAudit } from '../../access/audit.ts'
import { loadSql } from '../../store/sql.ts'
import { turnOff } from '../recharge/end.ts'
import type { CardFacts } from '../recharge/read.ts'
import { accountsOfMethod, readRecharge, renewCard } from '../recharge/store.ts'
import type { Look } from './look.ts'
import type { RechargeLooksDeps } from './look-at-recharge.ts'
import { accountOfCustomer, none } from './looks.ts'
import type { Written } from './write.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), ['freeze-account'])

const NOTHING: Look<Written> = { write: () => Promise.resolve(none('nothing to do')) }

/**
 * An account whose customer is gone from Stripe can buy nothing and be billed for nothing: it is
 * frozen and told, its ledger stays. Source: stripe.md §3 (customer.deleted).
 */
function gone(deps: RechargeLooksDeps, id: string, accountId: string): Look<Written> {
  const { findings, ids } = deps
  return {
    async write(tx, nowMs) {
      const reason = `customer ${id} deleted`
      const evidence = { account_id: accountId }
      const finding = { kind: 'stripe_customer_deleted', severity: 'review', subject: id } as const
      await findings.note({ ...finding, evidence }, tx)
      const rows = await tx.query(sql['freeze-account'], [accountId, reason, new Date(nowMs)])
      await turnOff(tx, accountId, 'customer_deleted', nowMs)
      if (rows.length === 0) return none(reason)
      const action = { actor: 'stripe', action: 'account.freeze', subject: accountId }
      await writeAudit(tx, ids, { ...action, detail: { customer: id } }, nowMs)
      return { ...none(reason), accounts: [accountId] }
    },
  }
}

/** The card that a recharge would charge now; null = there is none. */
async function cardOf(
  { recharges }: RechargeLooksDeps,
  customer: string,
  chosen: string | null,
): Promise<CardFacts | null> {
  const method = chosen ?? (await recharges.customer(customer))?.defaultMethod ?? null
  const card = method === null ? null : await recharges.card(method)
  return card?.customer === customer ? card : null
}

/**
 * A declined recharge goes on with another card, or with the same one renewed, and tries it once.
 * Whatever event said so, and however often: what counts is that the card differs from the one
 * that was declined. Source: stripe.md §3 (payment_method.*, customer.updated).
 */
async function lookAtCard(
  deps: RechargeLooksDeps,
  customer: string,
  accountId: string,
): Promise<Look<Written>> {
  const recharge = await readRecharge(deps.db, accountId)
  const isWaiting =
    recharge?.state === 'blocked' || (recharge?.state === 'on' && recharge.declines > 0)
  if (!isWaiting) return NOTHING
  const card = await cardOf(deps, customer, recharge.paymentMethod)
  if (card === null) return NOTHING
  return {
    async write(tx, nowMs) {
      const isNew = await renewCard(tx, accountId, card.mark, nowMs)
      return none(isNew ? 'another card: the recharge is tried once more' : 'the same card')
    },
  }
}

async function lookAtCustomer(deps: RechargeLooksDeps, id: string): Promise<Look<Written>> {
  const accountId = await accountOfCustomer(deps.db, id)
  if (accountId === null) return NOTHING
  const isGone = await deps.reader.isCustomerDeleted(id)
  return isGone ? gone(deps, id, accountId) : lookAtCard(deps, id, accountId)
}

async function lookAtMethod(deps: RechargeLooksDeps, id: string): Promise<Look<Written>> {
  const { db, recharges } = deps
  const customer = (await recharges.card(id))?.customer ?? null
  if (customer === null) {
    return {
      async write(tx, nowMs) {
        for (const accountId of await accountsOfMethod(tx, id)) {
          await turnOff(tx, accountId, 'payment_method_detached', nowMs)
        }
        return none('the card is nobody’s')
      },
    }
  }
  const accountId = await accountOfCustomer(db, customer)
  return accountId === null ? NOTHING : lookAtCard(deps, customer, accountId)
}

export const makeCardLooks = (deps: RechargeLooksDeps) => ({
  customer: (id: string) => lookAtCustomer(deps, id),
  method: (id: string) => lookAtMethod(deps, id),
})
