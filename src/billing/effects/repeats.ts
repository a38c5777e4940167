import { addMicros, maxMicros, subMicros, ZERO } from '../../kernel/money.ts'
import { microsOf, textOf } from '../../store/rows.ts'
import type { Tx } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'
import type { Findings } from '../findings.ts'
import type { Decision, SaleItem } from './decide.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), ['read-same-grants'])

const KIND = 'stripe_plan_granted_again'

/**
 * A smaller plan takes no credits back, so who changes to and fro, and is given the money back for
 * what is left, gathers credits: what one plan granted more than once in a period is told.
 */
export async function judgeRepeats(
  tx: Tx,
  findings: Pick<Findings, 'settle'>,
  { accountId, sales }: Pick<Decision, 'accountId' | 'sales'>,
): Promise<void> {
  if (accountId !== null) for (const sale of sales) await judge(tx, findings, accountId, sale)
}

async function judge(
  tx: Tx,
  findings: Pick<Findings, 'settle'>,
  accountId: string,
  { change, subscriptionId: subscription = null }: SaleItem,
): Promise<void> {
  if (change === undefined || subscription === null) return
  const { item, price, startS, endS } = change
  const rows = await tx.query(sql['read-same-grants'], [subscription, item, price, startS, endS])
  const subject = `${subscription}:${item}:${startS}:${price}`
  const each = rows.map((row) => microsOf(row, 'micros'))
  // The largest of them is what the plan includes; the others came on top.
  const atStakeMicros = subMicros(each.reduce(addMicros, ZERO), each.reduce(maxMicros, ZERO))
  const grants = rows.map((row) => textOf(row, 'key'))
  const evidence = { account_id: accountId, subscription, price, grants }
  const finding = { kind: KIND, severity: 'review', subject, evidence, atStakeMicros } as const
  await findings.settle([{ kind: KIND, subject }], rows.length > 1 ? [finding] : [], tx)
}
