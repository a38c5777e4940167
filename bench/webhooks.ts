import { randomUUID } from 'node:crypto'
import autocannon from 'autocannon'
import Stripe from 'stripe'
import { startFarebox } from './farebox.ts'
import { byAutocannon } from './load.ts'
import { startUpstream } from './programs.ts'
import { number, print } from './table.ts'

const SECRET = 'whsec_bench'
const DELIVERIES_PER_S = 500
const REQUESTS_PER_S = 300
const signer = new Stripe('sk_test_x', { telemetry: false })

/** One delivery as Stripe makes it: an event of its own, signed. */
function delivery(): { body: string; headers: Record<string, string> } {
  const event = {
    id: `evt_${randomUUID().replaceAll('-', '')}`,
    object: 'event',
    type: 'payment_intent.succeeded',
    created: Math.floor(Date.now() / 1_000),
    livemode: false,
    api_version: Stripe.API_VERSION,
    data: {
      object: { id: `pi_${randomUUID()}`, object: 'payment_intent', note: 'x'.repeat(2_000) },
    },
  }
  const body = JSON.stringify(event)
  const signature = signer.webhooks.generateTestHeaderString({ payload: body, secret: SECRET })
  return { body, headers: { 'content-type': 'application/json', 'stripe-signature': signature } }
}

/** Made before the run: signing must not take the time of what is measured. The rest as it goes. */
const MADE_MAX = 40_000
const MADE_PER_S = 1_500

/** Signed deliveries, each another event; `rate` a second, absent = as fast as they are taken. */
function deliver(url: string, seconds: number, rate?: number): Promise<autocannon.Result> {
  const count = Math.min(MADE_MAX, (rate ?? MADE_PER_S) * seconds)
  const made = Array.from({ length: count }, delivery)
  return autocannon({
    url: `${url}/webhooks/stripe`,
    connections: 16,
    duration: seconds,
    requests: [
      {
        method: 'POST',
        setupRequest: (request) => ({ ...request, ...(made.pop() ?? delivery()) }),
      },
    ],
    ...(rate === undefined ? {} : { overallRate: rate }),
  })
}

/**
 * Webhooks accepted (stored in Postgres and answered) while the gateway serves metered requests.
 * Stripe itself is not there: the events wait, as they do when Stripe is away.
 */
export async function benchWebhooks(seconds: number): Promise<void> {
  const upstream = await startUpstream()
  const farebox = await startFarebox(upstream.url, {
    STRIPE_SECRET_KEY: 'sk_test_x',
    STRIPE_WEBHOOK_SECRET: SECRET,
    STRIPE_API_BASE: 'http://127.0.0.1:9',
  })
  const key = farebox.customer.apiKey
  const row = (name: string, of: autocannon.Result): string[] => [
    name,
    number(of.requests.average, 0),
    number(of.latency.p50, 0),
    number(of.latency.p99, 0),
    String(of.non2xx + of.errors),
  ]
  try {
    await byAutocannon(farebox.url, key, 16, 5) // warms
    await deliver(farebox.url, 3)
    const alone = await deliver(farebox.url, seconds)
    const [loaded] = await Promise.all([
      deliver(farebox.url, seconds, DELIVERIES_PER_S),
      byAutocannon(farebox.url, key, 16, seconds, REQUESTS_PER_S),
    ])
    print(
      'Stripe webhooks, stored and answered',
      ['', 'a second', 'p50 ms', 'p99 ms', 'failed'],
      [
        row('as fast as they are taken', alone),
        row(`${DELIVERIES_PER_S}/s beside ${REQUESTS_PER_S} metered requests/s`, loaded),
      ],
    )
  } finally {
    await farebox.stop()
    await upstream.stop()
  }
}
