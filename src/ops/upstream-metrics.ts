import { Counter, Gauge, type Registry } from 'prom-client'
import type { GatewayHooks } from '../gateway/context.ts'
import { makeLabelCap } from './labels.ts'

/** Upstreams by name, and whether their breaker keeps calls away. */
export type BreakerStates = readonly { readonly name: string; readonly open: boolean }[]

export interface UpstreamMetrics extends Pick<GatewayHooks, 'upstreamCalled'> {
  /** Reads the breakers at each scrape from now on. */
  watchBreakers(read: () => BreakerStates): void
}

export function makeUpstreamMetrics(registers: Registry[]): UpstreamMetrics {
  const cap = makeLabelCap()
  let read: () => BreakerStates = () => []
  const calls = new Counter({
    name: 'farebox_upstream_calls_total',
    help: 'Calls of upstreams: answered, failed, passed on to another, kept away by the breaker.',
    labelNames: ['upstream', 'result'] as const,
    registers,
  })
  new Gauge({
    name: 'farebox_upstream_breaker_open',
    help: '1 while calls of an upstream are kept away.',
    labelNames: ['upstream'] as const,
    registers,
    collect() {
      this.reset()
      for (const { name, open } of read()) this.set({ upstream: name }, Number(open))
    },
  })
  return {
    upstreamCalled(upstream, result) {
      calls.inc({ upstream: cap('upstream', upstream), result })
    },
    watchBreakers(given) {
      read = given
    },
  }
}
