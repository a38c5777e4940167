import { writeAudit } from '../../access/audit.ts'
import type { Ids } from '../../kernel/ids.ts'
import type { Tx } from '../../store/db.ts'
import { loadSql } from '../../store/sql.ts'
import type { Policies } from '../config.ts'
import type { Findings } from '../findings.ts'
import type { DisputeFacts } from './facts.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), [
  'note-dispute',
  'freeze-account',
  'unfreeze-account',
])

/** No money moved, or all of it came back. */
const HARMLESS = /^(warning_\w+|won|prevented)$/
/** Nobody has to do anything about it any more. */
const OVER = /^(warning_closed|won|prevented)$/
const FREEZING = /^(needs_response|under_review|lost|appeal_\w+)$/

/** Whether a dispute keeps its account from reserving; a status of tomorrow does where it took. */
function isFreezing({ status, withdrawn }: DisputeFacts): boolean {
  if (FREEZING.test(status)) return true
  return !HARMLESS.test(status) && withdrawn > 0
}

const REASON = 'dispute '

export interface DisputeWriter {
  readonly findings: Findings
  readonly ids: Ids
  readonly policy: Policies['dispute']
}

/**
 * Keeps the disputes of a payment, and freezes or unfreezes its account where one of them changed
 * its mind: what an operator decided meanwhile stays. In the transaction of the look, after the
 * account was locked. Answers whether the account changed.
 */
export async function writeDisputes(
  tx: Tx,
  deps: DisputeWriter,
  of: { readonly accountId: string; readonly paymentId: string },
  disputes: readonly DisputeFacts[],
  nowMs: number,
): Promise<boolean> {
  const { accountId, paymentId } = of
  let changed = false
  for (const dispute of disputes) {
    const freezes = deps.policy === 'freeze' && isFreezing(dispute)
    const [before] = await tx.query(sql['note-dispute'], [
      ...[dispute.id, paymentId, accountId, dispute.status, dispute.amount, dispute.withdrawn],
      ...[freezes, new Date(nowMs)],
    ])
    await noteDispute(tx, deps, of, dispute)
    const froze = before?.was_freezing === true
    if (freezes === froze) continue
    const moved = freezes
      ? await tx.query(sql['freeze-account'], [accountId, REASON + dispute.id, new Date(nowMs)])
      : await tx.query(sql['unfreeze-account'], [accountId, `${REASON}%`, new Date(nowMs)])
    if (moved.length === 0) continue
    changed = true
    const action = freezes ? 'account.freeze' : 'account.unfreeze'
    const detail = { dispute: dispute.id, status: dispute.status }
    await writeAudit(tx, deps.ids, { actor: 'stripe', action, subject: accountId, detail }, nowMs)
  }
  return changed
}

async function noteDispute(
  tx: Tx,
  { findings }: DisputeWriter,
  of: { readonly accountId: string; readonly paymentId: string },
  { id, status, amount, withdrawn }: DisputeFacts,
): Promise<void> {
  const isInquiry = status.startsWith('warning_')
  const judged = ['stripe_inquiry', 'stripe_dispute'].map((kind) => ({ kind, subject: id }))
  const isOver = OVER.test(status) && withdrawn === 0
  const finding = {
    kind: isInquiry ? 'stripe_inquiry' : 'stripe_dispute',
    severity: isInquiry ? 'info' : 'review',
    subject: id,
    evidence: { account_id: of.accountId, payment: of.paymentId, status, amount, withdrawn },
  } as const
  await findings.settle(judged, isOver ? [] : [finding], tx)
}
