import type { IncomingHttpHeaders } from 'node:http'
import { errors } from 'undici'
import { sleep, type Clock } from '../kernel/clock.ts'
import { refuse, type Refusal } from '../kernel/errors.ts'
import {
  PASSED_ON_BYTES_MAX,
  PASSED_ON_MS_MAX,
  UPSTREAM_CONNECT_RETRY_MS,
  UPSTREAM_CONNECT_TRIES_MAX,
} from '../kernel/limits.ts'
import { NOT_ANSWERING, type Bounded } from './bound.ts'
import { bodyFor } from './body.ts'
import type { Exchange, GatewayDeps } from './context.ts'
import { forward, upstreamFailure, type BodySink, type Flow } from './forward.ts'
import { limitWithin } from './reserve.ts'
import { fail, own, release, tellFault } from './settle.ts'

/** Statuses by which an upstream says that it did no work and another one may. */
export const PASSED_ON = new Set([429, 503, 529])
/** Statuses that speak of the upstream itself. 500 does not: one bad request can cause it. */
export const FAILED = new Set([502, 503, 504, 529])

export interface CallHandlers {
  /** The serving upstream answered; `exchange` names it. */
  open(exchange: Exchange, status: number, headers: IncomingHttpHeaders, flow: Flow): BodySink
  /** Nobody answered, and nothing more will be tried. */
  refused(exchange: Exchange, refusal: Refusal): void
}

/** One call: where to, where else, and how often its connection was tried. */
export interface Call {
  readonly exchange: Exchange
  readonly others: readonly Bounded[]
  readonly tries: number
}

/** The same request on its way to another upstream, null = what is held does not do for it. */
function exchangeAt(deps: GatewayDeps, exchange: Exchange, bounded: Bounded): Exchange | null {
  if (exchange.hold.micros < bounded.leastMicros) return null
  const { target } = bounded
  const limit = limitWithin(deps, bounded, exchange.hold, exchange)
  return {
    ...exchange,
    target,
    body: bodyFor(exchange, target, limit),
    draft: {
      ...exchange.draft,
      upstream: target.upstream.name,
      priceVersion: target.price.version,
    },
  }
}

/** The next upstream that may serve it. */
function nextOf(deps: GatewayDeps, { exchange, others }: Call): Call | null {
  for (const [index, bounded] of others.entries()) {
    if (bounded.target.upstream.breaker.open) continue
    const moved = exchangeAt(deps, exchange, bounded)
    if (moved !== null) return { exchange: moved, others: others.slice(index + 1), tries: 1 }
  }
  return null
}

/** The same upstream once more, where its connection failed at once and there is no other. */
function againOf(call: Call, failure: Error): Call | null {
  if (call.tries >= UPSTREAM_CONNECT_TRIES_MAX) return null
  if (failure instanceof errors.ConnectTimeoutError) return null
  return { ...call, tries: call.tries + 1 }
}

/**
 * Reads what is small and comes soon to its end, so that the connection stays good, and forgets
 * it.
 */
export function discard(clock: Clock, flow: Flow): BodySink {
  let bytes = 0
  const cancel = clock.after(PASSED_ON_MS_MAX, flow.abort)
  return {
    data(chunk) {
      bytes += chunk.length
      if (bytes > PASSED_ON_BYTES_MAX) flow.abort()
    },
    end: cancel,
    fail: cancel,
  }
}

async function goOn(
  deps: GatewayDeps,
  call: Call,
  handlers: CallHandlers,
  pauseMs: number,
): Promise<void> {
  const { exchange } = call
  if (pauseMs > 0) await sleep(deps.clock, pauseMs)
  const isFresh = await exchange.hold.ensureFresh()
  if (exchange.out.destroyed) own(deps, exchange, release(deps, exchange))
  else if (isFresh) callUpstream(deps, call, handlers)
  else {
    const lost = refuse('gateway_unavailable', 'The hold was lost. Try again.')
    handlers.refused(exchange, lost)
  }
}

/** Owns the way to the next call; a fault there ends the request. */
function carryOn(deps: GatewayDeps, call: Call, handlers: CallHandlers, pauseMs = 0): void {
  goOn(deps, call, handlers, pauseMs).catch((error: unknown) => {
    fail(deps, call.exchange, error)
  })
}

/**
 * Calls the upstream of an exchange and, where it did no work (no connection, or 429, 503, 529
 * before the first byte of an answer), the next one that may serve it, on the same hold. A request
 * of which anything may have been sent is never repeated. Source: design §2.5.
 */
export function callUpstream(deps: GatewayDeps, call: Call, handlers: CallHandlers): void {
  const { exchange } = call
  const { breaker, name } = exchange.target.upstream
  const { hooks, clock } = deps
  if (!breaker.admit(clock.monotonicMs())) {
    hooks.upstreamCalled(name, 'kept_away')
    const next = nextOf(deps, call)
    if (next !== null) carryOn(deps, next, handlers)
    else {
      const retryAfterMs = breaker.openMs
      handlers.refused(exchange, refuse('gateway_unavailable', NOT_ANSWERING, { retryAfterMs }))
    }
    return
  }
  if (exchange.times.sentMs === 0) exchange.times.sentMs = clock.monotonicMs()
  forward(exchange, {
    open(status, headers, flow) {
      const isFailure = FAILED.has(status)
      breaker.report(isFailure ? 'failed' : 'answered')
      const next = PASSED_ON.has(status) ? nextOf(deps, call) : null
      if (next !== null) {
        hooks.upstreamCalled(name, 'passed_on')
        carryOn(deps, next, handlers)
        return discard(clock, flow)
      }
      hooks.upstreamCalled(name, isFailure ? 'failed' : 'answered')
      return handlers.open(exchange, status, headers, flow)
    },
    refused(failure, wasSent) {
      const ours = exchange.sent?.stopped ?? null
      if (ours !== null) {
        breaker.report('unknown')
        handlers.refused(exchange, ours)
        return
      }
      breaker.report('failed')
      const next = wasSent ? null : nextOf(deps, call)
      const again = wasSent || next !== null ? null : againOf(call, failure)
      hooks.upstreamCalled(name, next === null ? 'failed' : 'passed_on')
      if (next !== null) carryOn(deps, next, handlers)
      else if (again !== null) carryOn(deps, again, handlers, UPSTREAM_CONNECT_RETRY_MS)
      else handlers.refused(exchange, upstreamFailure(failure))
    },
    faulty: tellFault(deps, exchange.id),
    broken: (fault) => {
      fail(deps, exchange, fault)
    },
  })
}
