import type { Caller } from '../access/access.ts'
import { allowsEndpoint, allowsModel, refuseEndpoint, refuseModel } from '../access/allowed.ts'
import { isRefusal, refuse, type Refusal } from '../kernel/errors.ts'
import {
  FIT_OUTPUT_TOKENS_MIN,
  FIT_UNKNOWN_OUTPUT_TOKENS_MAX,
  TOOL_CALLS_UNSTATED_MAX,
  UNKNOWN_CONTEXT_TOKENS_MAX,
  UNKNOWN_OUTPUT_TOKENS_MAX,
} from '../kernel/limits/models.ts'
import { maxMicros, ZERO, type Micros } from '../kernel/money.ts'
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
  /** The client named no output limit: one may be injected, at most this many tokens a choice. */
  readonly injectUpTo: number | null
  /** It is a default of the operator's. Else what pays for the longest answer needs no limit. */
  readonly injectsAlways: boolean
  /** Input and output together may have so many tokens in each of its models; null = unknown. */
  readonly contextTokens: number | null
  /** Its own model and all others it names: any of them may be the one that is charged. */
  readonly priced: readonly Priced[]
}

interface BoundDeps {
  readonly prices: PriceBook
  readonly upstreams: () => Upstreams
  readonly settings: () => GatewaySettings
}

const unknownModel = (model: string): Refusal =>
  refuse(
    'model_not_found',
    `The model '${model.slice(0, 128)}' does not exist here or has no price.`,
  )

/** What of a request tells where it may go. */
type Named = Pick<RequestView, 'model' | 'otherModels' | 'toolModels' | 'servedByAny' | 'upstream'>

const NONE: readonly string[] = []

/** Models beside its own that may answer in its place. */
const othersOf = ({ model, otherModels }: Named): readonly string[] =>
  otherModels === undefined ? NONE : otherModels.filter((other) => other !== model)

/**
 * All that has to be on the key's lists. A glob of names that the provider may choose is one text
 * among them: a list allows it only with a glob that takes in all that this one does.
 */
const namedBy = (view: Named): readonly string[] => [
  view.model,
  ...othersOf(view),
  ...(view.toolModels ?? []),
  ...(view.servedByAny === undefined ? [] : [view.servedByAny]),
]

/** Checks the key's lists and finds the model's upstream. Source: design §2.3, providers.md §2. */
export function chooseUpstream(
  deps: BoundDeps,
  protocol: Protocol,
  caller: Caller,
  view: Named,
): { upstream: Target['upstream'] } | Refusal {
  if (!allowsEndpoint(caller, protocol.endpoint)) return refuseEndpoint(caller, protocol.endpoint)
  const barred = namedBy(view).find((model) => !allowsModel(caller, model))
  if (barred !== undefined) return refuseModel(caller, barred)
  const upstream =
    view.upstream === undefined
      ? deps.upstreams().choose(protocol.family, view.model)
      : (deps.upstreams().all.find(({ name }) => name === view.upstream) ?? null)
  return upstream === null ? unknownModel(view.model) : { upstream }
}

/** Why a model is refused whatever the rest of its request says; null = nothing is known. */
export function refuseAtOnce(
  deps: BoundDeps,
  protocol: Protocol,
  caller: Caller,
  model: string,
  atMs: number,
): Refusal | null {
  const chosen = chooseUpstream(deps, protocol, caller, { model })
  if (isRefusal(chosen)) return chosen
  const query = { upstream: chosen.upstream.name, model, atMs, accountMarkup: caller.markup }
  return deps.prices.find(query) === null ? unknownModel(model) : null
}

const NOBODYS_FILE =
  'Files, containers and the like are not kept for you here: none can be named by id (media_by_id).'

interface Priced {
  readonly price: Price
  readonly query: PriceQuery
}

type Used = Pick<RequestView, 'inputTokensMax' | 'outputTokensLimit' | 'unitsMax'>

/** A price that is silent about all that a request may use would make it free. */
function isCovered(
  { prices }: BoundDeps,
  price: Price,
  { inputTokensMax, outputTokensLimit, unitsMax }: Used,
): boolean {
  if (price.coversTokens) return true
  return prices.covers(price, {
    ...{ input_tokens: inputTokensMax, output_tokens: outputTokensLimit ?? 1 },
    ...unitsMax,
  })
}

