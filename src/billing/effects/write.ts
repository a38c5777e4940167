import { z } from 'zod'
import { micros } from '../../kernel/money.ts'
import type { Ids } from '../../kernel/ids.ts'
import { settleSales, type Sale } from '../../ledger/sale.ts'
import type { Tx } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'
import type { Findings, Judged } from '../findings.ts'
import type { RechargeEnd } from '../hooks.ts'
import type { Tell } from '../tell.ts'
import { PAID_TOO_LATE, type Decision, type SaleItem } from './decide.ts'
import { writeDisputes, type DisputeWriter } from './disputes.ts'
import type { PaymentFacts } from './facts.ts'
import { issueKeys } from './keys.ts'
import { takenBack, type MoneyBack } from './share.ts'
import { tellGranted, type GrantedSale } from './tell-granted.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), [
  'insert-sales',
  'read-sales',
  'note-payment',
])

const saleRow = z
  .object({
    key: z.string(),
    account_id: z.string(),
    item_kind: z.enum(['pack', 'plan']),
    item_id: z.string(),
    kind: z.enum(['included', 'paid']),
    micros: z.number().transform(micros),
    expires_at: z.number().nullable(),
  })
  .transform((row): SaleItem & { accountId: string } => ({
    key: row.key,
    accountId: row.account_id,
    itemKind: row.item_kind,
    itemId: row.item_id,
    kind: row.kind,
    micros: row.micros,
    expiresAtMs: row.expires_at,
  }))

export type StoredSale = z.infer<typeof saleRow>

/** What a payment was found to grant; once it did, that stands. */
export async function readSales(tx: Tx, paymentId: string): Promise<readonly StoredSale[]> {
  return (await tx.query(sql['read-sales'], [paymentId])).map((row) => saleRow.parse(row))
}

const priorityOf = { included: -10, paid: 0 } as const

const saleOf = (item: SaleItem, back: MoneyBack): Sale => ({
  key: item.key,
  lot: {
    micros: item.micros,
    kind: item.kind,
    priority: priorityOf[item.kind],
    expiresAtMs: item.expiresAtMs,
    reason: `${item.itemKind} ${item.itemId}`,
  },
  ...takenBack(item.micros, back),
})

const toRow = (paymentId: string, accountId: string, item: SaleItem) => ({
  key: item.key,
  payment_id: paymentId,
  account_id: accountId,
  item_kind: item.itemKind,
  item_id: item.itemId,
  kind: item.kind,
  micros: item.micros,
  expires_at: item.expiresAtMs === null ? null : new Date(item.expiresAtMs).toISOString(),
  subscription_id: item.subscriptionId ?? null,
})

export interface Written {
  readonly outcome: string
  /** To be loaded into the credit engine after the commit. */
  readonly accounts: readonly string[]
  /** When what was granted just now had been paid, Unix ms; null = nothing was granted. */
  readonly grantedOfMs: number | null
  /** Something was paid that could not be granted. */
  readonly isStuck: boolean
  /** Granted less taken back. Absent = nothing was. */
  readonly movedMicros?: number
  /** An attempt to recharge that ended by it; absent = none did. */
  readonly recharge?: RechargeEnd
}

export interface WriteDeps extends DisputeWriter {
  readonly ids: Ids
  readonly findings: Findings
  /** Absent = nobody is told. */
  readonly tell?: Tell
}

/** What is looked for at every payment, and at the invoice that stands for one. */
const KINDS = [
  ...['stripe_amount_differs', 'stripe_no_account'],
  ...['stripe_invoice_overpaid', 'stripe_invoice_not_finalised'],
]

const judgedOf = ({ id }: PaymentFacts, { judged = [] }: Decision): readonly Judged[] => [
  ...KINDS.map((kind) => ({ kind, subject: id })),
  ...judged,
]

/** Brings ledger, sales and disputes to what was seen of a payment, in one transaction. */
export async function writePayment(
  tx: Tx,
  deps: WriteDeps,
  payment: PaymentFacts,
  decision: Decision,
  nowMs: number,
): Promise<Written> {
  await deps.findings.settle(judgedOf(payment, decision), decision.findings, tx)
  const { accountId, sales, why } = decision
  // What was granted and ended at once is told, and is granted all the same.
  const isStuck = decision.findings.some(
    ({ severity, kind }) => severity === 'urgent' && kind !== PAID_TOO_LATE,
  )
  if (accountId === null) {
    return { outcome: why, accounts: [], grantedOfMs: null, isStuck }
  }
  const stored = await noteSales(tx, payment, accountId, sales, nowMs)
  const { taken, granted, moved, changed } = await settle(tx, deps, stored, payment, nowMs)
  for (const [id, sales] of Map.groupBy(granted, (sale) => sale.accountId)) {
    if (deps.tell !== undefined) await tellGranted(tx, deps.tell, id, sales, nowMs)
  }
  await issueKeys(tx, deps, { ...payment, accountId, moved }, decision.keys ?? [], nowMs)
  const of = { accountId, paymentId: payment.id }
  const isFrozen = await writeDisputes(tx, deps, of, payment.disputes, nowMs)
  return {
    outcome: `${why}: ${granted.length} granted, ${taken} micros taken back`,
    accounts: [...new Set([...changed, ...(isFrozen ? [accountId] : [])])],
    grantedOfMs: granted.length > 0 ? payment.paidAtMs : null,
    isStuck,
    movedMicros: granted.reduce((sum, sale) => sum + sale.micros, 0) - taken,
  }
}

/** Keeps what is granted and the payment behind it; answers all that the payment ever granted. */
async function noteSales(
  tx: Tx,
  payment: PaymentFacts,
  accountId: string,
  sales: readonly SaleItem[],
  nowMs: number,
): Promise<readonly StoredSale[]> {
  const now = new Date(nowMs)
  const rows = JSON.stringify(sales.map((item) => toRow(payment.id, accountId, item)))
  await tx.query(sql['insert-sales'], [rows, now])
  const stored = await readSales(tx, payment.id)
  if (stored.length === 0) return stored
  await tx.query(sql['note-payment'], [
    ...[payment.id, accountId, payment.currency, payment.paid],
    ...[payment.refunded, payment.withdrawn, new Date(payment.paidAtMs), now],
  ])
  return stored
}

/** By account in id order, so that no two looks wait for each other in a circle. */
async function settle(
  tx: Tx,
  deps: WriteDeps,
  stored: readonly StoredSale[],
  payment: PaymentFacts,
  nowMs: number,
) {
  const byAccount = Map.groupBy(stored, (sale) => sale.accountId)
  let taken = 0
  const granted: (GrantedSale & { readonly accountId: string })[] = []
  const moved = new Set<string>()
  const changed: string[] = []
  for (const id of [...byAccount.keys()].toSorted()) {
    const sales = (byAccount.get(id) ?? []).map((item) => saleOf(item, payment))
    const context = { nowMs, newId: () => deps.ids.uuid() }
    const settled = (await settleSales(tx, id, sales, context)) ?? []
    for (const one of settled) {
      const { takenMicros } = one
      taken += takenMicros
      const item = one.granted ? stored.find(({ key }) => key === one.key) : undefined
      if (item !== undefined) granted.push({ ...item, takenMicros })
      if (one.granted || takenMicros < 0) moved.add(one.key)
      if (one.granted || takenMicros !== 0) changed.push(id)
    }
  }
  return { taken, granted, moved, changed }
}
