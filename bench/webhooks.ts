import { randomUUID } from 'node:crypto'
import autocannon from 'autocannon'
import Stripe from 'stripe'
import { startFarebox } from './farebox.ts'
import { byAutocannon } from './load.ts'
import { paced, type Paced, type Sent } from './paced.ts'
import { REQUEST, startUpstream } from './programs.ts'
import { number, print } from './table.ts'

const SECRET = 'whsec_bench'
const DELIVERIES_PER_S = 500
const REQUESTS_PER_S = 300
const signer = new Stripe('sk_test_x', { telemetry: false })

/** One delivery as Stripe makes it: an event of its own, signed. */
function delivery(): Pick<Sent, 'body' | 'headers'> {
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

function deliveries(count: number): () => Pick<Sent, 'body' | 'headers'> {
  const made = Array.from({ length: Math.min(MADE_MAX, count) }, delivery)
  return () => made.pop() ?? delivery()
}

/** Signed deliveries, each another event, as fast as they are taken. */
function deliver(url: string, seconds: number): Promise<autocannon.Result> {
  const next = deliveries(MADE_PER_S * seconds)
  return autocannon({
    url: `${url}/webhooks/stripe`,
    connections: 16,
    duration: seconds,
    requests: [{ method: 'POST', setupRequest: (request) => ({ ...request, ...next() }) }],
  })
}

/** Deliveries beside metered requests, both at their own even pace. */
function deliverBeside(url: string, key: string, seconds: number): Promise<[Paced, Paced]> {
  const next = deliveries(DELIVERIES_PER_S * seconds)
  const asked = {
    url: `${url}/v1/chat/completions`,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: REQUEST,
  }
  return Promise.all([
    paced(DELIVERIES_PER_S, seconds, () => ({ url: `${url}/webhooks/stripe`, ...next() })),
    paced(REQUESTS_PER_S, seconds, () => asked),
  ])
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
  const row = (name: string, ...[perS, p50, p99, failed]: [number, number, number, number]) => [
    name,
    ...[number(perS, 0), number(p50, 0), number(p99, 0), String(failed)],
  ]
  const rowOf = (name: string, it: Paced): string[] =>
    row(name, it.requestsPerS, it.p50Ms, it.p99Ms, it.failed)
  try {
    await byAutocannon(farebox.url, key, 16, 5) // warms
    await deliver(farebox.url, 3)
    const { requests, latency, non2xx, errors } = await deliver(farebox.url, seconds)
    const [loaded, metered] = await deliverBeside(farebox.url, key, seconds)
    print(
      'Stripe webhooks, stored and answered',
      ['', 'a second', 'p50 ms', 'p99 ms', 'failed'],
      [
        row(
          'as fast as they are taken',
          requests.average,
          latency.p50,
          latency.p99,
          non2xx + errors,
        ),
        rowOf(`${DELIVERIES_PER_S}/s beside ${REQUESTS_PER_S} metered requests/s`, loaded),
        rowOf('those metered requests meanwhile', metered),
      ],
    )
  } finally {
    await farebox.stop()
    await upstream.stop()
  }
}
