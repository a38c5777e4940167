import { writeAudit } from '../../access/audit.ts'
import { loadSql } from '../../store/sql.ts'
import type { Look } from './look.ts'
import { accountOfCustomer, none, type LooksDeps } from './looks.ts'
import type { Written } from './write.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), ['freeze-account'])

/**
 * An account whose customer is gone from Stripe can buy nothing and be billed for nothing: it is
 * frozen and told, its ledger stays. Source: stripe/facts.md §3 (customer.deleted).
 */
export async function lookAtCustomer(deps: LooksDeps, id: string): Promise<Look<Written>> {
  const { db, reader, findings, ids } = deps
  const accountId = await accountOfCustomer(db, id)
  const isGone = accountId !== null && (await reader.isCustomerDeleted(id))
  if (!isGone) return { write: () => Promise.resolve(none('nothing to do')) }
  return {
    async write(tx, nowMs) {
      const reason = `customer ${id} deleted`
      const evidence = { account_id: accountId }
      const finding = { kind: 'stripe_customer_deleted', severity: 'review', subject: id } as const
      await findings.note({ ...finding, evidence }, tx)
      const rows = await tx.query(sql['freeze-account'], [accountId, reason, new Date(nowMs)])
      if (rows.length === 0) return none(reason)
      const action = { actor: 'stripe', action: 'account.freeze', subject: accountId }
      await writeAudit(tx, ids, { ...action, detail: { customer: id } }, nowMs)
      return { ...none(reason), accounts: [accountId] }
    },
  }
}
