import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { fileURLToPath } from 'node:url'
import Stripe from 'stripe'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { serveStripe, type StripeSimulator } from '../../src/demo/stripe/server.ts'
import { makeOpenapiCheck } from '../support/stripe-openapi.ts'
import { until } from '../support/until.ts'

const START_S = 1_793_534_400
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

const check = makeOpenapiCheck(process.env.STRIPE_OPENAPI)
let sim: StripeSimulator
let stripe: Stripe
let receiver: Server
let received: { event: Stripe.Event; signed: boolean }[]
let answerStatus: number
let secret: string

function clientOf(base: string): Stripe {
  const { hostname, port } = new URL(base)
  return new Stripe('sk_test_simulator', {
    host: hostname,
    port: Number(port),
    protocol: 'http',
    telemetry: false,
    maxNetworkRetries: 0,
    timeout: 2_000,
  })
}

async function control(name: string, input: object = {}): Promise<unknown> {
  const answer = await fetch(`${sim.simulator.world.base}/_control/${name}`, {
    method: 'POST',
    body: JSON.stringify(input),
  })
  const body: unknown = await answer.json()
  if (answer.status !== 200) throw new Error(JSON.stringify(body))
  return body
}

function signed(body: string, header: string): boolean {
  try {
    stripe.webhooks.constructEvent(body, header, secret)
    return true
  } catch {
    return false
  }
}

async function startReceiver(): Promise<string> {
  receiver = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const body = Buffer.concat(parts).toString('utf8')
      const event = JSON.parse(body) as Stripe.Event
      const header = String(request.headers['stripe-signature'])
      received.push({ event, signed: signed(body, header) })
      response.writeHead(answerStatus).end('{}')
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const address = receiver.address()
  return `http://127.0.0.1:${typeof address === 'object' ? String(address?.port) : ''}`
}

beforeEach(async () => {
  received = []
  answerStatus = 200
  sim = await serveStripe({ port: 0, seed: 7, frozenAtS: START_S, wallMs: Date.now })
  stripe = clientOf(sim.simulator.world.base)
  const endpoint = await stripe.webhookEndpoints.create({
    url: await startReceiver(),
    enabled_events: ['*'],
  })
  secret = endpoint.secret ?? ''
})

afterEach(async () => {
  const { calls } = callsSchema.parse(await control('calls'))
  await control('idle')
  await sim.stop()
  receiver.closeAllConnections()
  await new Promise((resolve) => receiver.close(resolve))
  if (check !== null) expect(calls.flatMap(check)).toEqual([])
})

const idOf = (value: string | { id: string } | null): string =>
  typeof value === 'string' ? value : (value?.id ?? '')
const types = (): string[] => received.map(({ event }) => event.type)

async function packPrice(): Promise<Stripe.Price> {
  return stripe.prices.create({
    currency: 'usd',
    unit_amount: 1_000,
    lookup_key: 'starter',
    product_data: { name: 'Starter pack' },
  })
}

async function session(price: string): Promise<Stripe.Checkout.Session> {
  return stripe.checkout.sessions.create({
    mode: 'payment',
    line_items: [{ price, quantity: 2 }],
    success_url: 'http://127.0.0.1:1/done?id={CHECKOUT_SESSION_ID}',
    payment_intent_data: { metadata: { purchase: 'p1' } },
    client_reference_id: 'acct_1',
  })
}

async function buy(card = 'pm_card_visa'): Promise<Stripe.PaymentIntent> {
  const customer = await stripe.customers.create({ email: 'a@example.com' })
  return stripe.paymentIntents.create({
    amount: 1_000,
    currency: 'usd',
    customer: customer.id,
    payment_method: card,
    confirm: true,
    off_session: true,
  })
}

