import { z } from 'zod'
import type { SeenSubscription, Walk } from '../billing/walk.ts'
import { RECONCILE_SUBSCRIPTIONS_MAX } from '../kernel/limits/books.ts'
import type { Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'
import type { Check, CheckPage, Scope } from './check.ts'
import type { Drift } from './drift.ts'
import { isServedBy, judgeSeen, ourSubscription, type PlanOf } from './judge-subscription.ts'
import { settled, type Quarantine } from './quarantine.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['our-subscription', 'subscription-page'])

export interface SubscriptionDeps extends Quarantine {
  readonly db: Tx
  readonly walk: Pick<Walk, 'subscriptions' | 'subscription' | 'missing'>
  readonly planOf: PlanOf
}

const KINDS = [
  ...(['subscription_blocked', 'subscription_orphaned', 'subscription_unpaid'] as const),
  ...(['subscription_differs', 'subscription_ambiguous', 'subscription_price_unknown'] as const),
]

async function judged({ db, planOf }: SubscriptionDeps, seen: SeenSubscription): Promise<Drift[]> {
  const [row] = await db.query(sql['our-subscription'], [seen.id, seen.customer])
  return judgeSeen(seen, ourSubscription.parse(row), planOf)
}

const heldRow = z.object({
  id: z.string(),
  account_id: z.string(),
  customer_id: z.string(),
  status: z.string(),
  at: z.string(),
  began_ms: z.number(),
  entitled: z.string().nullable(),
  blocked: z.string().nullable(),
  entitled_by: z.string().nullable(),
})
type Held = z.infer<typeof heldRow>

/** One of ours that Stripe does not have. Which of the two is wrong only a person can say. */
const notThere = (held: Held): Drift => ({
  ...{ kind: 'subscription_not_there', severity: 'review', subject: held.id },
  direction: isServedBy(held, held.id) ? 'unpaid_but_active' : null,
  ...{ atStakeMicros: null, repair: null },
  evidence: {
    ...{ account_id: held.account_id, customer: held.customer_id, stripe: 'not there' },
    ...{ subscription_here: held.status, entitled: held.entitled, entitled_by: held.entitled_by },
  },
})

const place = z.tuple([z.string(), z.string()])

async function heldPage(
  { db, walk }: SubscriptionDeps,
  cursor: string | null,
  { untilMs }: Scope,
): Promise<CheckPage> {
  const [at, id] = cursor === null ? ['-infinity', ''] : place.parse(JSON.parse(cursor))
  const params = [at, id, new Date(untilMs), RECONCILE_SUBSCRIPTIONS_MAX]
  const held = z.array(heldRow).parse(await db.query(sql['subscription-page'], params))
  const [first, last] = [held[0], held.at(-1)]
  if (first === undefined || last === undefined) return { drifts: [], seen: 0, next: null }
  const ids = held.map((one) => one.id)
  const missing = new Set(await walk.missing(ids, first.began_ms, last.began_ms))
  const isLast = held.length < RECONCILE_SUBSCRIPTIONS_MAX
  return {
    drifts: held.filter((one) => missing.has(one.id)).map(notThere),
    seen: held.length,
    next: isLast ? null : JSON.stringify([last.at, last.id]),
  }
}

/**
 * Subscriptions ↔ what their accounts are entitled to (I4), walked from both sides: what Stripe has
 * is judged by what we know of it, and what we take for going on must be there. Source: design §6.
 */
export const checksOfSubscriptions = (deps: SubscriptionDeps): readonly Check[] => [
  {
    ...{ name: 'plans', kinds: KINDS, isOfTime: false },
    async page(cursor, scope) {
      const { items, next } = await deps.walk.subscriptions(cursor)
      const drifts: Drift[] = []
      for (const seen of items) {
        if (seen.createdMs < scope.untilMs) drifts.push(...(await judged(deps, seen)))
      }
      return { ...(await settled(deps, drifts, scope)), seen: items.length, next }
    },
    async again({ kind, subject }) {
      const seen = await deps.walk.subscription(subject)
      const now = seen === null ? [] : await judged(deps, seen)
      return now.find((one) => one.kind === kind) ?? null
    },
  },
  {
    ...{ name: 'entitled', kinds: ['subscription_not_there'], isOfTime: false },
    page: (cursor, scope) => heldPage(deps, cursor, scope),
  },
]
