import { ZERO, type Micros } from '../kernel/money.ts'
import type { Buckets, Usage } from '../kernel/usage.ts'
import type { Receipt } from '../ledger/receipt.ts'
import type { Meter, MeteredPlan, MeterUnit } from './config.ts'

/** A millionth of a meter's unit, so that credits, tokens and seconds are all whole numbers. */
const SCALE = 1_000_000

/** What one receipt adds to one meter; a row of the outbox. */
export interface Measured {
  readonly meter: string
  readonly dimensions: string
  /** Millionths of the unit. */
  readonly quantity: bigint
  readonly overageMicros: Micros
}

/** What a posting did, as far as meters are concerned. */
export interface Posted {
  readonly receipt: Pick<
    Receipt,
    'upstream' | 'model' | 'protocol' | 'endpoint' | 'keyId' | 'usage'
  >
  readonly deltaMicros: Micros
  readonly overageMicros: Micros
}

const TOKENS = [
  ...(['input_tokens', 'cache_read_tokens', 'cache_write_5m_tokens'] as const),
  ...(['cache_write_1h_tokens', 'cache_write_tokens', 'input_audio_tokens'] as const),
  ...(['input_image_tokens', 'output_tokens'] as const),
] as const
const CACHE_WRITES = [
  ...(['cache_write_5m_tokens', 'cache_write_1h_tokens', 'cache_write_tokens'] as const),
] as const

const sumOf = (buckets: Buckets, names: readonly (keyof Buckets)[]): number =>
  names.reduce((sum, name) => sum + (buckets[name] ?? 0), 0)

function countOf(unit: Exclude<MeterUnit, 'credits' | 'micro_credits'>, buckets: Buckets): number {
  if (unit === 'tokens') return sumOf(buckets, TOKENS)
  if (unit === 'cache_write_tokens') return sumOf(buckets, CACHE_WRITES)
  return buckets[unit] ?? 0
}

/** The usage by the model that did it: what the top level leaves out may be another's. */
function partsOf(model: string, usage: Usage): { model: string; buckets: Buckets }[] {
  const inner = usage.iterations ?? []
  const rest = inner.map((one) => ({ model: one.model ?? model, buckets: one.usage }))
  return [{ model, buckets: usage }, ...rest]
}

/** Never throws: a posting must not fail over what is told of it. */
function millionths(count: number): bigint {
  const exact = Math.round(count * SCALE)
  if (Number.isSafeInteger(exact)) return BigInt(exact)
  return Number.isFinite(count) ? BigInt(Math.round(count)) * BigInt(SCALE) : 0n
}

/** Stripe takes text of some length only; nobody reads more of a model's name. */
const FACT_CHARS_MAX = 100
/** An empty text is none to Stripe, and a meter refuses events that lack a dimension. */
const NO_FACT = 'none'

function dimensionsOf(meter: Meter, receipt: Posted['receipt'], model: string): string {
  const facts = {
    model,
    upstream: receipt.upstream,
    protocol: receipt.protocol,
    endpoint: receipt.endpoint,
    key_id: receipt.keyId,
  }
  const fields = meter.dimensions.map(([key, fact]) => [
    key,
    facts[fact].replaceAll('\0', '\u{fffd}').slice(0, FACT_CHARS_MAX).toWellFormed() || NO_FACT,
  ])
  return JSON.stringify(Object.fromEntries(fields))
}

/** Micros as millionths of the unit. */
const creditsOf = (unit: 'credits' | 'micro_credits', amount: Micros): bigint =>
  unit === 'credits' ? BigInt(amount) : millionths(amount)

function measureOne(meter: Meter, posted: Posted, isOfOverage: boolean): Measured[] {
  const { receipt, deltaMicros, overageMicros } = posted
  const of = (model: string, quantity: bigint): Measured => ({
    meter: meter.name,
    dimensions: dimensionsOf(meter, receipt, model),
    quantity,
    overageMicros: ZERO,
  })
  const { unit } = meter
  if (unit === 'credits' || unit === 'micro_credits') {
    if (!meter.takes(receipt)) return []
    return [of(receipt.model, creditsOf(unit, isOfOverage ? overageMicros : deltaMicros))]
  }
  if (unit === 'requests') {
    const count = receipt.usage.requests ?? 1
    return meter.takes(receipt) ? [of(receipt.model, millionths(count))] : []
  }
  return partsOf(receipt.model, receipt.usage)
    .filter(({ model }) => meter.takes({ upstream: receipt.upstream, model }))
    .map(({ model, buckets }) => of(model, millionths(countOf(unit, buckets))))
}

/** Whether a meter counts units, of which a receipt tells all, not credits, of which it is told. */
export const isOfUnits = ({ unit }: Meter): boolean =>
  unit !== 'credits' && unit !== 'micro_credits'

/**
 * What a posting adds to the meters of a plan. Overage goes with the first that took something, so
 * that a final invoice closes all of it. Source: design §7 (metered usage).
 */
export function measure(plan: MeteredPlan, posted: Posted): Measured[] {
  const all = plan.meters.flatMap((meter) => measureOne(meter, posted, plan.mode === 'overage'))
  const [first] = plan.meters
  const { overageMicros, receipt } = posted
  const taken = all.filter(({ quantity }) => quantity !== 0n)
  if (overageMicros === 0 || first === undefined) return taken
  const carrier = taken[0] ?? {
    meter: first.name,
    dimensions: dimensionsOf(first, receipt, receipt.model),
    quantity: 0n,
    overageMicros: ZERO,
  }
  return [{ ...carrier, overageMicros }, ...taken.slice(1)]
}
