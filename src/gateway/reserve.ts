import type { OpenHold, ReceiptDraft } from '../credits/holds.ts'
import type { Refusal } from '../kernel/errors.ts'
import { maxMicros, ZERO, type Micros } from '../kernel/money.ts'
import { bounds, type Bounded } from './bound.ts'
import type { Arrival, GatewayDeps, Target } from './context.ts'

export interface Reserved {
  readonly ok: true
  readonly hold: OpenHold
  readonly target: Target
  readonly draft: ReceiptDraft
  /** Output limit to write into the request, per choice; null = leave it alone. */
  readonly outputTokensLimit: number | null
  /** Where the request may go should its target not answer. What is held may not do for all. */
  readonly others: readonly Bounded[]
}

/** The receipt as far as it is known before the upstream is called. */
export function draftOf(arrival: Arrival, target: Target): ReceiptDraft {
  return {
    holdId: arrival.id,
    accountId: arrival.caller.accountId,
    keyId: arrival.caller.keyId,
    startedAtMs: arrival.startedAtMs,
    protocol: arrival.protocol.name,
    endpoint: arrival.protocol.endpoint,
    upstream: target.upstream.name,
    model: arrival.view.model,
    stream: arrival.view.stream,
    estimated: true,
    usage: {},
    providerCostPicoUsd: '0',
    priceVersion: target.price.version,
    httpStatus: null,
    firstByteMs: null,
    durationMs: null,
  }
}

export const FOR_WANT_OF_CREDITS = new Set([
  'insufficient_quota',
  'credits_held',
  'budget_exceeded',
])

const most = (all: readonly Bounded[], name: 'wantMicros' | 'leastMicros'): Micros =>
  all.map((one) => one[name]).reduce(maxMicros, ZERO)

/** Holds what the dearest of the upstreams may cost, so that a hold need never grow. */
async function attempt(
  deps: GatewayDeps,
  arrival: Arrival,
  first: Bounded,
  others: readonly Bounded[],
): Promise<Reserved | Refusal> {
  const { target } = first
  const draft = draftOf(arrival, target)
  const all = [first, ...others]
  const hold = await deps.holds.open({
    draft,
    wantMicros: most(all, 'wantMicros'),
    leastMicros: most(all, 'leastMicros'),
    tokens: target.bound.inputTokensMax + target.bound.outputTokensMax,
    keySeq: arrival.caller.keySeq,
  })
  if (!hold.ok) return hold
  const outputTokensLimit = limitWithin(deps, first, hold, arrival)
  return { ok: true, hold, target, draft, outputTokensLimit, others }
}

/** The output limit that what was held pays for. */
export function limitWithin(
  deps: GatewayDeps,
  bounded: Bounded,
  hold: OpenHold,
  arrival: Arrival,
): number | null {
  if (bounded.injectUpTo === null) return null
  if (hold.micros >= bounded.wantMicros) return bounded.injectUpTo
  const limits = bounded.target.bound
  const affordable = bounded.priced
    .map(({ price, query }) => deps.prices.outputTokensWithin(price, query, limits, hold.micros))
    .reduce((least, each) => Math.min(least, each))
  const beyond = arrival.view.outputTokensBeyondLimit ?? 0
  const perChoice = Math.floor(affordable / arrival.view.choices) - beyond
  return Math.max(1, Math.min(bounded.injectUpTo, perChoice))
}

/** For all upstreams that may serve it; where credits do not do for that, for the first alone. */
async function attemptAll(
  deps: GatewayDeps,
  arrival: Arrival,
  inputTokens: number | null,
): Promise<Reserved | Refusal> {
  const { protocol, caller, view, startedAtMs } = arrival
  const bounded = bounds(deps, protocol, caller, view, startedAtMs, inputTokens)
  if (!bounded.ok) return bounded
  const { first, others } = bounded
  const reserved = await attempt(deps, arrival, first, others)
  const isDearer = most(others, 'leastMicros') > first.leastMicros
  if (reserved.ok || !isDearer || !FOR_WANT_OF_CREDITS.has(reserved.code)) return reserved
  const alone = await attempt(deps, arrival, first, [])
  return alone.ok ? { ...alone, others } : alone
}

/**
 * Bounds and holds. Where the byte bound does not fit the balance, the input is counted exactly in
 * the tokenizer's thread before the request is refused. Source: design §2.3–4, providers.md §4.
 */
export async function reserve(deps: GatewayDeps, arrival: Arrival): Promise<Reserved | Refusal> {
  const { view } = arrival
  const reserved = await attemptAll(deps, arrival, null)
  if (reserved.ok || !FOR_WANT_OF_CREDITS.has(reserved.code)) return reserved
  const counted = await deps.tokens.count(view.inputText(), view.model)
  if (counted === null) return reserved
  const exact = counted + view.inputTokensBeyondText
  return exact >= view.inputTokensMax ? reserved : attemptAll(deps, arrival, exact)
}
