import { z } from 'zod'
import type { SeenSubscription, Walk } from '../billing/walk.ts'
import type { Db } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import type { Check } from './check.ts'
import type { Drift } from './drift.ts'
import { settled, type Quarantine } from './quarantine.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['our-subscription'])

const ourRow = z.object({
  account_id: z.string().nullable(),
  account_status: z.string().nullable(),
  status_reason: z.string().nullable(),
  status: z.string().nullable(),
  plan_id: z.string().nullable(),
  entitled: z.string().nullable(),
  blocked: z.string().nullable(),
  entitled_by: z.string().nullable(),
})
type Ours = z.infer<typeof ourRow>

const PAID = new Set(['active', 'trialing'])
const OVER = new Set(['canceled', 'unpaid', 'incomplete', 'incomplete_expired', 'paused'])
const SERVED = new Set(['active', 'trialing'])

const KINDS = [
  'subscription_blocked',
  'subscription_orphaned',
  'subscription_unpaid',
  'subscription_differs',
] as const

/** Why an account whose subscription is paid gets nothing; null = it gets what it paid. */
function blockedBy(ours: Ours): string | null {
  if (ours.account_status !== 'active') {
    return `the account is ${ours.account_status ?? 'gone'} (${ours.status_reason ?? 'no reason'})`
  }
  if (ours.blocked !== null) return `blocked: ${ours.blocked}`
  return ours.entitled !== null && SERVED.has(ours.entitled)
    ? null
    : `entitled to ${ours.entitled ?? 'nothing'}`
}

/** I4 for one subscription, both directions apart. Pure. */
export function judgeSubscription(seen: SeenSubscription, ours: Ours): Drift | null {
  const evidence = {
    ...{ account_id: ours.account_id, customer: seen.customer, stripe: seen.status },
    ...{ subscription_here: ours.status, entitled: ours.entitled, entitled_by: ours.entitled_by },
    ...{ amount: seen.amount, currency: seen.currency, created_ms: seen.createdMs },
  }
  const base = { subject: seen.id, atStakeMicros: null, repair: null } as const
  const repair = { kind: 'look', what: 'subscription' } as const
  const isPaid = PAID.has(seen.status) && !seen.isCollectionPaused
  if (ours.account_id === null) {
    if (!isPaid) return null
    const direction = 'paid_but_blocked'
    return { ...base, evidence, kind: 'subscription_orphaned', severity: 'urgent', direction }
  }
  const blocked = isPaid ? blockedBy(ours) : null
  if (blocked !== null) {
    // Frozen is somebody's decision, and written down; not to know of a payment is ours to mend.
    const severity = ours.account_status === 'active' ? 'urgent' : 'review'
    const isUnknown = ours.status !== seen.status
    return {
      ...{ ...base, evidence: { ...evidence, blocked }, kind: 'subscription_blocked', severity },
      ...{ direction: 'paid_but_blocked', repair: isUnknown ? repair : null },
    }
  }
  const isServed = ours.entitled !== null && SERVED.has(ours.entitled) && ours.blocked === null
  if (OVER.has(seen.status) && isServed && ours.entitled_by === seen.id) {
    return {
      ...{ ...base, evidence, kind: 'subscription_unpaid', severity: 'review' },
      ...{ direction: 'unpaid_but_active', repair: ours.status === seen.status ? null : repair },
    }
  }
  if (ours.status === seen.status) return null
  return {
    ...{ ...base, evidence, kind: 'subscription_differs', severity: 'review' },
    ...{ direction: null, repair },
  }
}

/** Stripe's subscriptions to our plans ↔ what their accounts are entitled to (I4). */
export const checkOfSubscriptions = (
  deps: Quarantine & {
    readonly db: Db
    readonly walk: Pick<Walk, 'subscriptions'>
    /** Whether a price is one of a plan. */
    readonly isOurs: (price: string) => boolean
  },
): Check => ({
  name: 'plans',
  kinds: KINDS,
  isOfTime: false,
  async page(cursor, scope) {
    const { items, next } = await deps.walk.subscriptions(cursor)
    const drifts: Drift[] = []
    for (const seen of items) {
      if (seen.createdMs >= scope.untilMs || !seen.prices.some(deps.isOurs)) continue
      const [row] = await deps.db.query(sql['our-subscription'], [seen.id, seen.customer])
      const drift = judgeSubscription(seen, ourRow.parse(row))
      if (drift !== null) drifts.push(drift)
    }
    return { ...(await settled(deps, drifts, scope)), seen: items.length, next }
  },
})