describe('catalogue and customers', () => {
  test('lookup keys are unique and can be transferred', async () => {
    const first = await packPrice()
    await expect(packPrice()).rejects.toMatchObject({ code: 'resource_already_exists' })
    const { data } = await stripe.prices.list({
      lookup_keys: ['starter'],
      expand: ['data.product'],
    })
    expect(data.map(({ id }) => id)).toEqual([first.id])
    expect(data[0]?.product).toMatchObject({ name: 'Starter pack' })
  })

  test('metadata merges, is searchable, and lists page', async () => {
    for (const ref of ['a', 'b', 'c']) {
      await stripe.customers.create({ email: `${ref}@example.com`, metadata: { ref, keep: '1' } })
    }
    const found = await stripe.customers.search({ query: "metadata['ref']:'b'" })
    expect(found.data.map(({ email }) => email)).toEqual(['b@example.com'])
    const changed = await stripe.customers.update(found.data[0]?.id ?? '', {
      metadata: { ref: '' },
    })
    expect(changed.metadata).toEqual({ keep: '1' })
    const all = await stripe.customers.list({ limit: 2 }).autoPagingToArray({ limit: 10 })
    expect(all.map(({ email }) => email?.at(0))).toEqual(['c', 'b', 'a'])
    const gone = await stripe.customers.del(found.data[0]?.id ?? '')
    expect(gone.deleted).toBe(true)
    expect(await stripe.customers.retrieve(gone.id)).toMatchObject({ deleted: true })
  })

  test('refuses unknown and missing parameters, other versions and live keys', async () => {
    const call = (path: string, body: string, headers: Record<string, string> = {}) =>
      fetch(`${sim.simulator.world.base}${path}`, {
        method: 'POST',
        headers: { authorization: 'Bearer sk_test_x', ...headers },
        body,
      })
    expect(await (await call('/v1/customers', 'frob=1')).json()).toMatchObject({
      error: { code: 'parameter_unknown', param: 'frob' },
    })
    expect(await (await call('/v1/payment_intents', 'amount=1')).json()).toMatchObject({
      error: { code: 'parameter_missing', param: 'currency' },
    })
    const live = await call('/v1/customers', '', { authorization: 'Bearer sk_live_x' })
    expect(live.status).toBe(401)
    const old = await call('/v1/customers', '', { 'stripe-version': '2020-08-27' })
    expect(old.status).toBe(400)
  })
})

describe('checkout', () => {
  test('a paid session has its payment, and its page redirects', async () => {
    const price = await packPrice()
    const open = await session(price.id)
    expect(open).toMatchObject({ status: 'open', amount_total: 2_000, payment_intent: null })
    const shown = await fetch(open.url ?? '')
    expect(await shown.text()).toContain('Starter pack')
    const paid = await fetch(open.url ?? '', {
      method: 'POST',
      body: new URLSearchParams({ method: 'pm_card_visa' }).toString(),
      redirect: 'manual',
    })
    expect(paid.headers.get('location')).toBe(`http://127.0.0.1:1/done?id=${open.id}`)
    const done = await stripe.checkout.sessions.retrieve(open.id, {
      expand: ['line_items', 'payment_intent.latest_charge'],
    })
    expect(done).toMatchObject({ status: 'complete', payment_status: 'paid', url: null })
    expect(done.line_items?.data[0]).toMatchObject({ quantity: 2, amount_total: 2_000 })
    expect(done.payment_intent).toMatchObject({
      status: 'succeeded',
      metadata: { purchase: 'p1' },
      latest_charge: { paid: true, amount: 2_000 },
    })
    await until(() => types().includes('checkout.session.completed'))
  })

  test('a declined card leaves it open; a delayed one completes it unpaid, then pays', async () => {
    const open = await session((await packPrice()).id)
    await control('pay', { session: open.id, method: 'pm_card_visa_chargeDeclined' })
    expect((await stripe.checkout.sessions.retrieve(open.id)).status).toBe('open')
    await control('pay', { session: open.id, method: 'pm_sepaDebit' })
    const waiting = await stripe.checkout.sessions.retrieve(open.id)
    expect(waiting).toMatchObject({ status: 'complete', payment_status: 'unpaid' })
    await control('advance', { days: 4 })
    expect((await stripe.checkout.sessions.retrieve(open.id)).payment_status).toBe('paid')
    expect(types()).toContain('checkout.session.async_payment_succeeded')
  })

  test('an unpaid session expires, and a whole discount leaves nothing to pay', async () => {
    const price = await packPrice()
    const open = await session(price.id)
    await control('advance', { days: 2 })
    expect((await stripe.checkout.sessions.retrieve(open.id)).status).toBe('expired')
    const coupon = await stripe.coupons.create({ percent_off: 100 })
    const free = await stripe.checkout.sessions.create({
      mode: 'payment',
      line_items: [{ price: price.id, quantity: 1 }],
      discounts: [{ coupon: coupon.id }],
      success_url: 'http://127.0.0.1:1/',
    })
    await control('pay', { session: free.id })
    expect(await stripe.checkout.sessions.retrieve(free.id)).toMatchObject({
      payment_status: 'no_payment_required',
      payment_intent: null,
      amount_total: 0,
    })
  })
})

