import type { Caller } from '../access/access.ts'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { matchesAny } from '../kernel/glob.ts'
import { FIT_OUTPUT_TOKENS_MIN, UNKNOWN_OUTPUT_TOKENS_MAX } from '../kernel/limits.ts'
import type { Micros } from '../kernel/money.ts'
import type { Bound, Price, PriceBook, PriceQuery } from '../pricing/pricing.ts'
import type { Protocol, RequestView } from '../protocols/protocol.ts'
import type { GatewaySettings, Target } from './context.ts'
import type { Upstreams } from './upstreams.ts'

export interface Bounded {
  readonly ok: true
  readonly target: Target
  /** What the request at most costs, and the least worth holding where it may be fitted. */
  readonly wantMicros: Micros
  readonly leastMicros: Micros
  /** The client named no output limit: one is injected, at most this many tokens a choice. */
  readonly injectUpTo: number | null
}

interface BoundDeps {
  readonly prices: PriceBook
  readonly upstreams: () => Upstreams
  readonly settings: () => GatewaySettings
}

/** Checks the key's lists and finds upstream and price. Source: design §2.3, providers.md §2. */
export function chooseTarget(
  deps: BoundDeps,
  protocol: Protocol,
  caller: Caller,
  view: RequestView,
  nowMs: number,
): { upstream: Target['upstream']; price: Price; query: PriceQuery } | Refusal {
  if (!matchesAny(caller.endpoints, protocol.endpoint)) {
    return refuse('model_not_allowed', `This key may not call ${protocol.endpoint}.`)
  }
  if (!matchesAny(caller.models, view.model)) {
    return refuse('model_not_allowed', `This key may not use the model '${view.model}'.`)
  }
  if (view.background === true) {
    return refuse('unsupported_feature', 'Background responses are not offered here yet.')
  }
  const unknown = refuse(
    'model_not_found',
    `The model '${view.model.slice(0, 128)}' does not exist here or has no price.`,
  )
  const upstream = deps.upstreams().choose(protocol.family, view.model)
  if (upstream === null) return unknown
  if (view.unbounded.length > 0 && upstream.unbounded === 'deny') {
    return refuse('unsupported_feature', `Not allowed here: ${view.unbounded.join(', ')}.`)
  }
  const query: PriceQuery = {
    upstream: upstream.name,
    model: view.model,
    atMs: nowMs,
    accountMarkup: caller.markup,
  }
  const price = deps.prices.find(query)
  return price === null ? unknown : { upstream, price, query }
}

/** Output tokens of one choice that the request may cause, before any fitting. */
function outputTokensOf(view: RequestView, price: Price, settings: GatewaySettings): number {
  const modelMax = price.maxOutputTokens ?? price.contextTokens ?? UNKNOWN_OUTPUT_TOKENS_MAX
  const asked = view.outputTokensLimit ?? settings.maxOutputTokensDefault ?? modelMax
  return Math.min(asked, price.maxOutputTokens ?? asked)
}

/**
 * The most this request can cost. `inputTokens` replaces the byte bound once it was counted.
 * Source: design §2.3, providers.md §4.
 */
export function bound(
  deps: BoundDeps,
  protocol: Protocol,
  caller: Caller,
  view: RequestView,
  nowMs: number,
  inputTokens: number | null,
): Bounded | Refusal {
  const chosen = chooseTarget(deps, protocol, caller, view, nowMs)
  if ('ok' in chosen) return chosen
  const { upstream, price, query } = chosen
  const settings = deps.settings()
  const perChoice = outputTokensOf(view, price, settings)
  const beyond = view.outputTokensBeyondLimit ?? 0
  const reserveMore = view.unbounded.length > 0 ? upstream.unboundedReserveTokens : 0
  const limits: Bound = {
    inputTokensMax: (inputTokens ?? view.inputTokensMax) + reserveMore,
    outputTokensMax: (perChoice + beyond) * view.choices,
    webSearchesMax: view.webSearchesMax,
    serviceTier: view.serviceTier,
    absent: view.absentBuckets ?? [],
  }
  const wantMicros = deps.prices.boundMicros(price, query, limits)
  const mayFit = settings.fitToBalance && view.outputTokensLimit === null
  const least = (Math.min(FIT_OUTPUT_TOKENS_MIN, perChoice) + beyond) * view.choices
  const injects =
    view.outputTokensLimit === null && (mayFit || settings.maxOutputTokensDefault !== null)
  return {
    ok: true,
    target: { upstream, price, query, bound: limits },
    wantMicros,
    leastMicros: mayFit
      ? deps.prices.boundMicros(price, query, { ...limits, outputTokensMax: least })
      : wantMicros,
    injectUpTo: injects ? perChoice : null,
  }
}
