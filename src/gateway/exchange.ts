import { bodyFor, injectsUsage } from './body.ts'
import type { Bounded } from './bound.ts'
import type { Arrival, Exchange, GatewayDeps } from './context.ts'
import { limitWithin, type Reserved } from './reserve.ts'

/** A request on its way to the upstream it was reserved for. */
export function makeExchange(
  arrival: Arrival,
  reserved: Reserved,
  { claim, ended }: Pick<Exchange, 'claim' | 'ended'>,
): Exchange {
  return {
    ...arrival,
    target: reserved.target,
    hold: reserved.hold,
    draft: reserved.draft,
    inputTokens: reserved.inputTokens,
    claim,
    body: bodyFor(arrival, reserved.target, reserved.outputTokensLimit),
    injectedUsage: injectsUsage(arrival),
    ended,
    times: { sentMs: 0, firstByteMs: 0, endedMs: 0, countedMs: 0 },
  }
}

/** The same request on its way to another upstream, null = what is held does not do for it. */
export function movedTo(deps: GatewayDeps, exchange: Exchange, bounded: Bounded): Exchange | null {
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
