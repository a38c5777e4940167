import { ZERO, type Micros } from '../../kernel/money.ts'
import type { PlanBook, PlanRule } from './book.ts'
import type { Override } from './overrides.ts'
import { withMore, type Features } from './stripe-features.ts'
import {
  paidThrough,
  phasesOf,
  standingAt,
  type Rung,
  type Standing,
  type SubscriptionState,
} from './standing.ts'

/** What an account may do, and why. Limits are of the whole account; null = none. */
export interface Entitlements {
  /** none: no subscription stands. comped: an exception gives the plan. */
  readonly state: Exclude<Standing, 'over' | 'void'> | 'comped' | 'none'
  /** null = no plan. */
  readonly planId: string | null
  readonly subscriptionId: string | null
  readonly rung: Rung | null
  /** Why nothing is let through; null = it is. */
  readonly blocked: 'suspended' | 'no_plan' | null
  readonly features: Readonly<Record<string, boolean | number>>
  readonly models: readonly string[] | null
  readonly endpoints: readonly string[] | null
  readonly requestsPerMinute: number | null
  readonly tokensPerMinute: number | null
  readonly maxConcurrency: number | null
  readonly creditLimitMicros: Micros
  readonly overageLimitMicros: Micros
  readonly overageMeter: string | null
  readonly paidThroughMs: number | null
  /** Until then time changes nothing of this; null = it never does. */
  readonly nextChangeAtMs: number | null
}

export interface ResolveInput<Subscription = SubscriptionState> {
  readonly subscriptions: readonly Subscription[]
  /** None that were removed. */
  readonly overrides: readonly Override[]
  readonly book: PlanBook
  /** Lookup keys of what Stripe itself entitles the account to; absent = nothing. */
  readonly stripeFeatures?: readonly string[]
  readonly nowMs: number
}

/** Of several subscriptions the one that stands best rules, then the plan of highest rank. */
const ORDER: Readonly<Record<Standing, number>> = {
  active: 6,
  trialing: 6,
  grace: 5,
  downgraded: 4,
  suspended: 3,
  pending: 2,
  over: 1,
  void: 0,
}

export interface Standings<Subscription = SubscriptionState> {
  readonly it: Subscription
  readonly standing: Standing
  readonly rung: Rung | null
  readonly nextMs: number | null
}

/** Every subscription as it stands now, the ruling one first. */
export function rank<Subscription extends SubscriptionState>({
  subscriptions,
  book,
  nowMs,
}: Omit<
  ResolveInput<Subscription>,
  'overrides' | 'stripeFeatures'
>): readonly Standings<Subscription>[] {
  const rankOf = ({ planId }: SubscriptionState): number => book.plans.get(planId)?.rank ?? 0
  return subscriptions
    .map((it): Standings<Subscription> => {
      const { phase, nextMs } = standingAt(phasesOf(it, book), nowMs)
      return { it, standing: phase.standing, rung: phase.rung, nextMs }
    })
    .sort(
      (a, b) =>
        ORDER[b.standing] - ORDER[a.standing] ||
        rankOf(b.it) - rankOf(a.it) ||
        b.it.startedAtMs - a.it.startedAtMs ||
        (a.it.id < b.it.id ? -1 : 1),
    )
}

type Allowance = Omit<
  Entitlements,
  'state' | 'planId' | 'subscriptionId' | 'rung' | 'blocked' | 'paidThroughMs' | 'nextChangeAtMs'
>

const NO_PLAN: Allowance = {
  features: {},
  models: null,
  endpoints: null,
  requestsPerMinute: null,
  tokensPerMinute: null,
  maxConcurrency: null,
  creditLimitMicros: ZERO,
  overageLimitMicros: ZERO,
  overageMeter: null,
}

const allowanceOf = (plan: PlanRule | undefined): Allowance =>
  plan === undefined
    ? NO_PLAN
    : {
        features: plan.features,
        models: plan.models,
        endpoints: plan.endpoints,
        requestsPerMinute: plan.requests_per_minute,
        tokensPerMinute: plan.tokens_per_minute,
        maxConcurrency: plan.max_concurrency,
        creditLimitMicros: plan.credit_limit_micros,
        overageLimitMicros: plan.overage_limit_micros,
        overageMeter: plan.overage_meter,
      }

type Ruled = Pick<Entitlements, 'state' | 'planId' | 'blocked'>

/** What is left where no subscription gives a plan of its own. */
function withoutPlan(
  book: PlanBook,
  state: Ruled['state'],
  fallback: string | null,
  had: boolean,
): Ruled {
  const planId = fallback ?? book.default_plan
  if (planId !== null) return { state, planId, blocked: null }
  const policy = had ? book.after_plan : book.without_plan
  return { state, planId: null, blocked: policy === 'refuse' ? 'no_plan' : null }
}

