import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import { NOT_ANSWERING } from '../bound.ts'
import { discard, FAILED, PASSED_ON } from '../call.ts'
import { dispatch, upstreamFailure, type BodySink, type Flow } from '../forward.ts'
import { upstreamHeaders } from '../headers.ts'
import { fail, own, release, tellFault } from '../settle.ts'
import type { HttpDeps, HttpExchange } from './exchange.ts'
import { bodyOf, bodyRefusal, declaredBytes } from './request-body.ts'
import type { HttpBounded } from './reserve.ts'

export interface ApiCallHandlers {
  /** The serving API answered; `exchange` names it. */
  open(
    exchange: HttpExchange,
    answer: { status: number; headers: IncomingHttpHeaders; flow: Flow },
  ): BodySink
  /** Nobody answered, and nothing more will be tried. */
  refused(exchange: HttpExchange, refusal: Refusal): void
}

/** One call: where to, and where else. */
interface ApiCall {
  readonly exchange: HttpExchange
  readonly others: readonly HttpBounded[]
}

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

/** The next API that may serve it: on the same hold, at its own price. */
function nextOf({ exchange, others }: ApiCall): ApiCall | null {
  for (const [index, { api, price, priceQuery, wantMicros }] of others.entries()) {
    if (api.breaker.open || exchange.hold.micros < wantMicros) continue
    const draft = { ...exchange.draft, upstream: api.name, priceVersion: price.version }
    const moved = { ...exchange, api, price, priceQuery, draft }
    return { exchange: moved, others: others.slice(index + 1) }
  }
  return null
}

/** Whether what was sent can be sent once more. A body that streams is gone. */
const isRepeatable = (exchange: HttpExchange): boolean =>
  exchange.kept !== null || declaredBytes(exchange) === undefined

async function goOn(deps: HttpDeps, call: ApiCall, handlers: ApiCallHandlers): Promise<void> {
  const { exchange } = call
  const isFresh = await exchange.hold.ensureFresh()
  if (exchange.out.destroyed) own(deps, exchange, release(deps, exchange))
  else if (isFresh) callApi(deps, call, handlers)
  else {
    handlers.refused(exchange, refuse('gateway_unavailable', 'The hold was lost. Try again.'))
  }
}

/** Owns the way to the next call; a fault there ends the request. */
function carryOn(deps: HttpDeps, call: ApiCall, handlers: ApiCallHandlers): void {
  goOn(deps, call, handlers).catch((error: unknown) => {
    fail(deps, call.exchange, error)
  })
}

/**
 * Calls a named API and, where it did no work (no connection, or 429, 503, 529 before the first
 * byte of an answer), the next one that may serve the request, on the same hold. Nothing of which a
 * byte may have been sent is repeated, save to one that says it did nothing. Source: design §2.5.
 */
export function callApi(deps: HttpDeps, call: ApiCall, handlers: ApiCallHandlers): void {
  const { exchange } = call
  const { api, times, sent } = exchange
  const { hooks, clock } = deps
  if (!api.breaker.admit(clock.monotonicMs())) {
    hooks.upstreamCalled(api.name, 'kept_away')
    const next = nextOf(call)
    if (next !== null) carryOn(deps, next, handlers)
    else {
      const retryAfterMs = api.breaker.openMs
      handlers.refused(exchange, refuse('gateway_unavailable', NOT_ANSWERING, { retryAfterMs }))
    }
    return
  }
  times.calledMs = clock.monotonicMs()
  if (times.sentMs === 0) times.sentMs = times.calledMs
  dispatch(api.dispatcher, optionsOf(exchange), {
    open(status, headers, flow) {
      const isFailure = FAILED.has(status)
      api.breaker.report(isFailure ? 'failed' : 'answered')
      const next = PASSED_ON.has(status) && isRepeatable(exchange) ? nextOf(call) : null
      if (next !== null) {
        hooks.upstreamCalled(api.name, 'passed_on')
        carryOn(deps, next, handlers)
        return discard(clock, flow)
      }
      hooks.upstreamCalled(api.name, isFailure ? 'failed' : 'answered')
      return handlers.open(exchange, { status, headers, flow })
    },
    refused(failure, wasSent) {
      const ours = bodyRefusal(sent.failure, api.requestBytesMax)
      api.breaker.report(ours === null ? 'failed' : 'unknown')
      const next = ours !== null || wasSent ? null : nextOf(call)
      if (ours === null) hooks.upstreamCalled(api.name, next === null ? 'failed' : 'passed_on')
      if (next !== null) carryOn(deps, next, handlers)
      else handlers.refused(exchange, ours ?? upstreamFailure(failure))
    },
    faulty: tellFault(deps, exchange.id),
    broken: (fault) => {
      fail(deps, exchange, fault)
    },
  })
}
