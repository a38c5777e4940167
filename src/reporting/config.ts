import { z } from 'zod'
import { compileGlob } from '../kernel/glob.ts'
import type { Micros } from '../kernel/money.ts'

/** What a meter of Stripe's can count. Whole units are reported; a rest is carried on. */
export const METER_UNITS = [
  ...(['credits', 'micro_credits', 'requests', 'tokens', 'input_tokens', 'output_tokens'] as const),
  ...(['cache_read_tokens', 'cache_write_tokens', 'input_audio_tokens'] as const),
  ...(['output_audio_tokens', 'output_reasoning_tokens', 'web_search_requests'] as const),
  ...(['images', 'seconds', 'characters', 'units'] as const),
] as const
export type MeterUnit = (typeof METER_UNITS)[number]

/** What a field of the event's payload may say of a request. */
const METER_FACTS = ['model', 'upstream', 'protocol', 'endpoint', 'key_id'] as const
export type MeterFact = (typeof METER_FACTS)[number]

/** Source: stripe.md §4 (event_name ≤ 100). */
const eventName = z.string().regex(/^[\x21-\x7e]{1,100}$/, 'name the event of a Stripe meter')
const payloadKey = z.string().regex(/^[A-Za-z0-9_]{1,40}$/, 'use letters, digits and _')

/** Stripe takes a few dimensions a meter; more are refused when the event has been taken. */
const DIMENSIONS_MAX = 10
/** Filled in by us: the customer and the value, under whatever names the meter gives them. */
const OWN_KEYS = ['stripe_customer_id', 'value']

const meterSchema = z.strictObject({
  event_name: eventName.optional().describe('Of the Stripe meter; absent = the name here.'),
  unit: z.enum(METER_UNITS).default('credits'),
  models: z.array(z.string().min(1)).min(1).optional().describe('Only these; * stands for any.'),
  upstreams: z.array(z.string().min(1)).min(1).optional(),
  dimensions: z
    .record(payloadKey, z.enum(METER_FACTS))
    .refine((fields) => Object.keys(fields).length <= DIMENSIONS_MAX, {
      error: `at most ${DIMENSIONS_MAX} dimensions`,
    })
    .refine((fields) => OWN_KEYS.every((key) => !(key in fields)), {
      error: `${OWN_KEYS.join(' and ')} are filled in already`,
    })
    .default({}),
})

export const metersSchema = z.record(eventName, meterSchema)

/** The part of a plan that decides what is reported. */
interface PlanOfMeters {
  readonly id: string
  readonly overage?: { readonly meter: string; readonly limit: Micros } | undefined
  readonly usage?: { readonly meters: readonly string[]; readonly credit_limit: Micros } | undefined
}

export interface MeterSettings {
  readonly meters: z.infer<typeof metersSchema>
  readonly plans: readonly PlanOfMeters[]
}

export interface Meter {
  /** As the configuration calls it. */
  readonly name: string
  readonly eventName: string
  readonly unit: MeterUnit
  readonly takes: (what: { readonly upstream: string; readonly model: string }) => boolean
  readonly dimensions: readonly (readonly [key: string, fact: MeterFact])[]
}

/** What is reported of an account on a plan. */
export interface MeteredPlan {
  readonly id: string
  /** overage: what no lot covered. usage: everything. */
  readonly mode: 'overage' | 'usage'
  readonly meters: readonly Meter[]
  /** How far its overage goes before requests are refused. */
  readonly limitMicros: Micros
}

/** Meters and plans as the configuration in force has them. */
export interface MeterBook {
  planOf(id: string): MeteredPlan | null
  meterOf(name: string): Meter | null
  readonly plans: readonly MeteredPlan[]
  /** All that are declared, and those that plans name. */
  readonly meters: readonly Meter[]
}

const globs = (list: readonly string[] | undefined) =>
  list === undefined ? null : list.map(compileGlob)

function makeMeter(name: string, given: z.infer<typeof meterSchema> | undefined): Meter {
  const models = globs(given?.models)
  const upstreams = globs(given?.upstreams)
  return {
    name,
    eventName: given?.event_name ?? name,
    unit: given?.unit ?? 'credits',
    takes: ({ upstream, model }) =>
      (models?.some((fits) => fits(model)) ?? true) &&
      (upstreams?.some((fits) => fits(upstream)) ?? true),
    dimensions: Object.entries(given?.dimensions ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  }
}

/** A plan names meters that are not declared by the event's name: they count credits. */
export function makeMeterBook({ meters, plans }: MeterSettings): MeterBook {
  const byName = new Map<string, Meter>()
  const meterOf = (name: string): Meter => {
    const meter = byName.get(name) ?? makeMeter(name, meters[name])
    byName.set(name, meter)
    return meter
  }
  for (const name of Object.keys(meters)) meterOf(name)
  const metered = plans.flatMap(({ id, overage, usage }): MeteredPlan[] => {
    if (overage !== undefined) {
      const limitMicros = overage.limit
      return [{ id, mode: 'overage', meters: [meterOf(overage.meter)], limitMicros }]
    }
    if (usage === undefined) return []
    const limitMicros = usage.credit_limit
    return [{ id, mode: 'usage', meters: usage.meters.map(meterOf), limitMicros }]
  })
  const byId = new Map(metered.map((plan) => [plan.id, plan]))
  return {
    plans: metered,
    meters: [...byName.values()],
    planOf: (id) => byId.get(id) ?? null,
    meterOf: (name) => byName.get(name) ?? null,
  }
}

const isOfCredits = (unit: MeterUnit): boolean => unit === 'credits' || unit === 'micro_credits'

/** What cannot be meant; called with the whole configuration. */
export function checkMeters(settings: MeterSettings, context: z.core.$RefinementCtx): void {
  const fail = (path: PropertyKey[], message: string): void => {
    context.addIssue({ code: 'custom', path, message })
  }
  const units = new Map<string, MeterUnit>()
  for (const [name, meter] of Object.entries(settings.meters)) {
    const event = meter.event_name ?? name
    const known = units.get(event)
    units.set(event, meter.unit)
    if (known === undefined || known === meter.unit) continue
    fail(['meters', name, 'unit'], `the meter ${event} counts ${known} elsewhere`)
  }
  for (const [at, { overage, usage }] of settings.plans.entries()) {
    if (overage !== undefined && usage !== undefined) {
      fail(['plans', at, 'usage'], 'a plan bills its overage or all of its usage, not both')
    }
    const meter = overage === undefined ? undefined : settings.meters[overage.meter]
    if (meter === undefined) continue
    const isWhole = meter.models === undefined && meter.upstreams === undefined
    if (isOfCredits(meter.unit) && isWhole) continue
    fail(['plans', at, 'overage', 'meter'], 'overage is credits, of whatever model or upstream')
  }
}
