import { TRIAL_NOTICE_MS } from '../../kernel/limits/stripe.ts'
import type { PlanBook } from './book.ts'
import type { Entitlements, Standings } from './resolve.ts'
import type { SubscriptionRow } from './rows.ts'
import { trialEnd, type Rung } from './standing.ts'

/** That an unpaid subscription came to a rung of the ladder. */
export interface RungNotice {
  readonly kind: 'payment_failed'
  readonly accountId: string
  readonly rung: Rung
  /** Unique for good: a rung of one unpaid invoice is told once. */
  readonly occasion: string
  /** Where the invoice can be paid; null = nowhere. */
  readonly url: string | null
}

/** That a trial is about to end. */
export interface TrialNotice {
  readonly kind: 'trial_will_end'
  readonly accountId: string
  /** Unique for good: a trial whose end was moved is told again. */
  readonly occasion: string
  /** For people. */
  readonly plan: string
  readonly endsAtMs: number
  /** What comes then: the plan is paid for, or it ends too. */
  readonly then: 'paid' | 'canceled'
}

export type PlanNotice = RungNotice | TrialNotice

function rungOf(
  accountId: string,
  is: Entitlements,
  { it, rung }: Standings<SubscriptionRow>,
): RungNotice | null {
  if (rung === null) return null
  const isFelt = is.subscriptionId === it.id && is.state === rung
  if ((rung === 'downgraded' || rung === 'suspended') && !isFelt) return null
  const since = it.owedSinceMs ?? it.periodStartMs ?? it.startedAtMs
  const occasion = `payment_failed:${it.id}:${since}:${rung}`
  return { kind: 'payment_failed', accountId, rung, occasion, url: it.payUrl }
}

function trialOf(
  accountId: string,
  { it, standing }: Standings<SubscriptionRow>,
  book: PlanBook,
  nowMs: number,
): TrialNotice | null {
  const endsAtMs = standing === 'trialing' ? trialEnd(it) : null
  if (endsAtMs === null || nowMs < endsAtMs - TRIAL_NOTICE_MS || nowMs >= endsAtMs) return null
  return {
    kind: 'trial_will_end',
    accountId,
    occasion: `trial_will_end:${it.id}:${endsAtMs}`,
    plan: book.plans.get(it.planId)?.name ?? it.planId,
    endsAtMs,
    then: it.cancelAtMs === null || it.cancelAtMs > endsAtMs ? 'paid' : 'canceled',
  }
}

/**
 * What is to be told of subscriptions as they stand now. Of unpaid ones the rung each is on, not
 * those that passed while no process ran; the lower rungs only where they are felt: not where
 * another subscription or an exception gives access. Of trials that they end soon, whether Stripe's
 * event of it came or not.
 */
export function noticesOf(
  accountId: string,
  is: Entitlements,
  ranked: readonly Standings<SubscriptionRow>[],
  of: { readonly book: PlanBook; readonly nowMs: number },
): PlanNotice[] {
  return ranked
    .flatMap((one): (PlanNotice | null)[] => [
      rungOf(accountId, is, one),
      trialOf(accountId, one, of.book, of.nowMs),
    ])
    .filter((notice) => notice !== null)
}
