import { formatCredits, micros, type Micros } from '../kernel/money.ts'
import type { Posted } from '../ledger/posting-ledger.ts'
import type { NotifyConfig } from './config.ts'
import type { Notice } from './notice.ts'

interface Passed {
  readonly account: Posted['account']
  /** Posted balance before and after the batch. */
  readonly before: Micros
  readonly after: Micros
}

function passedOf(postings: readonly Posted[]): Passed[] {
  const moved = new Map<string, { account: Posted['account']; delta: number }>()
  for (const { account, deltaMicros } of postings) {
    const known = moved.get(account.id)
    if (known === undefined) moved.set(account.id, { account, delta: deltaMicros })
    else known.delta += deltaMicros
  }
  return [...moved.values()].map(({ account, delta }) => {
    const after = account.postedMicros
    return { account, after, before: micros(after + delta) }
  })
}

/**
 * Who fell below the threshold or to nothing by a batch of charges. Told once each time the
 * balance passes the mark, which it can only do again after new credits.
 */
export function balanceNotices(
  postings: readonly Posted[],
  { low_balance_credits: threshold }: Pick<NotifyConfig, 'low_balance_credits'>,
): Notice[] {
  return passedOf(postings).flatMap(({ account, before, after }): Notice[] => {
    const available = formatCredits(after)
    const facts = { accountId: account.id, occasion: `${account.id}:${account.entrySeq}` }
    if (before > 0 && after <= 0) {
      const occasion = `balance_exhausted:${facts.occasion}`
      return [{ ...facts, kind: 'balance_exhausted', occasion, data: { available } }]
    }
    if (threshold === undefined || before < threshold || after >= threshold) return []
    const occasion = `low_balance:${facts.occasion}`
    const data = { available, threshold: formatCredits(threshold) }
    return [{ ...facts, kind: 'low_balance', occasion, data }]
  })
}
