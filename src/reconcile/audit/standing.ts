import { microsInMinor } from './values.ts'

/** What is paid, in micro-units of the currency, for each interval. */
export interface Money {
  readonly micros: number
  /** '' = the export does not say. */
  readonly currency: string
  readonly interval: string
}

/** A subscription as Stripe exported it. */
export interface Subscription {
  readonly id: string
  readonly status: string
  readonly plan: string
  /** Of one interval, quantity included. null = the export does not say. */
  readonly money: Money | null
  /** Unix s: small integers, of which 200 000 take no memory of their own. */
  readonly periodStartS: number | null
  readonly periodEndS: number | null
}

/**
 * What a customer may have by their subscriptions: `paid` and `trial` must have access; `grace`
 * (payment is being tried again) and `paid_through` (ended, the period is not over) may; `unpaid`
 * and `none` must not; `unknown` is for a person.
 */
export type Standing = 'paid' | 'trial' | 'grace' | 'paid_through' | 'unpaid' | 'none' | 'unknown'

/** Best first: one that is in force rules over all that ended. Source: design §7. */
const RANK: readonly string[] = [
  ...['active', 'trialing', 'past_due', 'unpaid', 'paused', 'canceled', 'incomplete'],
  'incomplete_expired',
]

const rankOf = (status: string): number => {
  const rank = RANK.indexOf(status)
  return rank === -1 ? RANK.length : rank
}

export const isKnownStatus = (status: string): boolean => RANK.includes(status)

/** Best subscription first; of equals the one whose period ends last, then by id. */
export function ranked(subscriptions: readonly Subscription[]): readonly Subscription[] {
  return [...subscriptions].sort(
    (a, b) =>
      rankOf(a.status) - rankOf(b.status) ||
      (b.periodEndS ?? 0) - (a.periodEndS ?? 0) ||
      (a.id < b.id ? -1 : 1),
  )
}

const IN_FORCE = new Set(['active', 'trialing', 'past_due'])

/** Those that are being paid or will be. */
export const inForce = (subscriptions: readonly Subscription[]): readonly Subscription[] =>
  subscriptions.filter(({ status }) => IN_FORCE.has(status))

export interface Moment {
  readonly nowMs: number
  readonly graceMs: number
}

/** What one subscription gives right to. */
function standingOf({ status, ...period }: Subscription, at: Moment): Standing {
  switch (status) {
    case 'active':
      return 'paid'
    case 'trialing':
      return 'trial'
    case 'past_due': {
      // The period that is not paid began when its invoice was made.
      const { periodStartS } = period
      const isOver = periodStartS !== null && at.nowMs > periodStartS * 1000 + at.graceMs
      return isOver ? 'unpaid' : 'grace'
    }
    case 'canceled': {
      const { periodEndS } = period
      return periodEndS !== null && periodEndS * 1000 > at.nowMs ? 'paid_through' : 'none'
    }
    case 'unpaid':
    case 'paused':
    case 'incomplete':
    case 'incomplete_expired':
      return 'unpaid'
    default:
      return 'unknown'
  }
}

const WORTH: readonly Standing[] = [
  ...(['paid', 'trial', 'grace', 'paid_through', 'unknown', 'unpaid', 'none'] as const),
]

/** What all subscriptions of a customer give right to together: the best of them. */
export function standingOfAll(subscriptions: readonly Subscription[], at: Moment): Standing {
  const all = subscriptions.map((one) => WORTH.indexOf(standingOf(one, at)))
  return WORTH[Math.min(...all, WORTH.length - 1)] ?? 'none'
}

/** Σ of what several subscriptions cost, where it is of one currency and interval; else null. */
export function total(subscriptions: readonly Subscription[]): Money | null {
  const moneys = subscriptions.map(({ money }) => money).filter((money) => money !== null)
  const [first] = moneys
  if (first === undefined || moneys.length < subscriptions.length) return null
  const { currency, interval } = first
  const isOne = moneys.every((one) => one.currency === currency && one.interval === interval)
  const micros = moneys.reduce((sum, one) => sum + one.micros, 0)
  return isOne ? { micros, currency, interval } : null
}

/** Two items of one subscription: null where they cannot be added. */
export function sumOf(a: Money | null, b: Money | null): Money | null {
  if (a === null || b === null) return a ?? b
  const isOne = a.currency === b.currency && a.interval === b.interval
  return isOne ? { ...a, micros: a.micros + b.micros } : null
}

/** Money of a row: an amount in whole units, or one in the smallest, times the quantity. */
export function moneyOf(
  amount: { readonly micros: number | null; readonly minor: number | null },
  quantity: number,
  { currency, interval }: { readonly currency: string; readonly interval: string },
): Money | null {
  const one =
    amount.micros ?? (amount.minor === null ? null : amount.minor * microsInMinor(currency))
  if (one === null) return null
  const micros = one * quantity
  return Number.isSafeInteger(micros) ? { micros, currency, interval } : null
}
