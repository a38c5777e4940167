import type { Config, Environment } from '../config.ts'
import { DEMO_START_MS_MAX } from '../kernel/limits/processes.ts'
import { startDemoStripe, withDemoShop, type DemoStripe } from './demo-stripe.ts'
import { startDemoUpstream } from './demo-upstream.ts'
import { demoNames, withDefaultUpstreams } from './upstreams.ts'

/** What quickstart plays itself: providers without a key, and Stripe where there is none. */
export interface Demos {
  /** The environment to run in. */
  readonly environment: Environment
  /** Providers that are played. */
  readonly names: readonly string[]
  /** null = Stripe is not played. */
  readonly stripe: DemoStripe | null
  /** A configuration with what is played in it. */
  configure(config: Config): Config
  stop(): void
}

/** Starts what has to be played; Stripe only where no key is set, and so beside no live one. */
export async function startDemos(real: Environment, isQuickstart: boolean): Promise<Demos> {
  const names = isQuickstart ? demoNames(real) : []
  const plays = isQuickstart && real.stripe === null
  const stripeStarts = plays ? startDemoStripe(DEMO_START_MS_MAX) : null
  // Awaited below; until then its failure is not nobody's.
  stripeStarts?.catch(() => undefined)
  const upstream = names.length === 0 ? null : await startDemoUpstream(DEMO_START_MS_MAX)
  const stripe = await stripeStarts
  const environment = stripe?.environment(real) ?? real
  return {
    environment,
    names,
    stripe,
    configure(config) {
      const upstreams = withDefaultUpstreams(config, environment, upstream?.baseUrl ?? null)
      return stripe === null ? upstreams : withDemoShop(upstreams)
    },
    stop() {
      upstream?.stop()
      stripe?.stop()
    },
  }
}