describe('payments', () => {
  test('declines and authentication are card errors that carry the intent', async () => {
    await expect(buy('pm_card_chargeCustomerFail')).rejects.toMatchObject({
      type: 'StripeCardError',
      code: 'card_declined',
      payment_intent: { status: 'requires_payment_method' },
    })
    await expect(buy('pm_card_authenticationRequired')).rejects.toMatchObject({
      code: 'authentication_required',
    })
    const { data } = await stripe.charges.list({ limit: 2 })
    expect(data.map(({ status }) => status)).toEqual(['failed', 'failed'])
  })

  test('a card can start to decline', async () => {
    const customer = await stripe.customers.create()
    const method = await stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id })
    await control('behave', { payment_method: method.id, like: 'pm_card_chargeCustomerFail' })
    await expect(
      stripe.paymentIntents.create({
        ...{ amount: 5, currency: 'usd', customer: customer.id, payment_method: method.id },
        ...{ confirm: true, off_session: true },
      }),
    ).rejects.toMatchObject({ code: 'card_declined' })
    const other = await stripe.customers.create()
    await expect(
      stripe.paymentIntents.create({
        ...{ amount: 5, currency: 'usd', customer: other.id, payment_method: method.id },
      }),
    ).rejects.toMatchObject({ param: 'payment_method' })
  })

  test('refunds: partial, rest, too much, and one that fails later', async () => {
    const intent = await buy()
    const part = await stripe.refunds.create({ payment_intent: intent.id, amount: 400 })
    expect(part.status).toBe('succeeded')
    await expect(
      stripe.refunds.create({ payment_intent: intent.id, amount: 601 }),
    ).rejects.toMatchObject({ code: 'amount_too_large' })
    await stripe.refunds.create({ payment_intent: intent.id })
    await expect(stripe.refunds.create({ payment_intent: intent.id })).rejects.toMatchObject({
      code: 'charge_already_refunded',
    })
    await control('turn-refund', { refund: part.id, status: 'failed' })
    const charge = await stripe.charges.retrieve(idOf(intent.latest_charge), {
      expand: ['refunds'],
    })
    expect(charge).toMatchObject({ amount_refunded: 600, refunded: false })
    expect(charge.refunds?.data.map(({ status }) => status)).toEqual(['failed', 'succeeded'])
    await until(() => types().includes('refund.failed'))
  })

  test('disputes withdraw once and reinstate once; an inquiry moves nothing', async () => {
    const intent = await buy('pm_card_createDispute')
    const [dispute] = (await stripe.disputes.list({ payment_intent: intent.id })).data
    const sum = async (): Promise<number[]> =>
      (await stripe.disputes.retrieve(dispute?.id ?? '')).balance_transactions.map((t) => t.amount)
    expect(await sum()).toEqual([-1_000])
    await control('dispute', { dispute: dispute?.id, action: 'win' })
    await control('dispute', { dispute: dispute?.id, action: 'reinstate' })
    expect(await sum()).toEqual([-1_000, 1_000])
    const asked = await buy('pm_card_createDisputeInquiry')
    const [inquiry] = (await stripe.disputes.list({ payment_intent: asked.id })).data
    expect(inquiry).toMatchObject({ status: 'warning_needs_response', balance_transactions: [] })
    const warned = await buy('pm_card_createIssuerFraudRecord')
    const warnings = await stripe.radar.earlyFraudWarnings.list({ payment_intent: warned.id })
    expect(warnings.data).toHaveLength(1)
  })
})