/** What the model of a tool is used for. */
const DRAWN: Used = { inputTokensMax: 1, outputTokensLimit: 1, unitsMax: { images: 1 } }

interface AllPriced {
  /** Those that may write the answer. */
  readonly answering: readonly [own: Priced, ...others: Priced[]]
  /** Those that tools use beside it: no limit of an answer is theirs. */
  readonly beside: readonly Priced[]
}

/** What each of the request's models costs at one upstream, or why it may not go there. */
function priceAt(
  deps: BoundDeps,
  upstream: Target['upstream'],
  caller: Caller,
  view: RequestView,
  nowMs: number,
): AllPriced | Refusal {
  if (view.unbounded.length > 0 && upstream.unbounded === 'deny') {
    return refuse('unsupported_feature', `Not allowed here: ${view.unbounded.join(', ')}.`)
  }
  if (view.unbounded.includes('media_by_id') && upstream.storedIds !== 'any') {
    return refuse('unsupported_feature', NOBODYS_FILE)
  }
  const priced = (model: string, used: Used): Priced | null => {
    const query = { upstream: upstream.name, model, atMs: nowMs, accountMarkup: caller.markup }
    const price = deps.prices.find(query)
    return price === null || !isCovered(deps, price, used) ? null : { price, query }
  }
  const own = priced(view.model, view)
  if (own === null) return unknownModel(view.model)
  const answering: [Priced, ...Priced[]] = [own]
  for (const model of othersOf(view)) {
    const other = priced(model, view)
    if (other === null) return unknownModel(model)
    answering.push(other)
  }
  const beside: Priced[] = []
  for (const model of view.toolModels ?? []) {
    const drawn = priced(model, DRAWN)
    if (drawn === null) return unknownModel(model)
    beside.push(drawn)
  }
  return { answering, beside }
}

/** Output tokens of one choice that the request may cause, before any fitting. */
function outputTokensOf(view: RequestView, price: Price, settings: GatewaySettings): number {
  const modelMax = price.maxOutputTokens ?? price.contextTokens ?? UNKNOWN_OUTPUT_TOKENS_MAX
  const asked = view.outputTokensLimit ?? settings.maxOutputTokensDefault ?? modelMax
  return Math.min(asked, price.maxOutputTokens ?? asked)
}

/** A client may name any number of searches or calls; past the safe integers it is only huge. */
const huge = (count: number): number => Math.min(count, Number.MAX_SAFE_INTEGER)

/** Here the provider calls the model again, with all that went before, after each call. */
const LOOPS = new Set(['hosted_tools', 'web_search', 'mcp_servers'])

/** Input tokens to hold beyond what the body shows, by the upstream's policy. */
function tokensBeyondBody(
  { unbounded, unboundedReserveTokens }: Target['upstream'],
  view: RequestView,
  price: Price,
): number {
  if (view.unbounded.length === 0) return 0
  if (unbounded !== 'window') return unboundedReserveTokens
  const stated = view.toolCallsMax ?? Math.max(view.webSearchesMax, TOOL_CALLS_UNSTATED_MAX)
  const calls = view.unbounded.some((reason) => LOOPS.has(reason)) ? Math.max(1, stated) : 1
  return (price.contextTokens ?? UNKNOWN_CONTEXT_TOKENS_MAX) * calls
}

/**
 * The most that may be injected: no more than a model is known to take, or it refuses the request.
 * Its context is not known to be all output, and a guess is no limit.
 */
const injectableOf = (price: Price, settings: GatewaySettings): number =>
  Math.min(
    settings.maxOutputTokensDefault ?? Infinity,
    price.maxOutputTokens ?? settings.maxOutputTokensDefault ?? FIT_UNKNOWN_OUTPUT_TOKENS_MAX,
  )

/** The smallest context of all that are known. */
function contextOf(priced: readonly Priced[]): number | null {
  const known = priced.map(({ price }) => price.contextTokens).filter((each) => each !== null)
  return known.length === 0 ? null : Math.min(...known)
}

