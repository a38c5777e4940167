import type { Dispatcher } from 'undici'
import type { GatewayDeps } from '../context.ts'
import { dispatch, type ForwardHandlers } from '../forward.ts'
import { upstreamHeaders } from '../headers.ts'
import type { HttpExchange } from './exchange.ts'
import { bodyOf, declaredBytes } from './request-body.ts'
import type { HttpBounded } from './reserve.ts'

function optionsOf(exchange: HttpExchange): Dispatcher.DispatchOptions {
  const { api, request, at, query } = exchange
  const headers = upstreamHeaders(request.headers, api.ownHeaders, api.ownHeaderNames)
  const length = request.headers['content-length']
  if (length !== undefined && !api.ownHeaderNames.has('content-length')) {
    headers.push('content-length', length)
  }
  return {
    origin: api.origin,
    path: `${api.basePath}${at.path}${query === '' ? '' : `?${query}`}` || '/',
    method: request.method ?? 'GET',
    headers,
    body: bodyOf(exchange),
  }
}

/** Sends a request to the API that it is at, its body as it comes or as it was kept. */
export function callApi(
  { clock }: Pick<GatewayDeps, 'clock'>,
  exchange: HttpExchange,
  handlers: ForwardHandlers,
): void {
  exchange.times.calledMs = clock.monotonicMs()
  dispatch(exchange.api.dispatcher, optionsOf(exchange), handlers)
}

/** The same request on its way to another API, at its price; null = more than what is held. */
export function movedTo(
  exchange: HttpExchange,
  { api, price, priceQuery, wantMicros }: HttpBounded,
): HttpExchange | null {
  if (exchange.hold.micros < wantMicros) return null
  const draft = { ...exchange.draft, upstream: api.name, priceVersion: price.version }
  return { ...exchange, api, price, priceQuery, draft }
}

/** Whether what was sent can be sent once more. A body that streams is gone. */
export const isRepeatable = (exchange: HttpExchange): boolean =>
  exchange.kept !== null || declaredBytes(exchange) === undefined
