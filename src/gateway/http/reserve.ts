import { allowsEndpoint, allowsModel, refuseEndpoint, refuseModel } from '../../access/allowed.ts'
import type { OpenHold, ReceiptDraft } from '../../credits/holds.ts'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import type { Bound, Price, PriceQuery } from '../../pricing/pricing.ts'
import { NOT_ANSWERING } from '../bound.ts'
import { nameOf, type HttpArrival, type HttpDeps } from './exchange.ts'

export interface HttpReserved {
  readonly ok: true
  readonly hold: OpenHold
  readonly draft: ReceiptDraft
  readonly price: Price
  readonly priceQuery: PriceQuery
}

/** Length that the request declares; null = chunked, undefined = no body. */
export function declaredBytes({ request }: HttpArrival): number | null | undefined {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  if (coding !== undefined) return null
  return length === undefined ? undefined : Number(length)
}

/** What the key and the configuration say against it, before any price. */
function objection(arrival: HttpArrival): Refusal | null {
  const { api, caller, request } = arrival
  const name = nameOf(arrival)
  const endpoint = `up/${api.name}`
  if (!allowsEndpoint(caller, endpoint)) return refuseEndpoint(caller, endpoint)
  if (!allowsModel(caller, name)) return refuseModel(caller, name.slice(0, 128))
  const method = request.method ?? 'GET'
  if (api.methods !== null && !api.methods.includes(method)) {
    return refuse('method_not_allowed', `${method} is not offered for up/${api.name}.`)
  }
  if (request.headers.upgrade?.toLowerCase().includes('websocket') === true) {
    return refuse('unsupported_feature', 'WebSockets are not offered here: they are not metered.')
  }
  if ((declaredBytes(arrival) ?? 0) > api.requestBytesMax) {
    return refuse('request_too_large', `Bodies may have up to ${api.requestBytesMax} bytes here.`)
  }
  return null
}

/** The most a request can use: what it declares, and for what the answer decides the limits. */
function boundOf(arrival: HttpArrival): Bound {
  const { api } = arrival
  const declared = declaredBytes(arrival)
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

function draftOf(arrival: HttpArrival, price: Price): ReceiptDraft {
  return {
    holdId: arrival.id,
    accountId: arrival.caller.accountId,
    keyId: arrival.caller.keyId,
    startedAtMs: arrival.startedAtMs,
    protocol: 'http',
    endpoint: `up/${arrival.api.name}`,
    upstream: arrival.api.name,
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

/** Bounds and holds what one request of a named API can cost. Source: design §2.3–4. */
export async function reserveHttp(
  deps: HttpDeps,
  arrival: HttpArrival,
): Promise<HttpReserved | Refusal> {
  const { api, caller, startedAtMs } = arrival
  const refusal = objection(arrival)
  if (refusal !== null) return refusal
  const priceQuery: PriceQuery = {
    upstream: api.name,
    model: nameOf(arrival),
    atMs: startedAtMs,
    accountMarkup: caller.markup,
  }
  const price = deps.prices.find(priceQuery)
  if (price === null) {
    const name = priceQuery.model.slice(0, 128)
    return refuse('model_not_found', `'${name}' of up/${api.name} has no price, so it is refused.`)
  }
  if (api.breaker.open) {
    const retryAfterMs = api.breaker.openMs
    return refuse('gateway_unavailable', NOT_ANSWERING, { retryAfterMs })
  }
  const draft = draftOf(arrival, price)
  const wantMicros = deps.prices.boundMicros(price, priceQuery, boundOf(arrival))
  const amounts = { wantMicros, leastMicros: wantMicros, tokens: 0 }
  const hold = await deps.holds.open({ draft, ...amounts, keySeq: caller.keySeq })
  return hold.ok ? { ok: true, hold, draft, price, priceQuery } : hold
}
