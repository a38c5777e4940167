import { afterAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ADMIN_TOKEN, startGateway } from '../support/gateway.ts'
import { freshDatabase, redisUrl } from '../support/stores.ts'
import { startStripeProcess } from '../support/stripe-process.ts'
import { until } from '../support/until.ts'

const checkout = z.object({ id: z.string(), session_id: z.string(), state: z.string() })
const PACK = 1_000
const CREDIT = 1_000_000

/** A gateway and the Stripe simulator, each a process, as an operator would rehearse them. */
describe('a gateway and Stripe', async () => {
  const sim = await startStripeProcess()
  const large = await sim.stripe.prices.create({
    currency: 'usd',
    unit_amount: 6_000,
    recurring: { interval: 'month' },
    product_data: { name: 'Large' },
  })
  const database = await freshDatabase()
  const gateway = await startGateway({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    config: {
      packs: [{ id: 'starter', stripe_price: 'price_demo_starter', credits: PACK }],
      plans: [
        { id: 'pro', stripe_prices: ['price_demo_pro'], included_credits: 300 },
        { id: 'large', stripe_prices: [large.id], included_credits: 900 },
      ],
    },
    env: {
      STRIPE_SECRET_KEY: 'sk_test_x',
      STRIPE_WEBHOOK_SECRET: sim.webhookSecret,
      STRIPE_API_BASE: sim.url,
    },
  })
  await sim.control('demo-shop', { url: `${gateway.url}/webhooks/stripe` })
  afterAll(async () => {
    await gateway.end()
    await sim.stop()
    await database.drop()
  })

  const open = (apiKey: string, item: object, key?: string): Promise<Response> =>
    fetch(`${gateway.url}/farebox/v1/checkout`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      body: JSON.stringify({
        ...item,
        success_url: 'https://shop.example/done',
        cancel_url: 'https://shop.example/',
      }),
    })

  async function buyer() {
    const { accountId, apiKey } = await gateway.admin.customer('0')
    const posted = async () => (await gateway.admin.balance(apiKey)).posted.micros / CREDIT
    return {
      accountId,
      apiKey,
      posted,
      /** Polls until the balance is that. */
      has: (credits: number) =>
        until(async () => {
          expect(await posted()).toBe(credits)
          return true
        }),
      async buy(item: object, method = 'pm_card_visa') {
        const opened = checkout.parse(await (await open(apiKey, item)).json())
        await sim.control('pay', { session: opened.session_id, method })
        return sim.stripe.checkout.sessions.retrieve(opened.session_id)
      },
      async status() {
        const answer = await gateway.admin.call('GET', `/admin/v1/accounts/${accountId}`)
        return z.looseObject({ status: z.string() }).parse(await answer.json()).status
      },
      async grants() {
        const answer = await gateway.admin.call('GET', `/admin/v1/accounts/${accountId}/ledger`)
        const rows = z.object({ data: z.array(z.looseObject({ movement_type: z.string() })) })
        const { data } = rows.parse(await answer.json())
        return data.filter(({ movement_type: type }) => type === 'grant').length
      },
    }
  }
  const idOf = (value: unknown): string => z.string().parse(value)
  async function sync(): Promise<void> {
    const since = new Date(Date.now() - 3_600_000).toISOString()
    const answer = await gateway.admin.call('POST', '/admin/v1/stripe/sync', { since })
    expect(answer.status).toBe(200)
  }

  it.each(['duplicate', 'reorder', 'last', 'concurrent', 'before_answer'])(
    'grants a purchase once, its events delivered with a fault: %s',
    async (kind) => {
      const who = await buyer()
      await sim.control('webhook-fault', { kind, times: 20, copies: 3 })
      await who.buy({ pack: 'starter' })
      await who.has(PACK)
      await sim.control('idle')
      await sim.control('clear-faults')
      await who.has(PACK)
      expect(await who.grants()).toBe(1)
    },
  )

  it('fetches what was never delivered, and takes what comes days late', async () => {
    const [lost, late] = [await buyer(), await buyer()]
    await sim.control('webhook-fault', { kind: 'drop', times: 20 })
    await lost.buy({ pack: 'starter' })
    await sim.control('clear-faults')
    await sync()
    await lost.has(PACK)
    await sim.control('webhook-fault', { kind: 'delay', seconds: 2 * 86_400, times: 20 })
    await late.buy({ pack: 'starter' })
    await sim.control('clear-faults')
    expect(await late.posted()).toBe(0)
    await sim.control('advance', { days: 3 })
    await late.has(PACK)
    expect([await lost.grants(), await late.grants()]).toEqual([1, 1])
  })

  it.each([
    { kind: 'reset', after: true, operation: 'POST /v1/checkout/sessions', times: 3 },
    { kind: 'error', after: true, operation: 'POST /v1/checkout/sessions', times: 3 },
    { kind: 'rate_limit', operation: 'POST /v1/customers' },
    { kind: 'rate_limit', operation: 'GET /v1/payment_intents', times: 2 },
  ])('buys once through trouble with calls: $kind $operation', async (fault) => {
    const who = await buyer()
    await sim.control('api-fault', fault)
    const key = `order-${who.accountId}`
    const first = await open(who.apiKey, { pack: 'starter' }, key)
    await first.arrayBuffer()
    // What a 500 answered under a key is answered again for a day: the caller orders anew then.
    const isKept = fault.kind === 'error'
    await sim.control('clear-faults')
    const again = await open(who.apiKey, { pack: 'starter' }, isKept ? `${key}-2` : key)
    const { session_id: session } = checkout.parse(await again.json())
    if (fault.operation.startsWith('GET')) await sim.control('api-fault', fault)
    await sim.control('pay', { session })
    await who.has(PACK)
    expect(await who.grants()).toBe(1)
  })

  it('takes refunds back, gives failed ones back, and freezes while a dispute is open', async () => {
    const who = await buyer()
    const { payment_intent: intent } = await who.buy({ pack: 'starter' })
    const payment_intent = idOf(intent)
    await who.has(PACK)
    const part = await sim.stripe.refunds.create({ payment_intent, amount: 250 })
    await who.has(750)
    await sim.control('turn-refund', { refund: part.id, status: 'failed' })
    await who.has(PACK)
    const dispute = z
      .object({ id: z.string() })
      .parse(await sim.control('dispute', { payment_intent }))
    await who.has(0)
    expect(await who.status()).toBe('frozen')
    await sim.control('dispute', { dispute: dispute.id, action: 'win' })
    await who.has(PACK)
    await until(async () => (await who.status()) === 'active')
    const other = await buyer()
    const whole = idOf((await other.buy({ pack: 'starter' })).payment_intent)
    await other.has(PACK)
    await sim.stripe.refunds.create({ payment_intent: whole })
    await other.has(0)
  })

  it('takes a plan through a failed payment, a change and its end', async () => {
    const who = await buyer()
    const session = await who.buy({ plan: 'pro' })
    await who.has(300)
    const it = await sim.stripe.subscriptions.retrieve(idOf(session.subscription))
    const item = it.items.data[0]
    const card = idOf(it.default_payment_method)
    const behave = (like: string) => sim.control('behave', { payment_method: card, like })
    await behave('pm_card_visa_chargeDeclined')
    const end = item?.current_period_end ?? 0
    await sim.control('advance', { to: end + 7_200 })
    expect((await sim.stripe.subscriptions.retrieve(it.id)).status).toBe('past_due')
    await sim.control('idle')
    expect(await who.posted()).toBe(300)
    await behave('pm_card_visa')
    await sim.control('advance', { days: 4 })
    await who.has(600)
    const { items } = await sim.stripe.subscriptions.update(it.id, {
      items: [{ id: item?.id ?? '', price: large.id }],
      proration_behavior: 'always_invoice',
    })
    const { data } = await sim.stripe.invoices.list({ subscription: it.id, limit: 1 })
    const line = data[0]?.lines.data.find(({ amount }) => amount > 0)
    const [start, to] = [line?.period.start ?? 0, line?.period.end ?? 0]
    const whole = to - (items.data[0]?.current_period_start ?? 0)
    const share = Math.round((600 * CREDIT * (to - start)) / whole) / CREDIT
    await who.has(600 + share)
    await sim.stripe.subscriptions.cancel(it.id)
    await who.has(0)
    expect(await who.grants()).toBe(3)
  })

  it('keeps its books in order through all of that', async () => {
    const answer = await fetch(`${gateway.url}/admin/v1/verify`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    })
    expect(await answer.json()).toMatchObject({ ok: true, breaches: [] })
    const dead = await gateway.admin.call('GET', '/admin/v1/stripe/events?state=dead')
    expect(await dead.json()).toMatchObject({ data: [] })
  })
})
