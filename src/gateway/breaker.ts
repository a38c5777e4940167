import CircuitBreaker from 'opossum'
import { BREAKER_TRIAL_MS_MAX, BREAKER_WINDOW_MS } from '../kernel/limits/upstreams.ts'

export interface BreakerSettings {
  /** Share of failed calls, in percent, from which it opens. */
  readonly failurePercent: number
  /** Calls within BREAKER_WINDOW_MS below which it never opens. */
  readonly callsMin: number
  /** How long it stays open before one call may try again, ms. */
  readonly openMs: number
}

/** How an admitted call went. 'unknown' says nothing of the upstream. */
export type CallOutcome = 'answered' | 'failed' | 'unknown'

/** Keeps calls away from an upstream that fails. One per upstream and process. */
export interface Breaker {
  /** Whether a call may be made now. While it is half open one call at a time may try. */
  admit(monotonicMs: number): boolean
  /** Told once for each admitted call, as soon as the upstream answered or failed. */
  report(outcome: CallOutcome): void
  /** No call is admitted now. A look that changes nothing. */
  readonly open: boolean
  readonly openMs: number
  close(): void
}

class UpstreamFailed extends Error {
  override readonly name = 'UpstreamFailed'
}

/**
 * A window of calls in which too many failed opens it; after a while one call tries, and closes or
 * opens it again. Outcomes are told when they are known instead of wrapping the call, so that a
 * stream's length is not part of it and no timer runs per call.
 */
export function makeBreaker(name: string, settings: BreakerSettings): Breaker {
  const failure = new UpstreamFailed(name)
  const circuit = new CircuitBreaker<[boolean], void>(
    (isFailed) => (isFailed ? Promise.reject(failure) : Promise.resolve()),
    {
      name,
      timeout: false,
      errorThresholdPercentage: settings.failurePercent,
      volumeThreshold: settings.callsMin,
      resetTimeout: settings.openMs,
      rollingCountTimeout: BREAKER_WINDOW_MS,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
    },
  )
  let tryingSinceMs: number | null = null
  return {
    admit(monotonicMs) {
      if (circuit.closed || circuit.isShutdown) return true
      if (!circuit.halfOpen) return false
      if (tryingSinceMs !== null && monotonicMs - tryingSinceMs < BREAKER_TRIAL_MS_MAX) return false
      tryingSinceMs = monotonicMs
      return true
    },
    report(outcome) {
      tryingSinceMs = null
      if (outcome === 'unknown') return
      circuit.fire(outcome === 'failed').catch(() => undefined)
    },
    get open() {
      return circuit.opened
    },
    openMs: settings.openMs,
    close() {
      circuit.shutdown()
    },
  }
}
