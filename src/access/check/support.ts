import { z } from 'zod'
import { SUPPORT_ROWS_MAX } from '../../kernel/limits/access.ts'
import type { Tx } from '../../store/db.ts'
import { flagOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'payment-pending',
  'last-payments',
  'last-findings',
])

const isoTime = z.number().transform((ms) => new Date(ms).toISOString())

const paymentRow = z.object({
  id: z.string(),
  currency: z.string(),
  paid_amount: z.number(),
  refunded_amount: z.number(),
  withdrawn_amount: z.number(),
  paid_at: isoTime,
})

const findingRow = z.object({
  id: z.string(),
  kind: z.string(),
  severity: z.string(),
  subject: z.string(),
  state: z.string(),
  last_seen: isoTime,
})

/** A purchase whose payment has not come through. */
export async function isPaymentPending(tx: Tx, accountId: string): Promise<boolean> {
  const [row] = await tx.query(sql['payment-pending'], [accountId])
  return row !== undefined && flagOf(row, 'pending')
}

/** What support asks for first: the latest payments and findings. */
export async function readHistory(tx: Tx, accountId: string) {
  const payments = await tx.query(sql['last-payments'], [accountId, SUPPORT_ROWS_MAX])
  const findings = await tx.query(sql['last-findings'], [accountId, SUPPORT_ROWS_MAX])
  return {
    payments: payments.map((row) => paymentRow.parse(row)),
    findings: findings.map((row) => findingRow.parse(row)),
  }
}
