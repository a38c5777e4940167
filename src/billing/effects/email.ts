import { z } from 'zod'
import { writeAudit } from '../../access/audit.ts'
import type { Ids } from '../../kernel/ids.ts'
import type { Tx } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), ['note-email'])

const address = z.email().max(320)

/**
 * Keeps the address that a buyer gave at the checkout, for an account that has none: an address
 * that an operator set stays. In the transaction of the purchase.
 */
export async function noteEmail(
  tx: Tx,
  ids: Ids,
  of: { readonly accountId: string | null; readonly email: string | null },
  nowMs: number,
): Promise<void> {
  const email = address.safeParse(of.email)
  if (of.accountId === null || !email.success) return
  const rows = await tx.query(sql['note-email'], [of.accountId, email.data])
  if (rows.length === 0) return
  const entry = { actor: 'stripe', action: 'account.change', subject: of.accountId }
  await writeAudit(tx, ids, { ...entry, detail: { email: email.data } }, nowMs)
}
