import type { IncomingHttpHeaders } from 'node:http'
import { errors } from 'undici'
import { sleep, type Clock } from '../kernel/clock.ts'
import { refuse, type Refusal } from '../kernel/errors.ts'
import {
  PASSED_ON_BYTES_MAX,
  PASSED_ON_MS_MAX,
  UPSTREAM_CONNECT_RETRY_MS,
  UPSTREAM_CONNECT_TRIES_MAX,
} from '../kernel/limits/upstreams.ts'
import { LOST } from './admit.ts'
import { NOT_ANSWERING } from './bound.ts'
import type { Breaker } from './breaker.ts'
import type { Served } from './count-served.ts'
import type { Exchange, GatewayDeps } from './context.ts'
import { upstreamFailure, type BodySink, type Flow, type ForwardHandlers } from './forward.ts'
import { fail, own, release, tellFault } from './settle.ts'

/** Statuses by which an upstream says that it did no work and another one may. */
const PASSED_ON = new Set([429, 503, 529])
/** Statuses that speak of the upstream itself. 500 does not: one bad request can cause it. */
const FAILED = new Set([502, 503, 504, 529])

/** A request on its way to whoever serves it. */
type Sendable = Served & Pick<Exchange, 'id' | 'out' | 'hold' | 'claim' | 'ended'>

/** The head of an answer, and what steers its body. */
export interface Opened {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly flow: Flow
}

/** How one kind of request is called. `E`: at the one that is called, `O`: another that may be. */
export interface CallKind<E extends Sendable, O> {
  called(of: E | O): { readonly name: string; readonly breaker: Breaker }
  /** The same request on its way to another; null = what is held does not do for it. */
  moved(deps: GatewayDeps, exchange: E, other: O): E | null
  send(deps: GatewayDeps, exchange: E, handlers: ForwardHandlers): void
  /** Why its body could not be sent, which says nothing of who was called; null = it could. */
  bodyRefusal(exchange: E): Refusal | null
  /** Whether what was sent can be sent once more. */
  isRepeatable(exchange: E): boolean
  /** Somebody answered; `exchange` names who. */
  open(deps: GatewayDeps, exchange: E, answer: Opened): BodySink
  /** Nobody answered, and nothing more will be tried. */
  refused(deps: GatewayDeps, exchange: E, refusal: Refusal): void
}

/** One call: where to, where else, and how often its connection was tried. */
export interface Call<E, O> {
  readonly exchange: E
  readonly others: readonly O[]
  readonly tries: number
}

/** The next one that may serve it. */
function nextOf<E extends Sendable, O>(
  deps: GatewayDeps,
  kind: CallKind<E, O>,
  { exchange, others }: Call<E, O>,
): Call<E, O> | null {
  for (const [index, other] of others.entries()) {
    if (kind.called(other).breaker.open) continue
    const moved = kind.moved(deps, exchange, other)
    if (moved !== null) return { exchange: moved, others: others.slice(index + 1), tries: 1 }
  }
  return null
}

/** The same one once more, where its connection failed at once and there is no other. */
function againOf<E, O>(call: Call<E, O>, failure: Error): Call<E, O> | null {
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

async function goOn<E extends Sendable, O>(
  deps: GatewayDeps,
  kind: CallKind<E, O>,
  call: Call<E, O>,
  pauseMs: number,
): Promise<void> {
  const { exchange } = call
  if (pauseMs > 0) await sleep(deps.clock, pauseMs)
  const isFresh = await exchange.hold.ensureFresh()
  if (exchange.out.destroyed) own(deps, exchange, release(deps, exchange))
  else if (isFresh) callInTurn(deps, kind, call)
  else kind.refused(deps, exchange, LOST)
}

/** Owns the way to the next call; a fault there ends the request. */
function carryOn<E extends Sendable, O>(
  deps: GatewayDeps,
  kind: CallKind<E, O>,
  call: Call<E, O>,
  pauseMs = 0,
): void {
  goOn(deps, kind, call, pauseMs).catch((error: unknown) => {
    fail(deps, call.exchange, error)
  })
}

/**
 * Calls who is to serve a request and, where it did no work (no connection, or 429, 503, 529 before
 * the first byte of an answer), the next one that may, on the same hold. Nothing of which a byte
 * may have been sent is repeated, save to one where the first says it did nothing. Source: design
 * §2.5.
 */
export function callInTurn<E extends Sendable, O>(
  deps: GatewayDeps,
  kind: CallKind<E, O>,
  call: Call<E, O>,
): void {
  const { exchange } = call
  const { breaker, name } = kind.called(exchange)
  const { hooks, clock } = deps
  if (!breaker.admit(clock.monotonicMs())) {
    hooks.upstreamCalled(name, 'kept_away')
    const next = nextOf(deps, kind, call)
    if (next !== null) carryOn(deps, kind, next)
    else {
      const retryAfterMs = breaker.openMs
      kind.refused(deps, exchange, refuse('gateway_unavailable', NOT_ANSWERING, { retryAfterMs }))
    }
    return
  }
  if (exchange.times.sentMs === 0) exchange.times.sentMs = clock.monotonicMs()
  kind.send(deps, exchange, {
    open(status, headers, flow) {
      const isFailure = FAILED.has(status)
      breaker.report(isFailure ? 'failed' : 'answered')
      const mayPass = PASSED_ON.has(status) && kind.isRepeatable(exchange)
      const next = mayPass ? nextOf(deps, kind, call) : null
      if (next !== null) {
        hooks.upstreamCalled(name, 'passed_on')
        carryOn(deps, kind, next)
        return discard(clock, flow)
      }
      hooks.upstreamCalled(name, isFailure ? 'failed' : 'answered')
      return kind.open(deps, exchange, { status, headers, flow })
    },
    refused(failure, wasSent) {
      const ours = kind.bodyRefusal(exchange)
      if (ours !== null) {
        breaker.report('unknown')
        kind.refused(deps, exchange, ours)
        return
      }
      breaker.report('failed')
      const next = wasSent ? null : nextOf(deps, kind, call)
      const again = wasSent || next !== null ? null : againOf(call, failure)
      hooks.upstreamCalled(name, next === null ? 'failed' : 'passed_on')
      if (next !== null) carryOn(deps, kind, next)
      else if (again !== null) carryOn(deps, kind, again, UPSTREAM_CONNECT_RETRY_MS)
      else kind.refused(deps, exchange, upstreamFailure(failure))
    },
    faulty: tellFault(deps, exchange.id),
    broken: (fault) => {
      fail(deps, exchange, fault)
    },
  })
}