describe('idempotency keys', () => {
  const create = (amount: number, idempotencyKey: string) =>
    stripe.paymentIntents.create({ amount, currency: 'usd' }, { idempotencyKey })

  test('replay the first answer, and refuse other parameters', async () => {
    const first = await create(100, 'k1')
    const again = await create(100, 'k1')
    expect(again.id).toBe(first.id)
    expect(again.lastResponse.headers['idempotent-replayed']).toBe('true')
    await expect(create(101, 'k1')).rejects.toMatchObject({ type: 'StripeIdempotencyError' })
    await control('advance', { days: 2 })
    expect((await create(100, 'k1')).id).not.toBe(first.id)
  })

  test('are in use while the first call runs', async () => {
    await control('api-fault', { kind: 'slow', after: true, ms: 400 })
    const slow = create(100, 'k2')
    await until(async () => {
      const outcome = await create(100, 'k2').catch((error: unknown) => error)
      return outcome instanceof Stripe.errors.StripeAPIError
    })
    expect((await create(100, 'k2').catch(() => null)) ?? (await slow)).toBeTruthy()
  })

  test('keep a decline', async () => {
    const pay = (): Promise<unknown> =>
      stripe.paymentIntents.create(
        {
          ...{ amount: 5, currency: 'usd', payment_method: 'pm_card_chargeCustomerFail' },
          confirm: true,
        },
        { idempotencyKey: 'k3' },
      )
    await expect(pay()).rejects.toMatchObject({ code: 'card_declined' })
    await expect(pay()).rejects.toMatchObject({ code: 'card_declined' })
    expect((await stripe.paymentIntents.list()).data).toHaveLength(1)
  })
})

describe('trouble with calls', () => {
  const create = (timeout = 10_000) =>
    stripe.customers.create({ name: 'x' }, { idempotencyKey: 'once', timeout })

  test.each(['timeout', 'reset', 'garbage'])(
    '%s after the effect, then the replay',
    async (kind) => {
      await control('api-fault', { kind, after: true, operation: 'POST /v1/customers', times: 2 })
      await expect(create(300)).rejects.toBeInstanceOf(Error)
      await control('clear-faults')
      await create()
      expect((await stripe.customers.list()).data).toHaveLength(1)
    },
  )

  test('429 and 500 before the effect leave nothing behind', async () => {
    await control('api-fault', { kind: 'rate_limit' })
    await expect(create()).rejects.toBeInstanceOf(Stripe.errors.StripeRateLimitError)
    await control('api-fault', { kind: 'error', status: 503 })
    await expect(create()).rejects.toBeInstanceOf(Stripe.errors.StripeAPIError)
    expect((await stripe.customers.list()).data).toEqual([])
  })

  test('a 500 after the effect is what the key replays', async () => {
    await control('api-fault', { kind: 'error', after: true })
    await expect(create()).rejects.toMatchObject({ statusCode: 500 })
    await expect(create()).rejects.toMatchObject({ statusCode: 500 })
    expect((await stripe.customers.list()).data).toHaveLength(1)
  })
})

