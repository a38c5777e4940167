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
 * Who fell below the threshold or to nothing by a batch of charges. The occasion lacks the credits
 * that were used: with them it is one for each time that new ones came. See insert-balance-notice.
 */
export function balanceNotices(
  postings: readonly Posted[],
  { low_balance_credits: threshold }: Pick<NotifyConfig, 'low_balance_credits'>,
): Notice[] {
  return passedOf(postings).flatMap(({ account, before, after }): Notice[] => {
    const available = formatCredits(after)
    const { id: accountId } = account
    if (before > 0 && after <= 0) {
      const occasion = `balance_exhausted:${accountId}`
      return [{ accountId, kind: 'balance_exhausted', occasion, data: { available } }]
    }
    if (threshold === undefined || before < threshold || after >= threshold) return []
    const data = { available, threshold: formatCredits(threshold) }
    const occasion = `low_balance:${accountId}:${data.threshold}`
    return [{ accountId, kind: 'low_balance', occasion, data }]
  })
}
