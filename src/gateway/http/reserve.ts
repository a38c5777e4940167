import { allowsEndpoint, allowsModel, refuseEndpoint, refuseModel } from '../../access/allowed.ts'
import type { OpenHold, ReceiptDraft } from '../../credits/holds.ts'
import { isRefusal, refuse, type Refusal } from '../../kernel/errors.ts'
import { maxMicros, ZERO, type Micros } from '../../kernel/money.ts'
import type { Bound, Price, PriceQuery } from '../../pricing/pricing.ts'
import { NOT_ANSWERING } from '../bound.ts'
import type { GatewayDeps } from '../context.ts'
import { FOR_WANT_OF_CREDITS } from '../reserve.ts'
import { tooLarge } from '../take-body.ts'
import type { HttpApi } from './apis.ts'
import { nameOf, type HttpArrival } from './exchange.ts'
import { declaredBytes } from './request-body.ts'

/** What the request costs at most at one API. */
export interface HttpBounded {
  readonly api: HttpApi
  readonly price: Price
  readonly priceQuery: PriceQuery
  readonly wantMicros: Micros
}

export interface HttpReserved {
  readonly ok: true
  readonly hold: OpenHold
  readonly draft: ReceiptDraft
  readonly first: HttpBounded
  /** Where it may go should the first not answer. What is held may not do for all. */
  readonly others: readonly HttpBounded[]
}

/** What an API itself does not take of a request. */
function refusalAt(api: HttpApi, arrival: HttpArrival): Refusal | null {
  const method = arrival.request.method ?? 'GET'
  if (api.methods !== null && !api.methods.includes(method)) {
    return refuse('method_not_allowed', `${method} is not offered for up/${api.name}.`)
  }
  if ((declaredBytes(arrival) ?? 0) > api.requestBytesMax) {
    return tooLarge(api.requestBytesMax)
  }
  return null
}

/** What the key and the configuration say against it, before any price and any byte of its body. */
export function objectionTo(arrival: HttpArrival): Refusal | null {
  const { api, caller } = arrival
  const name = nameOf(arrival)
  const endpoint = `up/${api.name}`
  if (!allowsEndpoint(caller, endpoint)) return refuseEndpoint(caller, endpoint)
  if (!allowsModel(caller, name)) return refuseModel(caller, name.slice(0, 128))
  return refusalAt(api, arrival)
}

/** The most a request can use: what it declares, and for what the answer decides the limits. */
function boundOf(api: HttpApi, arrival: HttpArrival, keptBytes: number | null): Bound {
  const declared = keptBytes ?? declaredBytes(arrival)
  return {
    inputTokensMax: 0,
    outputTokensMax: 0,
    webSearchesMax: 0,
    serviceTier: null,
    unitsMax: {
      requests: 1,
      request_bytes: declared === undefined ? 0 : (declared ?? api.requestBytesMax),
      response_bytes: api.responseBytesMax,
      seconds: api.secondsMax,
      units: Math.max(api.units?.max ?? 0, api.units?.missing ?? 0),
    },
  }
}

/** null = the request has no price there, so it is refused. */
function boundAt(
  deps: GatewayDeps,
  arrival: HttpArrival,
  api: HttpApi,
  keptBytes: number | null,
): HttpBounded | null {
  const priceQuery: PriceQuery = {
    upstream: api.name,
    model: nameOf(arrival),
    atMs: arrival.startedAtMs,
    accountMarkup: arrival.caller.markup,
  }
  const price = deps.prices.find(priceQuery)
  if (price === null) return null
  const bound = boundOf(api, arrival, keptBytes)
  return { api, price, priceQuery, wantMicros: deps.prices.boundMicros(price, priceQuery, bound) }
}

function draftOf(arrival: HttpArrival, { api, price }: HttpBounded): ReceiptDraft {
  return {
    holdId: arrival.id,
    accountId: arrival.caller.accountId,
    keyId: arrival.caller.keyId,
    startedAtMs: arrival.startedAtMs,
    protocol: 'http',
    endpoint: `up/${arrival.api.name}`,
    upstream: api.name,
    model: nameOf(arrival),
    stream: false,
    estimated: true,
    usage: {},
    providerCostPicoUsd: '0',
    priceVersion: price.version,
    httpStatus: null,
    firstByteMs: null,
    durationMs: null,
  }
}

/** The API and its stand-ins that may be called now, in their order. */
function callable(
  deps: GatewayDeps,
  arrival: HttpArrival,
  keptBytes: number | null,
): readonly HttpBounded[] | Refusal {
  const { api } = arrival
  const own = boundAt(deps, arrival, api, keptBytes)
  if (own === null) {
    const name = nameOf(arrival).slice(0, 128)
    return refuse('model_not_found', `'${name}' of up/${api.name} has no price, so it is refused.`)
  }
  const rest = api.fallbacks
    .filter((other) => refusalAt(other, arrival) === null)
    .map((other) => boundAt(deps, arrival, other, keptBytes))
  return [own, ...rest].filter((one) => one !== null).filter((one) => !one.api.breaker.open)
}

/**
 * Bounds and holds what one request of a named API can cost at the dearest of those that may serve
 * it; where credits do not do for that, at the first alone. `keptBytes`: length of a body that was
 * read before. Source: design §2.3–4.
 */
export async function reserveHttp(
  deps: GatewayDeps,
  arrival: HttpArrival,
  keptBytes: number | null,
): Promise<HttpReserved | Refusal> {
  const all = callable(deps, arrival, keptBytes)
  if (isRefusal(all)) return all
  const [first, ...others] = all
  if (first === undefined) {
    const retryAfterMs = arrival.api.breaker.openMs
    return refuse('gateway_unavailable', NOT_ANSWERING, { retryAfterMs })
  }
  const draft = draftOf(arrival, first)
  const open = (micros: Micros): Promise<OpenHold | Refusal> => {
    const amounts = { wantMicros: micros, leastMicros: micros, tokens: 0 }
    return deps.holds.open({ draft, ...amounts, keySeq: arrival.caller.keySeq })
  }
  const dearest = all.map(({ wantMicros }) => wantMicros).reduce(maxMicros, ZERO)
  let hold = await open(dearest)
  if (!hold.ok && dearest > first.wantMicros && FOR_WANT_OF_CREDITS.has(hold.code)) {
    hold = await open(first.wantMicros)
  }
  return hold.ok ? { ok: true, hold, draft, first, others } : hold
}
