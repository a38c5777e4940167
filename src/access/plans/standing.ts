import { TRIAL_NOTICE_MS } from '../../kernel/limits/stripe.ts'
import type { PlanBook } from './book.ts'

/** A subscription as it was last seen. Times in Unix ms. */
export interface SubscriptionState {
  readonly id: string
  /** A plan of ours. */
  readonly planId: string
  readonly status: string
  readonly periodStartMs: number | null
  readonly periodEndMs: number | null
  readonly cancelAtMs: number | null
  /** It is over for good. */
  readonly endedAtMs: number | null
  readonly isCollectionPaused: boolean
  /** Of the invoice of the running period; null = there is none. */
  readonly invoiceStatus: string | null
  /** Since when the oldest unpaid invoice is owed; null = none is. */
  readonly owedSinceMs: number | null
  readonly startedAtMs: number
}

/**
 * What a subscription gives. pending: its first payment is open. downgraded: unpaid after grace.
 * over: ended, or outlived. void: it never began.
 */
export type Standing =
  'active' | 'trialing' | 'grace' | 'downgraded' | 'suspended' | 'pending' | 'over' | 'void'

export type Rung = 'warned' | 'reminded' | 'downgraded' | 'suspended'

/** From a moment on, until the next phase. */
export interface Phase {
  readonly fromMs: number
  readonly standing: Standing
  readonly rung: Rung | null
}

const always = (standing: Standing, rung: Rung | null = null): Phase => ({
  fromMs: -Infinity,
  standing,
  rung,
})

const WRITTEN_OFF = /^(void|uncollectible)$/

/** The ladder, from the day on which the oldest unpaid invoice was due. */
function ladder(it: SubscriptionState, book: PlanBook): Phase[] {
  const sinceMs = it.owedSinceMs ?? it.periodStartMs ?? it.startedAtMs
  const isWrittenOff = it.invoiceStatus !== null && WRITTEN_OFF.test(it.invoiceStatus)
  const suspended: Phase = {
    ...{ fromMs: sinceMs + book.suspend_ms, standing: 'suspended', rung: 'suspended' },
  }
  if (it.status === 'unpaid' || isWrittenOff) return [always('downgraded', 'downgraded'), suspended]
  return [
    always('grace', 'warned'),
    { fromMs: sinceMs + book.remind_ms, standing: 'grace', rung: 'reminded' },
    { fromMs: sinceMs + book.downgrade_ms, standing: 'downgraded', rung: 'downgraded' },
    suspended,
  ]
}

/** What is paid lasts so long, and a while more: news of the next period may be late. */
export function paidThrough(it: SubscriptionState): number | null {
  const isUnpaid = it.isCollectionPaused && ![null, 'paid'].includes(it.invoiceStatus)
  const ends = [isUnpaid ? it.periodStartMs : null, it.periodEndMs, it.cancelAtMs]
  const known = ends.filter((end) => end !== null)
  return known.length === 0 ? null : Math.min(...known)
}

/** When the trial that a subscription is on ends; null = it has none, or it stands still. */
export function trialEnd(it: SubscriptionState): number | null {
  if (it.status !== 'trialing' || it.isCollectionPaused || it.periodEndMs === null) return null
  return Math.min(it.periodEndMs, it.cancelAtMs ?? it.periodEndMs)
}

/** Nothing changes when a trial is about to end, but it is told. */
function soonOver(it: SubscriptionState): Phase[] {
  const endMs = trialEnd(it)
  if (endMs === null) return []
  return [{ fromMs: endMs - TRIAL_NOTICE_MS, standing: 'trialing', rung: null }]
}

/** A subscription that Stripe says is good, until what was paid is over. */
function good(it: SubscriptionState, book: PlanBook): Phase[] {
  if (it.isCollectionPaused && book.pause_collection === 'suspend') return [always('suspended')]
  const standing = it.status === 'trialing' ? 'trialing' : 'active'
  const isWrittenOff = it.invoiceStatus !== null && WRITTEN_OFF.test(it.invoiceStatus)
  const first =
    isWrittenOff && !it.isCollectionPaused ? always('downgraded', 'downgraded') : always(standing)
  const endMs = paidThrough(it)
  if (endMs === null) return [first]
  const after = it.isCollectionPaused ? 'suspended' : 'over'
  const last: Phase = { fromMs: endMs + book.slack_ms, standing: after, rung: null }
  return first.standing === 'trialing' ? [first, ...soonOver(it), last] : [first, last]
}

/**
 * Everything that time alone makes of a subscription, in order of time: what it stands at is the
 * last phase that has begun. An unknown status counts as good until its period ends: to block who
 * paid is worse than to serve who did not. Source: design §7, stripe.md §3.
 */
export function phasesOf(it: SubscriptionState, book: PlanBook): readonly Phase[] {
  if (it.status === 'incomplete_expired') return [always('void')]
  if (it.endedAtMs !== null || it.status === 'canceled') return [always('over')]
  switch (it.status) {
    case 'incomplete':
      return [always('pending')]
    case 'paused':
      return [always('suspended')]
    case 'past_due':
    case 'unpaid':
      return ladder(it, book)
    default:
      return good(it, book)
  }
}

/** What it stands at now, and when that ends by itself; null = never. */
export function standingAt(
  phases: readonly Phase[],
  nowMs: number,
): { readonly phase: Phase; readonly nextMs: number | null } {
  let phase = always('void')
  for (const one of phases) {
    if (one.fromMs > nowMs) return { phase, nextMs: one.fromMs }
    phase = one
  }
  return { phase, nextMs: null }
}
