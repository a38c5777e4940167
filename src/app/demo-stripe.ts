import { z } from 'zod'
import { plansSchema } from '../access/plans/config.ts'
import { packsSchema } from '../billing/config.ts'
import { WEBHOOK_PATH } from '../billing/webhook.ts'
import type { Config, Environment } from '../config.ts'
import { demoReady, startDemoProcess } from './demo-process.ts'

/** The Stripe of quickstart: a simulator of its own, which forgets everything when it stops. */
export interface DemoStripe {
  /** Where a buyer comes back to. */
  readonly thanksUrl: string
  /** The environment with the simulator as its Stripe. */
  environment(real: Environment): Environment
  /** Has its events sent to a gateway, and the customers of earlier starts made anew. */
  connect(gatewayUrl: string, customers: readonly string[]): Promise<void>
  stop(): void
}

const readySchema = demoReady.extend({ webhook_secret: z.string() })

/** Opens nothing: the simulator takes any test key, and only test keys. */
const DEMO_KEY = 'sk_test_demo'

export async function startDemoStripe(waitMs: number): Promise<DemoStripe> {
  const started = await startDemoProcess('stripe', ['--demo-shop'], readySchema, waitMs)
  const { baseUrl, ready } = started
  const stripe = {
    secretKey: DEMO_KEY,
    webhookSecrets: [ready.webhook_secret],
    apiBase: baseUrl,
  }
  return {
    thanksUrl: `${baseUrl}/thank-you`,
    environment: (real) => ({ ...real, stripe }),
    async connect(gatewayUrl, customers) {
      const answer = await fetch(`${baseUrl}/_control/demo-shop`, {
        method: 'POST',
        body: JSON.stringify({ url: `${gatewayUrl}${WEBHOOK_PATH}`, customers }),
        signal: AbortSignal.timeout(waitMs),
      })
      if (!answer.ok) throw new Error(`the demo's Stripe answered ${answer.status}`)
    },
    stop: () => {
      started.stop()
    },
  }
}

const PACKS = packsSchema.parse([
  { id: 'starter', stripe_price: 'price_demo_starter', credits: 1_000 },
])
const PLANS = plansSchema.parse([
  { id: 'pro', stripe_prices: ['price_demo_pro'], included_credits: 2_500 },
])

/** A configuration that sells nothing sells the demo's pack and plan. */
export const withDemoShop = (config: Config): Config =>
  config.packs.length + config.plans.length > 0 ? config : { ...config, packs: PACKS, plans: PLANS }
