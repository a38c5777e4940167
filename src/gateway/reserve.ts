import type { OpenHold, ReceiptDraft } from '../credits/holds.ts'
import type { Refusal } from '../kernel/errors.ts'
import {
  CONTEXT_MARGIN,
  COUNTED_TEXT_BYTES_MAX,
  FIT_OUTPUT_TOKENS_MIN,
} from '../kernel/limits/models.ts'
import { maxMicros, ZERO, type Micros } from '../kernel/money.ts'
import type { RequestView } from '../protocols/protocol.ts'
import { bounds, type Bounded } from './bound.ts'
import type { Arrival, Exchange, GatewayDeps, Target } from './context.ts'

export interface Reserved {
  readonly ok: true
  readonly hold: OpenHold
  readonly target: Target
  readonly draft: ReceiptDraft
  /** Output limit to write into the request, per choice; null = leave it alone. */
  readonly outputTokensLimit: number | null
  /** What the input was counted to where that mattered; null = its bytes bound it. */
  readonly inputTokens: number | null
  /** Where the request may go should its target not answer. What is held may not do for all. */
  readonly others: readonly Bounded[]
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

export const FOR_WANT_OF_CREDITS = new Set([
  'insufficient_quota',
  'credits_held',
  'budget_exceeded',
])

/** Whether a request that needs less may be let through. */
export const isForItsNeed = (refusal: Refusal): boolean =>
  FOR_WANT_OF_CREDITS.has(refusal.code) || refusal.isOfSize === true

const most = (all: readonly Bounded[], name: 'wantMicros' | 'leastMicros'): Micros =>
  all.map((one) => one[name]).reduce(maxMicros, ZERO)

/** Counts the input in the tokenizer's thread, at most once; null = it could not: too large, … */
type CountInput = () => Promise<number | null>

function makeCount(deps: GatewayDeps, view: RequestView): CountInput {
  const count = async (): Promise<number | null> => {
    if (view.inputTokensMax > COUNTED_TEXT_BYTES_MAX) return null
    const texts = await view.inputText()
    const counted = texts === null ? null : await deps.tokens.count(texts, view.model)
    return counted === null ? null : counted + view.inputTokensBeyondText
  }
  let counting: Promise<number | null> | null = null
  return () => (counting ??= count())
}

/** Whether a limit is needed: what is held does not pay for all, or one is always injected. */
const injects = (bounded: Bounded, hold: Pick<OpenHold, 'micros'>): boolean =>
  bounded.injectUpTo !== null && (bounded.injectsAlways || hold.micros < bounded.wantMicros)

/** The limit that would be injected may not fit the context beside as many tokens as bytes. */
const isTight = ({ injectUpTo, contextTokens }: Bounded, view: RequestView): boolean =>
  injectUpTo !== null && contextTokens !== null && injectUpTo + view.inputTokensMax > contextTokens

/** Holds what the dearest of the upstreams may cost, so that a hold need never grow. */
function attempt(
  deps: GatewayDeps,
  arrival: Arrival,
  first: Bounded,
  others: readonly Bounded[],
  count: CountInput,
): Promise<Reserved | Refusal> {
  const { target } = first
  const draft = draftOf(arrival, target)
  const all = others.length === 0 ? [first] : [first, ...others]
  const reserved = (hold: OpenHold, inputTokens: number | null): Reserved => {
    const outputTokensLimit = limitWithin(deps, first, hold, { view: arrival.view, inputTokens })
    return { ok: true, hold, target, draft, outputTokensLimit, inputTokens, others }
  }
  const request = {
    draft,
    wantMicros: most(all, 'wantMicros'),
    leastMicros: most(all, 'leastMicros'),
    tokens: target.bound.inputTokensMax + target.bound.outputTokensMax,
    keySeq: arrival.caller.keySeq,
  }
  return deps.holds.open(request).then((hold) => {
    if (!hold.ok) return hold
    const isCounted = all.some((one) => injects(one, hold) && isTight(one, arrival.view))
    if (!isCounted) return reserved(hold, null)
    return count().then((inputTokens) => reserved(hold, inputTokens))
  })
}

/**
 * The output limit that is injected, per choice; null = none. What was held pays for it, its models
 * take it, and it fits the context beside the input.
 */
export function limitWithin(
  deps: Pick<GatewayDeps, 'prices'>,
  bounded: Bounded,
  hold: Pick<OpenHold, 'micros'>,
  { view, inputTokens }: Pick<Exchange, 'view' | 'inputTokens'>,
): number | null {
  const { injectUpTo, contextTokens } = bounded
  if (injectUpTo === null || !injects(bounded, hold)) return null
  const paysForAll = hold.micros >= bounded.wantMicros
  const affordable = paysForAll ? injectUpTo : affordableWithin(deps, bounded, hold, view)
  const room = contextTokens === null ? injectUpTo : roomIn(contextTokens, view, inputTokens)
  return Math.max(1, Math.min(injectUpTo, affordable, room))
}

/** Output tokens of one choice that are paid for whichever of its models answers. */
function affordableWithin(
  deps: Pick<GatewayDeps, 'prices'>,
  { priced, target }: Bounded,
  hold: Pick<OpenHold, 'micros'>,
  { choices, outputTokensBeyondLimit: beyond = 0 }: RequestView,
): number {
  const each = priced.map(({ price, query }) =>
    deps.prices.outputTokensWithin(price, query, target.bound, hold.micros),
  )
  return Math.floor(Math.min(...each) / choices) - beyond
}

/** What the input leaves of a context. Where too little, the provider is to say so itself. */
function roomIn(contextTokens: number, view: RequestView, inputTokens: number | null): number {
  const counted = Math.ceil((inputTokens ?? Infinity) * (1 + CONTEXT_MARGIN))
  return Math.max(FIT_OUTPUT_TOKENS_MIN, contextTokens - Math.min(counted, view.inputTokensMax))
}

/** For all upstreams that may serve it; where credits do not do for that, for the first alone. */
function attemptAll(
  deps: GatewayDeps,
  arrival: Arrival,
  inputTokens: number | null,
  count: CountInput,
): Promise<Reserved | Refusal> {
  const { protocol, caller, view, startedAtMs } = arrival
  const bounded = bounds(deps, protocol, caller, view, startedAtMs, inputTokens)
  if (!bounded.ok) return Promise.resolve(bounded)
  const { first, others } = bounded
  const reserving = attempt(deps, arrival, first, others, count)
  const isDearer = others.length > 0 && most(others, 'leastMicros') > first.leastMicros
  if (!isDearer) return reserving
  return reserving.then(async (reserved) => {
    if (reserved.ok || !FOR_WANT_OF_CREDITS.has(reserved.code)) return reserved
    const alone = await attempt(deps, arrival, first, [], count)
    return alone.ok ? { ...alone, others } : alone
  })
}

/**
 * Bounds and holds. Where the byte bound does not fit the balance, the input is counted exactly in
 * the tokenizer's thread before the request is refused. Source: design §2.3–4, providers.md §4.
 */
export function reserve(deps: GatewayDeps, arrival: Arrival): Promise<Reserved | Refusal> {
  const count = makeCount(deps, arrival.view)
  return attemptAll(deps, arrival, null, count).then((reserved) =>
    reserved.ok || !FOR_WANT_OF_CREDITS.has(reserved.code)
      ? reserved
      : attemptExactly(deps, arrival, reserved, count),
  )
}

async function attemptExactly(
  deps: GatewayDeps,
  arrival: Arrival,
  refusal: Refusal,
  count: CountInput,
): Promise<Reserved | Refusal> {
  const exact = await count()
  if (exact === null || exact >= arrival.view.inputTokensMax) return refusal
  return attemptAll(deps, arrival, exact, count)
}
