import { hash } from 'node:crypto'
import { z } from 'zod'
import { DAY_MS } from '../../kernel/clock.ts'
import { micros, ZERO } from '../../kernel/money.ts'
import type { Tx } from '../../store/db.ts'
import { textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import { featuresSchema, type AccessConfig, type Plan } from './config.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['read-plans', 'publish-plans'])

const money = z.number().transform(micros)
const count = z.number().nullable().default(null)
const names = z.array(z.string()).nullable().default(null)

/** A plan as it is kept. Every field but the id has a default: older ones lack newer fields. */
const keptPlan = z.object({
  id: z.string(),
  name: z.string().nullable().default(null),
  rank: z.number().default(0),
  features: featuresSchema.default({}),
  models: names,
  endpoints: names,
  requests_per_minute: count,
  tokens_per_minute: count,
  max_concurrency: count,
  credit_limit_micros: money.default(ZERO),
  overage_limit_micros: money.default(ZERO),
  overage_meter: z.string().nullable().default(null),
  fallback: z.string().nullable().default(null),
  /** It is not configured any more: who has it keeps it. */
  is_retired: z.boolean().default(false),
})
export type PlanRule = z.infer<typeof keptPlan>

const keptBook = z.object({
  plans: z.array(keptPlan),
  default_plan: z.string().nullable().default(null),
  without_plan: z.enum(['allow', 'refuse']).default('allow'),
  after_plan: z.enum(['allow', 'refuse']).default('allow'),
  remind_ms: z.number(),
  downgrade_ms: z.number(),
  suspend_ms: z.number(),
  slack_ms: z.number(),
  pause_collection: z.enum(['keep', 'suspend']).default('keep'),
  /** What Stripe's features give, by their lookup keys. */
  stripe_features: z.record(z.string(), featuresSchema).default({}),
})
type KeptBook = z.infer<typeof keptBook>

/** Every plan and rule that entitlements are resolved with. Source: design §7. */
export interface PlanBook extends Omit<KeptBook, 'plans'> {
  /** Names its content; '' = nothing was published yet. */
  readonly version: string
  readonly plans: ReadonlyMap<string, PlanRule>
}

export interface BookConfig {
  readonly plans: readonly Plan[]
  readonly access: AccessConfig
  readonly stripe: { readonly policies: { readonly pause_collection: 'keep' | 'suspend' } }
}

function ruleOf(plan: Plan): PlanRule {
  return {
    id: plan.id,
    name: plan.name ?? null,
    rank: plan.rank,
    features: plan.features,
    models: plan.models ?? null,
    endpoints: plan.endpoints ?? null,
    requests_per_minute: plan.rates.requests_per_minute ?? null,
    tokens_per_minute: plan.rates.tokens_per_minute ?? null,
    max_concurrency: plan.rates.max_concurrency ?? null,
    credit_limit_micros: plan.credit_limit,
    overage_limit_micros: plan.overage?.limit ?? plan.usage?.credit_limit ?? ZERO,
    overage_meter: plan.overage?.meter ?? null,
    fallback: plan.fallback ?? null,
    is_retired: false,
  }
}

function keptOf({ plans, access, stripe }: BookConfig, before: PlanBook): KeptBook {
  const ids = new Set(plans.map(({ id }) => id))
  const gone = [...before.plans.values()].filter(({ id }) => !ids.has(id))
  return {
    plans: [...plans.map(ruleOf), ...gone.map((plan) => ({ ...plan, is_retired: true }))],
    default_plan: access.default_plan ?? null,
    without_plan: access.without_plan,
    after_plan: access.after_plan,
    remind_ms: access.grace.remind_days * DAY_MS,
    downgrade_ms: access.grace.downgrade_days * DAY_MS,
    suspend_ms: access.grace.suspend_days * DAY_MS,
    slack_ms: access.slack_minutes * 60_000,
    pause_collection: stripe.policies.pause_collection,
    stripe_features: access.stripe_features,
  }
}

const toBook = ({ plans, ...rules }: KeptBook, version: string): PlanBook => ({
  ...rules,
  version,
  plans: new Map(plans.map((plan) => [plan.id, plan])),
})

/** Before anything is published: no plans, and no limits. */
export const NO_PLANS: PlanBook = toBook(
  keptBook.parse({
    ...{ plans: [], remind_ms: 3 * DAY_MS, downgrade_ms: 7 * DAY_MS, suspend_ms: 14 * DAY_MS },
    slack_ms: 6 * 3_600_000,
  }),
  '',
)

/** A book of a configuration alone, with the plans of an earlier one that have gone from it. */
export function makeBook(config: BookConfig, before: PlanBook = NO_PLANS): PlanBook {
  const kept = keptOf(config, before)
  return toBook(kept, hash('sha256', JSON.stringify(kept)).slice(0, 24))
}

/** The books that were published. */
export interface PlanBooks {
  /** Lets a configuration rule from now on, for all processes. */
  publish(tx: Tx, config: BookConfig, nowMs: number): Promise<PlanBook>
  /** The one that rules. */
  ruling(tx: Tx): Promise<PlanBook>
}

export function makePlanBooks(): PlanBooks {
  let last = NO_PLANS

  async function ruling(tx: Tx): Promise<PlanBook> {
    const [row] = await tx.query(sql['read-plans'], [last.version])
    if (row === undefined) return NO_PLANS
    const version = textOf(row, 'version')
    // The document comes only where it is not the one that is known.
    if (version !== last.version) last = toBook(keptBook.parse(row.document), version)
    return last
  }

  return {
    ruling,
    async publish(tx, config, nowMs) {
      const book = makeBook(config, await ruling(tx))
      const { version, plans, ...rules } = book
      const document = JSON.stringify({ ...rules, plans: [...plans.values()] })
      await tx.query(sql['publish-plans'], [version, document, new Date(nowMs)])
      return book
    },
  }
}
