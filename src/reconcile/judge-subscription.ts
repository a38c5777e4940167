import { z } from 'zod'
import type { SeenSubscription } from '../billing/walk.ts'
import type { Drift } from './drift.ts'

/** What we know of a subscription of Stripe's. */
export const ourSubscription = z.object({
  /** By our row of it, else by its customer. */
  account_id: z.string().nullable(),
  account_status: z.string().nullable(),
  status_reason: z.string().nullable(),
  /** By its customer. */
  customer_account_id: z.string().nullable(),
  /** null = we do not know of it. */
  status: z.string().nullable(),
  plan_id: z.string().nullable(),
  period_end_ms: z.number().nullable(),
  entitled: z.string().nullable(),
  blocked: z.string().nullable(),
  entitled_by: z.string().nullable(),
})
export type OurSubscription = z.infer<typeof ourSubscription>

/** The plan that a price is of; null = of none. */
export type PlanOf = (price: string) => string | null

const PAID = new Set(['active', 'trialing'])
const GOING = new Set([...PAID, 'past_due'])
const OVER = new Set(['canceled', 'unpaid', 'incomplete', 'incomplete_expired', 'paused'])
/** By what it was paid for, or may still be. */
const SERVED = new Set(['active', 'trialing', 'grace'])

/** Whether a subscription gives an account something now. */
export const isServedBy = (
  it: Pick<OurSubscription, 'entitled' | 'blocked' | 'entitled_by'>,
  id: string,
): boolean =>
  it.entitled !== null && SERVED.has(it.entitled) && it.blocked === null && it.entitled_by === id

/** Why an account whose subscription is paid gets nothing; null = it gets what it paid. */
function blockedBy(ours: OurSubscription): string | null {
  if (ours.account_status !== 'active') {
    return `the account is ${ours.account_status ?? 'gone'} (${ours.status_reason ?? 'no reason'})`
  }
  if (ours.blocked !== null) return `blocked: ${ours.blocked}`
  const { entitled } = ours
  const isServed = entitled === 'comped' || (entitled !== null && SERVED.has(entitled))
  return isServed ? null : `entitled to ${entitled ?? 'nothing'}`
}

/** In what our row is not what Stripe says: another look would bring it up to date. */
function staleBy(seen: SeenSubscription, ours: OurSubscription, planOf: PlanOf): string[] {
  if (ours.status !== seen.status) return ['status']
  const ofPlans = seen.items.filter(({ price }) => planOf(price) !== null)
  if (ofPlans.length === 0 || !GOING.has(seen.status)) return []
  const isPlan = ofPlans.some(({ price }) => planOf(price) === ours.plan_id)
  const isPeriod = ofPlans.some(({ periodEndMs }) => periodEndMs === ours.period_end_ms)
  return [...(isPlan ? [] : ['plan']), ...(isPeriod ? [] : ['period'])]
}

const LOOK = { kind: 'look', what: 'subscription' } as const
const AS_IT_IS = { atStakeMicros: null, repair: null } as const

function evidenceOf(seen: SeenSubscription, ours: OurSubscription): Drift['evidence'] {
  return {
    ...{ account_id: ours.account_id, customer: seen.customer, stripe: seen.status },
    ...{ subscription_here: ours.status, entitled: ours.entitled, entitled_by: ours.entitled_by },
    ...{ plan: ours.plan_id, prices: seen.items.map(({ price }) => price) },
    ...{ amount: seen.amount, currency: seen.currency, created_ms: seen.createdMs },
  }
}

/** I4 for a subscription to one of our plans, both directions apart. Pure. */
function judgeSubscription(
  seen: SeenSubscription,
  ours: OurSubscription,
  planOf: PlanOf,
): Drift | null {
  const evidence = evidenceOf(seen, ours)
  const base = { ...AS_IT_IS, subject: seen.id, evidence }
  const isPaid = PAID.has(seen.status) && !seen.isCollectionPaused
  if (ours.account_id === null) {
    if (!isPaid) return null
    const direction = 'paid_but_blocked'
    return { ...base, kind: 'subscription_orphaned', severity: 'urgent', direction }
  }
  const other = ours.customer_account_id
  if (other !== null && other !== ours.account_id && GOING.has(seen.status)) {
    const whose = { ...evidence, account_of_customer: other }
    const kind = 'subscription_ambiguous'
    return { ...base, evidence: whose, kind, severity: 'review', direction: null }
  }
  const stale = staleBy(seen, ours, planOf)
  const repair = stale.length > 0 ? LOOK : null
  const differs = stale.length > 0 ? { differs: stale } : {}
  const blocked = isPaid ? blockedBy(ours) : null
  if (blocked !== null) {
    // Frozen is somebody's decision, and written down; not to know of a payment is ours to mend.
    const severity = ours.account_status === 'active' ? 'urgent' : 'review'
    const told = { ...evidence, ...differs, blocked }
    const kind = 'subscription_blocked'
    return { ...base, evidence: told, kind, severity, direction: 'paid_but_blocked', repair }
  }
  if (OVER.has(seen.status) && isServedBy(ours, seen.id)) {
    const direction = 'unpaid_but_active'
    return { ...base, kind: 'subscription_unpaid', severity: 'review', direction, repair }
  }
  if (repair === null) return null
  const told = { ...evidence, ...differs }
  const kind = 'subscription_differs'
  return { ...base, evidence: told, kind, severity: 'review', direction: null, repair }
}

/**
 * A subscription that is going on at prices that no plan has. One finding each where an account of
 * ours pays it; else one a price: a shop may sell other things with the same Stripe account. Pure.
 */
function judgePrices(seen: SeenSubscription, ours: OurSubscription, planOf: PlanOf): Drift | null {
  const [first] = seen.items
  if (first === undefined || !GOING.has(seen.status)) return null
  if (seen.items.some(({ price }) => planOf(price) !== null)) return null
  const isOurs = ours.account_id !== null
  return {
    ...{ ...AS_IT_IS, kind: 'subscription_price_unknown', severity: 'review' },
    direction: isOurs ? 'paid_but_blocked' : null,
    subject: isOurs ? seen.id : first.price,
    evidence: { ...evidenceOf(seen, ours), subscription: seen.id },
  }
}

/** Everything about one subscription. What we hold is compared, whatever its price. Pure. */
export function judgeSeen(seen: SeenSubscription, ours: OurSubscription, planOf: PlanOf): Drift[] {
  const unknown = judgePrices(seen, ours, planOf)
  const isHeld = ours.status !== null && ours.plan_id !== null
  const isOurs = isHeld || seen.items.some(({ price }) => planOf(price) !== null)
  const found = isOurs ? judgeSubscription(seen, ours, planOf) : null
  return [unknown, found].filter((one) => one !== null)
}