function ruledBy(first: Standings | undefined, had: boolean, book: PlanBook): Ruled {
  const standing = first?.standing ?? 'void'
  switch (standing) {
    case 'active':
    case 'trialing':
    case 'grace':
      return { state: standing, planId: first?.it.planId ?? null, blocked: null }
    case 'downgraded': {
      const own = book.plans.get(first?.it.planId ?? '')
      return withoutPlan(book, standing, own?.fallback ?? null, true)
    }
    case 'suspended':
      return { state: standing, planId: first?.it.planId ?? null, blocked: 'suspended' }
    case 'pending':
      return withoutPlan(book, standing, null, had)
    case 'over':
    case 'void':
      return withoutPlan(book, 'none', null, had)
  }
}

/** Exceptions, the later over the earlier one. */
function withExceptions(ruled: Ruled, own: string | null, patches: readonly Override['patch'][]) {
  let result = ruled
  for (const { plan, access } of patches) {
    if (plan !== undefined) result = { state: 'comped', planId: plan, blocked: null }
    if (access === 'suspend') result = { ...result, blocked: 'suspended' }
    if (access === 'allow') {
      const isTaken = result.blocked !== null || result.state === 'downgraded'
      if (isTaken) result = { state: 'comped', planId: own ?? result.planId, blocked: null }
    }
  }
  return result
}

function patched(allowance: Allowance, patch: Override['patch']): Allowance {
  const { rates = {} } = patch
  const orKept = <T>(given: T | undefined, kept: T): T => (given === undefined ? kept : given)
  return {
    features: { ...allowance.features, ...patch.features },
    models: orKept(patch.models, allowance.models),
    endpoints: orKept(patch.endpoints, allowance.endpoints),
    requestsPerMinute: orKept(rates.requests_per_minute, allowance.requestsPerMinute),
    tokensPerMinute: orKept(rates.tokens_per_minute, allowance.tokensPerMinute),
    maxConcurrency: orKept(rates.max_concurrency, allowance.maxConcurrency),
    creditLimitMicros: orKept(patch.credit_limit_micros, allowance.creditLimitMicros),
    overageLimitMicros: orKept(patch.overage_limit_micros, allowance.overageLimitMicros),
    overageMeter: allowance.overageMeter,
  }
}

const STANDS = new Set<Ruled['state']>(['active', 'trialing', 'grace', 'comped'])

/** Stripe's features count while the plan does: the ladder and a lapse take them with it. */
function withStripe(
  allowance: Allowance,
  { state }: Ruled,
  { stripeFeatures = [], book }: ResolveInput,
): Allowance {
  if (!STANDS.has(state)) return allowance
  const given = stripeFeatures.flatMap((key): Features[] =>
    Object.hasOwn(book.stripe_features, key) ? [book.stripe_features[key] ?? {}] : [],
  )
  return { ...allowance, features: given.reduce(withMore, allowance.features) }
}

const earliest = (times: readonly (number | null)[]): number | null => {
  const known = times.filter((time) => time !== null)
  return known.length === 0 ? null : Math.min(...known)
}

/**
 * What an account may do at a moment: a pure function of what is stored, so that it is the same
 * whoever asks, in whatever order events came and however long no process ran. It stays as it is
 * until `nextChangeAtMs`. Source: design §7.
 */
export function resolve(input: ResolveInput): Entitlements {
  const { book, nowMs } = input
  const ranked = rank(input)
  const [first] = ranked
  const had = ranked.some(({ standing }) => standing !== 'pending' && standing !== 'void')
  const overrides = input.overrides
    .filter(({ expiresAtMs }) => expiresAtMs > nowMs)
    .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1))
  const patches = overrides.map(({ patch }) => patch)
  const isCounted = first !== undefined && first.standing !== 'void'
  const own = isCounted && first.standing !== 'pending' ? first.it.planId : null
  const ruled = withExceptions(ruledBy(first, had, book), own, patches)
  const plan = ruled.planId === null ? undefined : book.plans.get(ruled.planId)
  const allowance = patches.reduce(patched, withStripe(allowanceOf(plan), ruled, input))
  return {
    ...ruled,
    subscriptionId: isCounted ? first.it.id : null,
    rung: first?.rung ?? null,
    ...allowance,
    paidThroughMs: isCounted ? paidThrough(first.it) : null,
    nextChangeAtMs: earliest([
      ...ranked.map(({ nextMs }) => nextMs),
      ...overrides.map(({ expiresAtMs }) => expiresAtMs),
    ]),
  }
}
