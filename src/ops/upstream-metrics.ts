import { Counter, Gauge, type Registry } from 'prom-client'
import type { CallResult, GatewayHooks } from '../gateway/context.ts'
import { makeLabelCap } from './labels.ts'
import { makeTally, type Tally } from './tally.ts'

/** Upstreams by name, and whether their breaker keeps calls away. */
export type BreakerStates = readonly { readonly name: string; readonly open: boolean }[]

export interface UpstreamMetrics extends Pick<GatewayHooks, 'upstreamCalled'> {
  /** Reads the breakers at each scrape from now on. */
  watchBreakers(read: () => BreakerStates): void
  /** One posted charge: what it brings (never less than nothing) and what the provider takes. */
  earned(upstream: string, revenueUsd: number, costUsd: number): void
}

export function makeUpstreamMetrics(registers: Registry[]): UpstreamMetrics {
  const cap = makeLabelCap()
  let read: () => BreakerStates = () => []
  const called: Readonly<Record<CallResult, Tally>> = {
    ...{ answered: makeTally(), failed: makeTally() },
    ...{ passed_on: makeTally(), kept_away: makeTally() },
  }
  const [revenue, cost] = [makeTally(), makeTally()]
  new Counter({
    name: 'farebox_upstream_calls_total',
    help: 'Calls of upstreams: answered, failed, passed on to another, kept away by the breaker.',
    labelNames: ['upstream', 'result'] as const,
    registers,
    collect() {
      for (const [result, tally] of Object.entries(called)) {
        for (const [upstream, count] of tally.take()) this.inc({ upstream, result }, count)
      }
    },
  })
  const of = { labelNames: ['upstream'] as const, registers }
  new Counter({
    ...of,
    name: 'farebox_revenue_usd_total',
    help: 'Posted charges that promo credits did not pay and nobody owes, in dollars.',
    collect() {
      for (const [upstream, usd] of revenue.take()) this.inc({ upstream }, usd)
    },
  })
  new Counter({
    ...of,
    name: 'farebox_provider_cost_usd_total',
    help: 'What providers take for posted requests, in dollars, as far as it is known.',
    collect() {
      for (const [upstream, usd] of cost.take()) this.inc({ upstream }, usd)
    },
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
      called[result].add(cap('upstream', upstream), 1)
    },
    earned(upstream, revenueUsd, costUsd) {
      const name = cap('upstream', upstream)
      revenue.add(name, revenueUsd)
      cost.add(name, costUsd)
    },
    watchBreakers(given) {
      read = given
    },
  }
}
