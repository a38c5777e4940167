import type { OpenHold, ReceiptDraft } from '../credits/holds.ts'
import type { Refusal } from '../kernel/errors.ts'
import { bound, type Bounded } from './bound.ts'
import type { Arrival, GatewayDeps, Target } from './context.ts'

export interface Reserved {
  readonly ok: true
  readonly hold: OpenHold
  readonly target: Target
  readonly draft: ReceiptDraft
  /** Output limit to write into the request, per choice; null = leave it alone. */
  readonly outputTokensLimit: number | null
}

/** The receipt as far as it is known before the upstream is called. */
function draftOf(arrival: Arrival, target: Target): ReceiptDraft {
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

const FOR_WANT_OF_CREDITS = new Set(['insufficient_quota', 'credits_held', 'budget_exceeded'])

async function attempt(
  deps: GatewayDeps,
  arrival: Arrival,
  bounded: Bounded,
): Promise<Reserved | Refusal> {
  const { target } = bounded
  const draft = draftOf(arrival, target)
  const hold = await deps.holds.open({
    draft,
    wantMicros: bounded.wantMicros,
    leastMicros: bounded.leastMicros,
    tokens: target.bound.inputTokensMax + target.bound.outputTokensMax,
  })
  if (!hold.ok) return hold
  return {
    ok: true,
    hold,
    target,
    draft,
    outputTokensLimit: limitWithin(deps, bounded, hold, arrival),
  }
}

/** The output limit that what was held pays for. */
function limitWithin(
  deps: GatewayDeps,
  bounded: Bounded,
  hold: OpenHold,
  arrival: Arrival,
): number | null {
  if (bounded.injectUpTo === null) return null
  if (hold.micros >= bounded.wantMicros) return bounded.injectUpTo
  const { price, query, bound: limits } = bounded.target
  const affordable = deps.prices.outputTokensWithin(price, query, limits, hold.micros)
  const beyond = arrival.view.outputTokensBeyondLimit ?? 0
  const perChoice = Math.floor(affordable / arrival.view.choices) - beyond
  return Math.max(1, Math.min(bounded.injectUpTo, perChoice))
}

/**
 * Bounds and holds. Where the byte bound does not fit the balance, the input is counted exactly in
 * the tokenizer's thread before the request is refused. Source: design §2.3–4, providers.md §4.
 */
export async function reserve(deps: GatewayDeps, arrival: Arrival): Promise<Reserved | Refusal> {
  const { protocol, caller, view } = arrival
  const first = bound(deps, protocol, caller, view, arrival.startedAtMs, null)
  if (!first.ok) return first
  const reserved = await attempt(deps, arrival, first)
  if (reserved.ok || !FOR_WANT_OF_CREDITS.has(reserved.code)) return reserved
  const counted = await deps.tokens.count(view.inputText(), view.model)
  if (counted === null) return reserved
  const exact = counted + view.inputTokensBeyondText
  if (exact >= view.inputTokensMax) return reserved
  const second = bound(deps, protocol, caller, view, arrival.startedAtMs, exact)
  return second.ok ? attempt(deps, arrival, second) : second
}
