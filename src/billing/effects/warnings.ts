import type { Tx } from '../../store/db.ts'
import type { Findings } from '../findings.ts'
import { turnOffWarned } from '../recharge/end.ts'
import { accountOfWarned } from '../recharge/store.ts'
import type { Target } from './target.ts'

/** An early fraud warning, read just now. */
export interface WarningFacts {
  readonly id: string
  readonly payment: string | null
  readonly customer: string | null
  readonly actionable: boolean
}

/**
 * Tells of a warning and turns recharges off, once, in the transaction of the look. Of a payment
 * that is of nothing here and of nobody's customer it says nothing: it is another business's.
 */
export async function noteWarning(
  tx: Tx,
  { findings }: { readonly findings: Findings },
  target: Target,
  { id, payment, customer, actionable }: WarningFacts,
  nowMs: number,
): Promise<void> {
  const account = await accountOfWarned(tx, { granting: target.id, payment, customer })
  if (account === null && target.kind === 'warning') return
  const evidence = { account_id: account, payment, actionable }
  const finding = { kind: 'stripe_early_fraud_warning', severity: 'review', subject: id } as const
  // Refunded or disputed it is told by that.
  await findings.settle([finding], actionable ? [{ ...finding, evidence }] : [], tx)
  if (account !== null) await turnOffWarned(tx, account, id, nowMs)
}
