import type { SimWorld } from './sim-world.ts'

type Thing = Record<string, unknown>

const DAY_S = 86_400
/** The defaults of farebox.yaml. */
const [DOWNGRADE_S, SUSPEND_S] = [7 * DAY_S, 14 * DAY_S]

/** Invoices for a change say nothing of the period. */
const PERIOD_REASONS = ['subscription_create', 'subscription_cycle']

/** How one subscription stands: the better ones first. */
const LADDER = ['active', 'grace', 'downgraded', 'suspended', 'pending', 'none'] as const
type Stands = (typeof LADDER)[number]

export interface ExpectedAccess {
  readonly state: Stands
  readonly planId?: string | null
  readonly blocked: string | null
}

const at = (thing: unknown, ...path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>(
    (one, key) => (typeof one === 'object' && one !== null ? (one as Thing)[key] : undefined),
    thing,
  )
const idAt = (thing: unknown, key: string): unknown => {
  const found = at(thing, key)
  return typeof found === 'string' ? found : at(found, 'id')
}

/** Since when the oldest open invoice of a subscription is owed, Unix s; null = none is open. */
function owedSince({ stripe }: SimWorld, subscription: unknown): number | null {
  const open = stripe.sim.simulator.world
    .all('invoice')
    .filter((one) => one.status === 'open')
    .filter((one) => at(one, 'parent', 'subscription_details', 'subscription') === subscription)
    .map((one) => Number(at(one, 'status_transitions', 'finalized_at') ?? one.created))
  return open.length === 0 ? null : Math.min(...open)
}

function standsOf(sim: SimWorld, it: Thing): Stands {
  const { world } = sim.stripe.sim.simulator
  const ofPeriod = world
    .all('invoice')
    .filter((one) => at(one, 'parent', 'subscription_details', 'subscription') === it.id)
    .filter((one) => PERIOD_REASONS.some((reason) => reason === one.billing_reason))
    .sort((a, b) => Number(a.created) - Number(b.created))
    .at(-1)
  const isWrittenOff = ['void', 'uncollectible'].some((one) => one === ofPeriod?.status)
  const since = owedSince(sim, it.id) ?? Number(at(it, 'items', 'data', 0, 'current_period_start'))
  const owedS = world.now() - since
  switch (it.status) {
    case 'active':
      return isWrittenOff ? 'downgraded' : 'active'
    case 'past_due':
    case 'unpaid':
      if (owedS >= SUSPEND_S) return 'suspended'
      return owedS >= DOWNGRADE_S || isWrittenOff || it.status === 'unpaid' ? 'downgraded' : 'grace'
    case 'incomplete':
      return 'pending'
    default:
      return 'none'
  }
}

/**
 * What an account may do, by Stripe's final state alone: a plan is paid, in grace, or is not (I4).
 * Of several the one that stands best rules, then the plan of highest rank.
 */
export function expectedAccess(sim: SimWorld, accountId: string): ExpectedAccess {
  const { stripe, prices } = sim
  const { world } = stripe.sim.simulator
  const customers = world
    .all('customer')
    .filter((one) => at(one, 'metadata', 'farebox_account') === accountId)
    .map(({ id }) => id)
  const plans = [prices.small, prices.large, prices.year]
  const all = world
    .all('subscription')
    .filter((one) => customers.some((id) => id === idAt(one, 'customer')))
    .map((one) => ({
      stands: standsOf(sim, one),
      rank: plans.indexOf(String(at(one, 'items', 'data', 0, 'price', 'id'))) + 1,
    }))
    .sort((a, b) => LADDER.indexOf(a.stands) - LADDER.indexOf(b.stands) || b.rank - a.rank)
  const [first] = all
  const state = first?.stands ?? 'none'
  switch (state) {
    case 'active':
    case 'grace':
      return {
        state,
        planId: ['small', 'large', 'year'][(first?.rank ?? 0) - 1] ?? '',
        blocked: null,
      }
    case 'downgraded':
      return { state, planId: 'free', blocked: null }
    case 'suspended':
      return { state, blocked: 'suspended' }
    case 'pending':
    case 'none':
      // By default what was bought outlives the plan.
      return { state, planId: null, blocked: null }
  }
}
