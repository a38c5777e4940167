import { createServer, type Server } from 'node:http'
import Stripe from 'stripe'
import { z } from 'zod'
import { serveStripe, type StripeSimulator } from '../../src/demo/stripe/server.ts'
import { makeOpenapiCheck } from '../support/stripe-openapi.ts'

export const START_S = Date.UTC(2026, 10, 1) / 1000
export const DAY_S = 86_400

const callsSchema = z.object({
  calls: z.array(
    z.object({
      method: z.string(),
      operation: z.string().nullable(),
      input: z.unknown(),
      status: z.number(),
      answer: z.unknown(),
    }),
  ),
})

export interface StripeWorld {
  readonly sim: StripeSimulator
  readonly stripe: Stripe
  readonly events: Stripe.Event[]
  control(name: string, input?: object): Promise<unknown>
  advance(days: number): Promise<void>
  /** Types of what arrived since the last call. */
  news(): Promise<string[]>
  /** Stops; answers what the OpenAPI document has against any call. */
  stop(): Promise<string[]>
}

const check = makeOpenapiCheck(process.env.STRIPE_OPENAPI)

async function startReceiver(events: Stripe.Event[]): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      events.push(JSON.parse(Buffer.concat(parts).toString('utf8')) as Stripe.Event)
      response.end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? String(address?.port) : ''
  return { server, url: `http://127.0.0.1:${port}` }
}

/** A simulator in this process with its clock standing, and a receiver of all its events. */
export async function makeStripeWorld(startS = START_S, seed = 11): Promise<StripeWorld> {
  const events: Stripe.Event[] = []
  const sim = await serveStripe({ port: 0, seed, frozenAtS: startS, wallMs: Date.now })
  const { hostname, port } = new URL(sim.simulator.world.base)
  const server = { host: hostname, port: Number(port), protocol: 'http' } as const
  const options = { telemetry: false, maxNetworkRetries: 0, timeout: 5_000 }
  const stripe = new Stripe('sk_test_simulator', { ...server, ...options })
  const receiver = await startReceiver(events)
  await stripe.webhookEndpoints.create({ url: receiver.url, enabled_events: ['*'] })
  let seen = 0
  const control = async (name: string, input: object = {}): Promise<unknown> => {
    const answer = await fetch(`${sim.simulator.world.base}/_control/${name}`, {
      method: 'POST',
      body: JSON.stringify(input),
    })
    const body: unknown = await answer.json()
    if (answer.status !== 200) throw new Error(JSON.stringify(body))
    return body
  }
  return {
    sim,
    stripe,
    events,
    control,
    async advance(days) {
      await control('advance', { seconds: Math.round(days * DAY_S) })
      await control('idle')
    },
    async news() {
      await control('idle')
      const types = events.slice(seen).map(({ type }) => type)
      seen = events.length
      return types
    },
    async stop() {
      await control('idle')
      const { calls } = callsSchema.parse(await control('calls'))
      await sim.stop()
      receiver.server.closeAllConnections()
      await new Promise((resolve) => receiver.server.close(resolve))
      return check === null ? [] : calls.flatMap(check)
    },
  }
}

/** A customer whose default card behaves like `card`. */
export async function customerWith(
  { stripe }: StripeWorld,
  card = 'pm_card_visa',
): Promise<Stripe.Customer> {
  const customer = await stripe.customers.create({ email: 'a@example.com' })
  const method = await stripe.paymentMethods.attach(card, { customer: customer.id })
  await stripe.customers.update(customer.id, {
    invoice_settings: { default_payment_method: method.id },
  })
  return customer
}

export const recurringPrice = (
  { stripe }: StripeWorld,
  amount = 2_000,
  interval: 'month' | 'year' = 'month',
): Promise<Stripe.Price> =>
  stripe.prices.create({
    currency: 'usd',
    unit_amount: amount,
    recurring: { interval },
    product_data: { name: `Plan ${amount}` },
  })

export const dayOf = (atS: number | undefined): string =>
  new Date((atS ?? 0) * 1000).toISOString().slice(0, 10)

/** A checkout of mode subscription, paid with `card`. */
export async function subscribe(
  world: StripeWorld,
  price: string,
  more: Partial<Stripe.Checkout.SessionCreateParams> = {},
  card = 'pm_card_visa',
): Promise<Stripe.Checkout.Session> {
  const session = await world.stripe.checkout.sessions.create({
    mode: 'subscription',
    line_items: [{ price, quantity: 1 }],
    success_url: 'http://127.0.0.1:1/done',
    subscription_data: { metadata: { ours: 'yes' } },
    ...more,
  })
  await world.control('pay', { session: session.id, method: card })
  return world.stripe.checkout.sessions.retrieve(session.id)
}
