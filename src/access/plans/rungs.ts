import type { Entitlements, Standings } from './resolve.ts'
import type { SubscriptionRow } from './rows.ts'
import type { Rung } from './standing.ts'

/** That an unpaid subscription came to a rung of the ladder. */
export interface RungNotice {
  readonly accountId: string
  readonly rung: Rung
  /** Unique for good: a rung of one unpaid invoice is told once. */
  readonly occasion: string
  /** Where the invoice can be paid; null = nowhere. */
  readonly url: string | null
}

/**
 * What is to be told of unpaid subscriptions as they stand now: the rung each is on, not those that
 * passed while no process ran. The lower rungs are told only where they are felt: not where another
 * subscription or an exception gives access.
 */
export function rungsOf(
  accountId: string,
  is: Entitlements,
  ranked: readonly Standings<SubscriptionRow>[],
): RungNotice[] {
  return ranked.flatMap(({ it, rung }) => {
    if (rung === null) return []
    const isFelt = is.subscriptionId === it.id && is.state === rung
    if ((rung === 'downgraded' || rung === 'suspended') && !isFelt) return []
    const since = it.owedSinceMs ?? it.periodStartMs ?? it.startedAtMs
    const occasion = `payment_failed:${it.id}:${since}:${rung}`
    return [{ accountId, rung, occasion, url: it.payUrl }]
  })
}