describe('webhooks', () => {
  const ping = () => stripe.customers.create({ name: 'x' })

  test('are signed, also with a rotated secret, and listed', async () => {
    await control('rotate', { endpoint: (await stripe.webhookEndpoints.list()).data[0]?.id })
    await ping()
    await until(() => received.length === 1)
    expect(received[0]?.signed).toBe(true)
    const events = await stripe.events.list({ types: ['customer.created'] })
    expect(events.data[0]?.id).toBe(received[0]?.event.id)
  })

  test.each([
    ['duplicate', 2, true],
    ['bad_signature', 1, false],
    ['drop', 0, true],
  ])('%s', async (kind, count, ok) => {
    await control('webhook-fault', { kind })
    await ping()
    await control('idle')
    expect(received.map((one) => one.signed)).toEqual(Array.from({ length: count }, () => ok))
    const undelivered = await stripe.events.list({ delivery_success: false })
    expect(undelivered.data).toHaveLength(kind === 'drop' ? 1 : 0)
  })

  test('come days late, or before the answer', async () => {
    await control('webhook-fault', { kind: 'delay', seconds: 200_000 })
    await ping()
    await control('advance', { days: 1 })
    expect(received).toHaveLength(0)
    await control('advance', { days: 2 })
    await control('idle')
    expect(received).toHaveLength(1)
    await control('webhook-fault', { kind: 'before_answer' })
    await ping()
    expect(received).toHaveLength(2)
  })

  test('are tried again until answered', async () => {
    answerStatus = 500
    await ping()
    await control('idle')
    answerStatus = 200
    await control('advance', { seconds: 61 })
    await control('idle')
    expect(new Set(received.map(({ event }) => event.id)).size).toBe(1)
    expect(received).toHaveLength(2)
    expect((await stripe.events.list({ delivery_success: false })).data).toEqual([])
  })

  test('wait to be released in any order', async () => {
    await control('hold')
    await buy()
    const { held } = z.object({ held: z.array(z.string()) }).parse(await control('held'))
    expect(received).toHaveLength(0)
    const order = held.filter((id) => sim.simulator.world.find(id)?.object === 'event').reverse()
    await control('release', { order, copies: 2 })
    const ids = received.map(({ event }) => event.id)
    expect(ids).toEqual(order.flatMap((id) => [id, id]))
  })

  test('go thin to a thin destination', async () => {
    const bodies: string[] = []
    const thin = createServer((request, response) => {
      request.on('data', (part: Buffer) => bodies.push(part.toString('utf8')))
      request.on('end', () => response.end('{}'))
    })
    await new Promise<void>((resolve) => thin.listen(0, '127.0.0.1', resolve))
    const address = thin.address()
    const port = typeof address === 'object' ? String(address?.port) : ''
    await stripe.v2.core.eventDestinations.create({
      ...{ name: 'thin', description: '', type: 'webhook_endpoint', event_payload: 'thin' },
      enabled_events: ['*'],
      webhook_endpoint: { url: `http://127.0.0.1:${port}` },
    })
    const customer = await ping()
    await control('idle')
    expect(JSON.parse(bodies[0] ?? '{}')).toMatchObject({
      object: 'v2.core.event',
      type: 'v1.customer.created',
      related_object: { id: customer.id },
    })
    await new Promise((resolve) => thin.close(resolve))
  })
})

test('meters count once, refuse repeats and sum by window', async () => {
  const customer = await stripe.customers.create()
  const meter = await stripe.billing.meters.create({
    display_name: 'Credits',
    event_name: 'ai_credits',
    default_aggregation: { formula: 'sum' },
  })
  const report = (value: string, identifier: string) =>
    stripe.billing.meterEvents.create({
      event_name: 'ai_credits',
      identifier,
      payload: { stripe_customer_id: customer.id, value },
    })
  await report('5', 'a')
  await report('7', 'b')
  await expect(report('5', 'a')).rejects.toThrow(/already exists with identifier/)
  await expect(report('1234567890123456', 'c')).rejects.toMatchObject({ statusCode: 400 })
  const window = {
    customer: customer.id,
    start_time: START_S - 3_600,
    end_time: START_S + 3_600,
  }
  const { data } = await stripe.billing.meters.listEventSummaries(meter.id, window)
  expect(data[0]?.aggregated_value).toBe(12)
})

test('the same seed makes the same ids', async () => {
  const other = await serveStripe({ port: 0, seed: 7, frozenAtS: START_S, wallMs: Date.now })
  const again = clientOf(other.simulator.world.base)
  await again.webhookEndpoints.create({ url: 'http://127.0.0.1:1', enabled_events: ['*'] })
  const first = await stripe.customers.create()
  expect((await again.customers.create()).id).toBe(first.id)
  await other.stop()
})

describe('the process', () => {
  const file = fileURLToPath(new URL('../../src/demo/stripe.ts', import.meta.url))

  test('refuses to start beside a live key', async () => {
    const child = spawn(process.execPath, [file, '--key', 'sk_live_x'], { stdio: 'ignore' })
    expect(await once(child, 'exit')).toEqual([1, null])
  })

  test('prints its port and ends with its standard input', async () => {
    const child = spawn(process.execPath, [file], { stdio: ['pipe', 'pipe', 'inherit'] })
    const [line] = z.tuple([z.instanceof(Buffer)]).parse(await once(child.stdout, 'data'))
    const { port } = z.object({ port: z.int() }).parse(JSON.parse(String(line)))
    const customer = await clientOf(`http://127.0.0.1:${port}`).customers.create()
    expect(customer.id).toMatch(/^cus_/)
    child.stdin.end()
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})