const largest = (all: readonly Priced[], of: (each: Priced) => number): number =>
  all.reduce((most, each) => Math.max(most, of(each)), 0)

/**
 * The most this request can cost at one upstream. `inputTokens` replaces the byte bound once it was
 * counted. Source: design §2.3, providers.md §4.
 */
function boundAt(
  deps: BoundDeps,
  upstream: Target['upstream'],
  caller: Caller,
  view: RequestView,
  nowMs: number,
  inputTokens: number | null,
): Bounded | Refusal {
  const all = priceAt(deps, upstream, caller, view, nowMs)
  if (isRefusal(all)) return all
  const { answering: priced, beside } = all
  const [{ price, query }] = priced
  const settings = deps.settings()
  const mayFit = settings.fitToBalance && view.outputTokensLimit === null
  const injectsAlways = view.outputTokensLimit === null && settings.maxOutputTokensDefault !== null
  const moreInput = largest(priced, (each) => tokensBeyondBody(upstream, view, each.price))
  // One limit is injected for all of them: none may refuse it.
  const injectable = priced.reduce(
    (least, each) => Math.min(least, injectableOf(each.price, settings)),
    Infinity,
  )
  const perChoice = injectsAlways
    ? injectable
    : largest(priced, (each) => outputTokensOf(view, each.price, settings))
  const beyond = view.outputTokensBeyondLimit ?? 0
  const limits: Bound = {
    inputTokensMax: huge((inputTokens ?? view.inputTokensMax) + moreInput),
    outputTokensMax: (perChoice + beyond) * view.choices,
    webSearchesMax: huge(view.webSearchesMax),
    serviceTier: view.serviceTier,
    absent: view.absentBuckets ?? [],
    ...(view.unitsMax === undefined ? {} : { unitsMax: view.unitsMax }),
    ...(view.unitsBesideTokens === true ? { unitsBesideTokens: true } : {}),
  }
  const charged: readonly Priced[] = beside.length === 0 ? priced : [...priced, ...beside]
  const dearest = (bound: Bound): Micros =>
    charged.reduce(
      (most, each) => maxMicros(most, deps.prices.boundMicros(each.price, each.query, bound)),
      ZERO,
    )
  const wantMicros = dearest(limits)
  const least = (Math.min(FIT_OUTPUT_TOKENS_MIN, perChoice) + beyond) * view.choices
  return {
    ok: true,
    target: { upstream, price, query, bound: limits },
    wantMicros,
    leastMicros: mayFit ? dearest({ ...limits, outputTokensMax: least }) : wantMicros,
    priced,
    injectUpTo: mayFit || injectsAlways ? injectable : null,
    injectsAlways,
    contextTokens: contextOf(priced),
  }
}

export const NOT_ANSWERING = 'The model provider is not answering right now. Try again.'

/**
 * Bounds the request at its model's upstream and at each that may stand in for it, in the order in
 * which they are called. Those whose breaker is open, and stand-ins that do not offer the model,
 * are left out.
 */
export function bounds(
  deps: BoundDeps,
  protocol: Protocol,
  caller: Caller,
  view: RequestView,
  nowMs: number,
  inputTokens: number | null,
): { readonly ok: true; readonly first: Bounded; readonly others: readonly Bounded[] } | Refusal {
  const chosen = chooseUpstream(deps, protocol, caller, view)
  if (isRefusal(chosen)) return chosen
  const { upstream } = chosen
  const own = boundAt(deps, upstream, caller, view, nowMs, inputTokens)
  if (!own.ok) return own
  const fallbacks = view.upstream === undefined ? upstream.fallbacks : []
  if (fallbacks.length === 0 && !upstream.breaker.open) {
    return { ok: true, first: own, others: [] }
  }
  const rest = fallbacks.map((other) => boundAt(deps, other, caller, view, nowMs, inputTokens))
  const [first, ...others] = [own, ...rest]
    .filter((one) => one.ok)
    .filter(({ target }) => !target.upstream.breaker.open)
  if (first !== undefined) return { ok: true, first, others }
  const retryAfterMs = upstream.breaker.openMs
  return refuse('gateway_unavailable', NOT_ANSWERING, { retryAfterMs })
}
