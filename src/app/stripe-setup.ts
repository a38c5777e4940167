import { makeInspect } from '../billing/inspect.ts'
import { setUpStripe, type SetupReport } from '../billing/setup.ts'
import { makeStripe } from '../billing/stripe.ts'
import { ConfigError, loadConfig, type Config, type Environment } from '../config.ts'
import type { StripeExpected } from '../reconcile/doctor-stripe.ts'
import { makeMeterBook } from '../reporting/config.ts'
import { expectedMeters, type ExpectedMeter } from '../reporting/fit.ts'

/** Every meter that usage is reported to. */
const metersOf = (config: Config): ExpectedMeter[] => expectedMeters(makeMeterBook(config))

/** What `doctor` holds a Stripe account against; null = no key is set. */
export function stripeExpected(deps: {
  readonly environment: Pick<Environment, 'stripe' | 'mode'>
  readonly config: Config
}): StripeExpected | null {
  const { environment, config } = deps
  if (environment.stripe === null) return null
  return {
    mode: environment.mode,
    secretKey: environment.stripe.secretKey,
    webhookSecrets: environment.stripe.webhookSecrets.length,
    packs: config.packs,
    plans: config.plans,
    meters: metersOf(config),
    inspect: makeInspect(makeStripe(environment.stripe)),
  }
}

/** Prices that are about to be made may be missing from the environment, and nothing else. */
function withoutPrices(environment: Environment): Environment {
  const variables = new Proxy(environment.variables, {
    get: (known, name) => {
      if (typeof name !== 'string') return undefined
      const isMissing = known[name] === undefined && name.startsWith('STRIPE_PRICE_')
      return isMissing ? `price_${name}` : known[name]
    },
  })
  return { ...environment, variables }
}

export interface SetupOptions {
  readonly url: string | null
  readonly isDryRun: boolean
  readonly isLive: boolean
}

/** `farebox stripe setup`. Throws ConfigError where it must not go on. */
export async function setUp(
  environment: Environment,
  { url, isDryRun, isLive }: SetupOptions,
): Promise<SetupReport> {
  if (environment.stripe === null) throw new ConfigError('Set STRIPE_SECRET_KEY.')
  if (environment.mode === 'live' && !isLive) {
    throw new ConfigError('STRIPE_SECRET_KEY is a live key: say --live to change a live account.')
  }
  const config = loadConfig(withoutPrices(environment))
  const { catalogue } = config.stripe
  const meters = metersOf(config).map(({ eventName }) => eventName)
  const planPrices = config.plans.flatMap((plan) => plan.stripe_prices)
  const asked = { catalogue, meters, planPrices, url, isDryRun }
  return setUpStripe(makeStripe(environment.stripe), asked)
}
