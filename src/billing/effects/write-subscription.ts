import { followItem } from '../../access/claims/issue.ts'
import type { Tx } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'
import { unknownPrice } from './decide.ts'
import { purchaseOfPlan } from './keys.ts'
import type { LooksDeps } from './looks.ts'
import type { SubscriptionFacts } from './read-invoice.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), ['note-subscription'])

const dateOf = (ms: number | null | undefined): Date | null => (ms == null ? null : new Date(ms))

/**
 * Keeps a subscription as it was just seen, and what follows for its account. In the transaction of
 * the look. A price that no plan has leaves the plan as it was, and is told. Answers whether the
 * account must be loaded. Source: stripe.md §3 (customer.subscription.updated).
 */
export async function writeSubscription(
  tx: Tx,
  deps: Pick<LooksDeps, 'catalogue' | 'findings' | 'entitle' | 'ids'>,
  it: SubscriptionFacts,
  accountId: string,
  nowMs: number,
): Promise<boolean> {
  const catalogue = deps.catalogue()
  const licensed = it.items.filter(({ isMetered }) => !isMetered)
  // A plan without a base fee is sold by its metered price alone.
  const item =
    [...licensed, ...it.items].find(({ price }) => catalogue.planOf(price) !== null) ?? licensed[0]
  const plan = item === undefined ? null : catalogue.planOf(item.price)
  await tx.query(sql['note-subscription'], [
    ...[it.id, accountId, it.customer, plan?.id ?? null, item?.price ?? null],
    ...[item?.quantity ?? 0, it.status, dateOf(item?.periodStartMs), dateOf(item?.periodEndMs)],
    ...[dateOf(it.trialEndMs), dateOf(it.cancelAtMs), it.cancelAtPeriodEnd],
    ...[dateOf(it.endedAtMs), it.isCollectionPaused, it.latestInvoice],
    ...[new Date(it.startedAtMs), new Date(nowMs)],
    ...[it.invoiceStatus, dateOf(it.owedSinceMs), it.payUrl],
  ])
  if (item !== undefined) {
    const unknown = unknownPrice(item.price, { subscription: it.id })
    await deps.findings.settle([unknown], plan === null ? [unknown] : [], tx)
  }
  if (plan !== null) {
    const to = { purchase: purchaseOfPlan(it.id), itemId: plan.id, limits: plan.issue_key ?? null }
    await followItem(tx, deps.ids, to, nowMs)
  }
  return (await deps.entitle?.(tx, accountId, nowMs)) ?? false
}
