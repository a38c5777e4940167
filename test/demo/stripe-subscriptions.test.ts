import type Stripe from 'stripe'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  customerWith,
  dayOf,
  DAY_S,
  makeStripeWorld,
  recurringPrice,
  START_S,
  subscribe,
  type StripeWorld,
} from './stripe-world.ts'

let world: StripeWorld

beforeEach(async () => {
  world = await makeStripeWorld()
})

afterEach(async () => {
  expect(await world.stop()).toEqual([])
})

const idOf = (value: string | { id: string } | null | undefined): string =>
  typeof value === 'string' ? value : (value?.id ?? '')

async function begin(price: string, card = 'pm_card_visa'): Promise<Stripe.Subscription> {
  const customer = await customerWith(world, card)
  return world.stripe.subscriptions.create({ customer: customer.id, items: [{ price }] })
}

const again = (subscription: Stripe.Subscription): Promise<Stripe.Subscription> =>
  world.stripe.subscriptions.retrieve(subscription.id)

const invoicesOf = async (subscription: string): Promise<Stripe.Invoice[]> =>
  (await world.stripe.invoices.list({ subscription, limit: 100 })).data

async function setDefault(subscription: Stripe.Subscription, card: string): Promise<void> {
  const customer = idOf(subscription.customer)
  const { id } = await world.stripe.paymentMethods.attach(card, { customer })
  const invoice_settings = { default_payment_method: id }
  await world.stripe.customers.update(customer, { invoice_settings })
}

describe('a checkout of mode subscription', () => {
  test('pays the first invoice and begins the subscription, packs beside it', async () => {
    const { stripe } = world
    const plan = await recurringPrice(world)
    const pack = await stripe.prices.create({
      currency: 'usd',
      unit_amount: 500,
      product_data: { name: 'Pack' },
    })
    await world.control('settings', { tax_percent: 10 })
    const session = await subscribe(world, plan.id, {
      line_items: [
        { price: plan.id, quantity: 2 },
        { price: pack.id, quantity: 1 },
      ],
    })
    expect(session).toMatchObject({
      status: 'complete',
      payment_status: 'paid',
      payment_intent: null,
      amount_total: 4_950,
    })
    const invoice = await stripe.invoices.retrieve(idOf(session.invoice), { expand: ['payments'] })
    expect(invoice).toMatchObject({
      status: 'paid',
      billing_reason: 'subscription_create',
      total: 4_950,
      amount_paid: 4_950,
      parent: {
        type: 'subscription_details',
        subscription_details: { subscription: session.subscription, metadata: { ours: 'yes' } },
      },
    })
    const [line, sold] = invoice.lines.data
    expect(line).toMatchObject({
      amount: 4_000,
      quantity: 2,
      parent: { subscription_item_details: { proration: false } },
      pricing: { price_details: { price: plan.id } },
      period: { start: START_S, end: Date.UTC(2026, 11, 1) / 1000 },
    })
    expect(sold).toMatchObject({
      amount: 500,
      parent: { type: 'invoice_item_details' },
      pricing: { price_details: { price: pack.id } },
    })
    const paid = await stripe.paymentIntents.retrieve(
      idOf(invoice.payments?.data[0]?.payment.payment_intent),
    )
    expect(paid).toMatchObject({ status: 'succeeded', amount: 4_950 })
    const found = await stripe.invoicePayments.list({
      payment: { type: 'payment_intent', payment_intent: paid.id },
    })
    expect(found.data.map((one) => one.invoice)).toEqual([invoice.id])
    const it = await stripe.subscriptions.retrieve(idOf(session.subscription))
    expect(it).toMatchObject({ status: 'active', metadata: { ours: 'yes' } })
    expect(await world.news()).toEqual(
      expect.arrayContaining([
        'customer.subscription.created',
        'invoice.paid',
        'checkout.session.completed',
      ]),
    )
  })

  test('begins nothing when the card is declined, and waits for a delayed payment', async () => {
    const { id } = await recurringPrice(world)
    const declined = await subscribe(world, id, {}, 'pm_card_visa_chargeDeclined')
    expect(declined).toMatchObject({ status: 'open', subscription: null })
    const late = await subscribe(world, id, {}, 'pm_sepaDebit')
    expect(late).toMatchObject({ status: 'complete', payment_status: 'unpaid' })
    const before = await world.stripe.invoices.retrieve(idOf(late.invoice))
    expect(before.status).toBe('open')
    await world.advance(4)
    expect((await world.stripe.invoices.retrieve(before.id)).status).toBe('paid')
    expect(await world.news()).toContain('checkout.session.async_payment_succeeded')
  })

  test('with a trial costs nothing until it ends', async () => {
    const { id } = await recurringPrice(world)
    const session = await subscribe(world, id, { subscription_data: { trial_period_days: 14 } })
    expect(session).toMatchObject({ amount_total: 0, payment_status: 'no_payment_required' })
    const it = await world.stripe.subscriptions.retrieve(idOf(session.subscription))
    expect(it).toMatchObject({ status: 'trialing', trial_end: START_S + 14 * DAY_S })
    expect((await invoicesOf(it.id)).map(({ status, total }) => [status, total])).toEqual([
      ['paid', 0],
    ])
    await world.news()
    await world.advance(12)
    expect(await world.news()).toEqual(['customer.subscription.trial_will_end'])
    await world.advance(3)
    expect(await again(it)).toMatchObject({ status: 'active' })
    expect((await invoicesOf(it.id))[0]).toMatchObject({
      status: 'paid',
      total: 2_000,
      billing_reason: 'subscription_cycle',
    })
  })
})

describe('periods', () => {
  test('are billed at their start by an invoice that is a draft for an hour', async () => {
    const it = await begin((await recurringPrice(world)).id)
    await world.advance(26)
    await world.news()
    await world.advance(1)
    expect(await world.news()).toEqual(['invoice.upcoming'])
    await world.advance(3.01)
    expect((await invoicesOf(it.id))[0]).toMatchObject({ status: 'draft', attempt_count: 0 })
    expect(await world.news()).toEqual(['invoice.created', 'customer.subscription.updated'])
    await world.advance(0.1)
    const [second] = await invoicesOf(it.id)
    expect(second).toMatchObject({ status: 'paid', billing_reason: 'subscription_cycle' })
    const line = second?.lines.data[0]
    expect([dayOf(line?.period.start), dayOf(line?.period.end)]).toEqual([
      '2026-12-01',
      '2027-01-01',
    ])
    const item = (await again(it)).items.data[0]
    expect(dayOf(item?.current_period_end)).toBe('2027-01-01')
  })

  test('that begin on the 31st end on the last of a shorter month', async () => {
    await world.advance(91)
    const it = await begin((await recurringPrice(world)).id)
    const ends: string[] = []
    for (let month = 0; month < 4; month += 1) {
      const end = (await again(it)).items.data[0]?.current_period_end ?? 0
      ends.push(dayOf(end))
      await world.control('advance', { to: end + 7_200 })
    }
    expect(ends).toEqual(['2027-02-28', '2027-03-31', '2027-04-30', '2027-05-31'])
    expect((await invoicesOf(it.id)).map(({ status }) => status)).toEqual(Array(5).fill('paid'))
  })

  test('of metered prices bill what was reported in the last one, until it is finalized', async () => {
    const { stripe } = world
    const meter = await stripe.billing.meters.create({
      display_name: 'Credits',
      event_name: 'ai_credits',
      default_aggregation: { formula: 'sum' },
    })
    const metered = await stripe.prices.create({
      currency: 'usd',
      unit_amount: 3,
      recurring: { interval: 'month', usage_type: 'metered', meter: meter.id },
      product_data: { name: 'Overage' },
    })
    const customer = await customerWith(world)
    const plan = await recurringPrice(world)
    const it = await stripe.subscriptions.create({
      customer: customer.id,
      items: [{ price: plan.id }, { price: metered.id }],
    })
    const report = (value: string, at: number): Promise<unknown> =>
      stripe.billing.meterEvents.create({
        event_name: 'ai_credits',
        payload: { stripe_customer_id: customer.id, value },
        timestamp: at,
      })
    await report('5', START_S + 60)
    await world.advance(30.01)
    await report('7', START_S + 29 * DAY_S)
    await world.advance(0.1)
    const [second, first] = await invoicesOf(it.id)
    expect(first?.total).toBe(2_000)
    expect(second?.lines.data.map(({ amount, quantity }) => [amount, quantity])).toEqual([
      [2_000, 1],
      [36, 12],
    ])
    expect(dayOf(second?.lines.data[1]?.period.start)).toBe('2026-11-01')
  })
})

describe('collecting', () => {
  test('a first payment that fails leaves it incomplete, and then it expires', async () => {
    const it = await begin((await recurringPrice(world)).id, 'pm_card_chargeCustomerFail')
    expect(it.status).toBe('incomplete')
    const types = await world.news()
    expect(types).toContain('invoice.payment_failed')
    expect(types).not.toContain('invoice.paid')
    await world.advance(1)
    expect((await again(it)).status).toBe('incomplete_expired')
    expect((await invoicesOf(it.id))[0]?.status).toBe('void')
  })

  test('a first payment that is made in time makes it active', async () => {
    const customer = await world.stripe.customers.create()
    const { id: price } = await recurringPrice(world)
    const it = await world.stripe.subscriptions.create({
      customer: customer.id,
      items: [{ price }],
      payment_behavior: 'default_incomplete',
      payment_settings: { save_default_payment_method: 'on_subscription' },
      expand: ['latest_invoice.confirmation_secret'],
    })
    const invoice = it.latest_invoice
    if (invoice === null || typeof invoice === 'string') throw new Error('not expanded')
    const secret = invoice.confirmation_secret?.client_secret ?? ''
    await world.stripe.paymentIntents.confirm(secret.split('_secret')[0] ?? '', {
      payment_method: 'pm_card_visa',
    })
    const now = await again(it)
    expect(now.status).toBe('active')
    expect(now.default_payment_method).toMatch(/^pm_/)
  })

  test.each([
    ['cancel', 'canceled'],
    ['unpaid', 'unpaid'],
    ['past_due', 'past_due'],
    ['pause', 'paused'],
  ])('retries, then ends as the settings say: %s', async (dunning_end, status) => {
    await world.control('settings', { dunning_end, dunning_days: [3, 5] })
    const it = await begin((await recurringPrice(world)).id)
    await setDefault(it, 'pm_card_chargeCustomerFail')
    await world.advance(30.1)
    const [open] = await invoicesOf(it.id)
    expect(open).toMatchObject({ status: 'open', attempt_count: 1 })
    expect(dayOf(open?.next_payment_attempt ?? 0)).toBe('2026-12-04')
    expect((await again(it)).status).toBe('past_due')
    await world.advance(9)
    expect((await invoicesOf(it.id))[0]).toMatchObject({
      attempt_count: 3,
      next_payment_attempt: null,
      status: 'open',
    })
    expect((await again(it)).status).toBe(status)
  })

  test('a card that works again ends past_due, by a retry or by hand', async () => {
    const it = await begin((await recurringPrice(world)).id)
    await setDefault(it, 'pm_card_chargeCustomerFail')
    await world.advance(30.1)
    await setDefault(it, 'pm_card_visa')
    await world.advance(3)
    expect((await again(it)).status).toBe('active')
    await setDefault(it, 'pm_card_chargeCustomerFail')
    await world.advance(31)
    const [open] = await invoicesOf(it.id)
    await expect(world.stripe.invoices.pay(open?.id ?? '')).rejects.toMatchObject({
      code: 'card_declined',
    })
    await world.stripe.invoices.pay(open?.id ?? '', { paid_out_of_band: true })
    expect((await again(it)).status).toBe('active')
    expect(await world.news()).toContain('payment_intent.canceled')
  })

  test('a bank that wants the payer is told beside the failure, and may be satisfied', async () => {
    const it = await begin((await recurringPrice(world)).id)
    await setDefault(it, 'pm_card_authenticationRequired')
    await world.news()
    await world.advance(30.1)
    const types = await world.news()
    expect(types).toContain('invoice.payment_failed')
    expect(types).toContain('invoice.payment_action_required')
    const { data } = await world.stripe.paymentIntents.list({ limit: 1 })
    await world.control('settle', { payment_intent: data[0]?.id })
    expect((await again(it)).status).toBe('active')
  })

  test('what was given up can be voided, written off, and paid even then', async () => {
    await world.control('settings', { dunning_invoice: 'uncollectible', dunning_end: 'unpaid' })
    const it = await begin((await recurringPrice(world)).id)
    await setDefault(it, 'pm_card_chargeCustomerFail')
    await world.advance(46.2)
    const [lost] = await invoicesOf(it.id)
    expect(lost?.status).toBe('uncollectible')
    await setDefault(it, 'pm_card_visa')
    await world.stripe.invoices.pay(lost?.id ?? '')
    expect(await world.news()).toContain('invoice.paid')
    expect((await again(it)).status).toBe('active')
  })
})

describe('changes', () => {
  test('of plan are prorated on the next invoice, or invoiced at once', async () => {
    const [small, large] = [await recurringPrice(world), await recurringPrice(world, 6_000)]
    const it = await begin(small.id)
    const [item] = it.items.data
    await world.advance(15)
    await world.stripe.subscriptions.update(it.id, {
      items: [{ id: item?.id ?? '', price: large.id }],
    })
    const waiting = await world.stripe.invoiceItems.list({ pending: true })
    expect(waiting.data.map(({ amount }) => amount)).toEqual([3_000, -1_000])
    await world.stripe.subscriptions.update(it.id, {
      items: [{ id: item?.id ?? '', price: large.id, quantity: 2 }],
      proration_behavior: 'always_invoice',
    })
    const [now] = await invoicesOf(it.id)
    expect(now).toMatchObject({ billing_reason: 'subscription_update', status: 'paid' })
    expect(now?.total).toBe(-1_000 + 3_000 - 3_000 + 6_000)
    for (const line of now?.lines.data ?? []) {
      expect(line.parent?.subscription_item_details).toMatchObject({
        proration: true,
        subscription_item: item?.id,
      })
      expect(dayOf(line.period.start)).toBe('2026-11-16')
    }
  })

  test('of interval begin a new period at once', async () => {
    const [month, year] = [await recurringPrice(world), await recurringPrice(world, 20_000, 'year')]
    const it = await begin(month.id)
    await world.advance(15)
    await world.stripe.subscriptions.update(it.id, {
      items: [{ id: it.items.data[0]?.id ?? '', price: year.id }],
    })
    const [now] = await invoicesOf(it.id)
    expect(now?.total).toBe(20_000 - 1_000)
    expect(dayOf((await again(it)).items.data[0]?.current_period_end)).toBe('2027-11-16')
  })

  test('to a smaller plan leave credit for the next invoice', async () => {
    const [large, small] = [await recurringPrice(world, 6_000), await recurringPrice(world, 1_000)]
    const it = await begin(large.id)
    await world.advance(15)
    await world.stripe.subscriptions.update(it.id, {
      items: [{ id: it.items.data[0]?.id ?? '', price: small.id }],
      proration_behavior: 'always_invoice',
    })
    const customer = await world.stripe.customers.retrieve(idOf(it.customer))
    expect(customer).toMatchObject({ balance: -2_500 })
    await world.advance(15.2)
    expect((await invoicesOf(it.id))[0]).toMatchObject({
      total: 1_000,
      amount_due: 0,
      status: 'paid',
      ending_balance: -1_500,
    })
  })

  test('that cannot be paid are refused where the caller says so', async () => {
    const [small, large] = [await recurringPrice(world), await recurringPrice(world, 6_000)]
    const it = await begin(small.id)
    await setDefault(it, 'pm_card_chargeCustomerFail')
    await world.advance(15)
    await expect(
      world.stripe.subscriptions.update(it.id, {
        items: [{ id: it.items.data[0]?.id ?? '', price: large.id }],
        proration_behavior: 'always_invoice',
        payment_behavior: 'error_if_incomplete',
      }),
    ).rejects.toMatchObject({ code: 'card_declined' })
    expect((await again(it)).items.data[0]?.price.id).toBe(small.id)
  })
})

describe('the end', () => {
  test('at the period end, unless taken back', async () => {
    const it = await begin((await recurringPrice(world)).id)
    await world.stripe.subscriptions.update(it.id, { cancel_at_period_end: true })
    await world.stripe.subscriptions.update(it.id, { cancel_at_period_end: false })
    await world.advance(31)
    expect((await again(it)).status).toBe('active')
    await world.stripe.subscriptions.update(it.id, { cancel_at_period_end: true })
    await world.news()
    await world.advance(31)
    expect(await again(it)).toMatchObject({
      status: 'canceled',
      cancellation_details: { reason: 'cancellation_requested' },
    })
    expect(await world.news()).toEqual(['customer.subscription.deleted'])
    expect(await invoicesOf(it.id)).toHaveLength(2)
  })

  test('at once, with the rest credited where asked; deleting the customer ends all', async () => {
    const it = await begin((await recurringPrice(world)).id)
    await world.advance(15)
    const gone = await world.stripe.subscriptions.cancel(it.id, {
      prorate: true,
      invoice_now: true,
    })
    expect(gone.status).toBe('canceled')
    expect((await invoicesOf(it.id))[0]?.total).toBe(-1_000)
    const other = await begin((await recurringPrice(world)).id)
    await world.stripe.customers.del(idOf(other.customer))
    expect((await again(other)).status).toBe('canceled')
  })
})

describe('pauses', () => {
  test.each([
    ['void', 'void'],
    ['keep_as_draft', 'draft'],
    ['mark_uncollectible', 'uncollectible'],
  ] as const)('of collection: %s', async (behavior, status) => {
    const it = await begin((await recurringPrice(world)).id)
    const resumes_at = START_S + 40 * DAY_S
    await world.stripe.subscriptions.update(it.id, { pause_collection: { behavior, resumes_at } })
    await world.advance(31)
    expect((await invoicesOf(it.id))[0]?.status).toBe(status)
    expect((await again(it)).status).toBe('active')
    await world.advance(10)
    expect((await again(it)).pause_collection).toBeNull()
  })

  test('of a trial without a card, and its resumption', async () => {
    const customer = await world.stripe.customers.create()
    const it = await world.stripe.subscriptions.create({
      customer: customer.id,
      items: [{ price: (await recurringPrice(world)).id }],
      trial_period_days: 7,
      trial_settings: { end_behavior: { missing_payment_method: 'pause' } },
    })
    await world.advance(8)
    expect(await again(it)).toMatchObject({
      status: 'paused',
      status_details: {
        paused: { subscription: { type: 'trial_end_without_payment_method' } },
      },
    })
    expect(await world.news()).toContain('customer.subscription.paused')
    await setDefault(it, 'pm_card_visa')
    const resumed = await world.stripe.subscriptions.resume(it.id)
    expect(resumed.status).toBe('active')
    expect((await invoicesOf(it.id))[0]).toMatchObject({ status: 'paid', total: 2_000 })
  })
})

describe('invoices made by hand', () => {
  test('take waiting items, and are finalized, sent, paid, voided or thrown away', async () => {
    const { stripe } = world
    const customer = await customerWith(world)
    for (let count = 0; count < 12; count += 1) {
      await stripe.invoiceItems.create({ customer: customer.id, amount: 100, currency: 'usd' })
    }
    const draft = await stripe.invoices.create({
      customer: customer.id,
      pending_invoice_items_behavior: 'include',
    })
    expect(draft.lines).toMatchObject({ has_more: true })
    const id = draft.id
    const lines = await stripe.invoices.listLineItems(id).autoPagingToArray({ limit: 100 })
    expect(new Set(lines.map((line) => line.id)).size).toBe(12)
    expect(await stripe.invoices.pay(id)).toMatchObject({ status: 'paid', amount_paid: 1_200 })
    const other = await stripe.invoices.create({
      customer: customer.id,
      collection_method: 'send_invoice',
      days_until_due: 10,
    })
    await stripe.invoiceItems.create({
      customer: customer.id,
      amount: 700,
      currency: 'usd',
      invoice: other.id,
    })
    const sent = await stripe.invoices.sendInvoice(other.id)
    expect(sent).toMatchObject({ status: 'open', amount_due: 700 })
    const page = await fetch(sent.hosted_invoice_url ?? '')
    expect(await page.text()).toContain('7.00 usd')
    const note = await stripe.creditNotes.create({ invoice: other.id, amount: 200 })
    expect(note).toMatchObject({ type: 'pre_payment', pre_payment_amount: 200 })
    await fetch(sent.hosted_invoice_url ?? '', { method: 'POST', body: 'method=pm_card_visa' })
    expect(await stripe.invoices.retrieve(other.id)).toMatchObject({
      status: 'paid',
      amount_paid: 500,
    })
    const junk = await stripe.invoices.create({ customer: customer.id })
    expect(await stripe.invoices.del(junk.id)).toMatchObject({ deleted: true })
  })

  test('credit notes give paid money back by refund, to the balance, or elsewhere', async () => {
    const { stripe } = world
    const it = await begin((await recurringPrice(world)).id)
    const [paid] = await invoicesOf(it.id)
    const note = await stripe.creditNotes.create({
      invoice: paid?.id ?? '',
      amount: 1_500,
      refund_amount: 800,
      credit_amount: 400,
      out_of_band_amount: 300,
    })
    expect(note).toMatchObject({ type: 'post_payment', out_of_band_amount: 300 })
    expect(note.refunds).toMatchObject([{ amount_refunded: 800 }])
    expect(await stripe.customers.retrieve(idOf(it.customer))).toMatchObject({ balance: -400 })
    expect(await world.news()).toEqual(
      expect.arrayContaining(['refund.created', 'credit_note.created']),
    )
    await expect(
      stripe.creditNotes.create({ invoice: paid?.id ?? '', amount: 501, refund_amount: 501 }),
    ).rejects.toMatchObject({ param: 'amount' })
  })
})

test('coupons hold once, for some months or for ever', async () => {
  const { stripe } = world
  const { id: price } = await recurringPrice(world)
  const totals = async (duration: 'once' | 'repeating' | 'forever'): Promise<number[]> => {
    const months = duration === 'repeating' ? { duration_in_months: 2 } : {}
    const coupon = await stripe.coupons.create({ percent_off: 25, duration, ...months })
    const customer = await customerWith(world)
    const it = await stripe.subscriptions.create({
      customer: customer.id,
      items: [{ price }],
      discounts: [{ coupon: coupon.id }],
    })
    await world.advance(65)
    return (await invoicesOf(it.id)).map(({ total }) => total).reverse()
  }
  expect(await totals('once')).toEqual([1_500, 2_000, 2_000])
  expect(await totals('repeating')).toEqual([1_500, 1_500, 2_000])
  expect(await totals('forever')).toEqual([1_500, 1_500, 1_500])
})

test('a test clock moves the simulator, and says when it is there', async () => {
  const { stripe } = world
  const it = await begin((await recurringPrice(world)).id)
  const clock = await stripe.testHelpers.testClocks.create({ frozen_time: START_S })
  const to = START_S + 32 * DAY_S
  expect(await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: to })).toMatchObject({
    status: 'advancing',
  })
  await expect
    .poll(async () => (await stripe.testHelpers.testClocks.retrieve(clock.id)).status)
    .toBe('ready')
  expect(await invoicesOf(it.id)).toHaveLength(2)
})

test('setup intents keep a card for later, fail, and may want the payer', async () => {
  const { stripe } = world
  const customer = await stripe.customers.create()
  const made = await stripe.setupIntents.create({ customer: customer.id })
  expect(made.status).toBe('requires_payment_method')
  await expect(
    stripe.setupIntents.confirm(made.id, { payment_method: 'pm_card_visa_chargeDeclined' }),
  ).rejects.toMatchObject({ code: 'card_declined' })
  const asked = await stripe.setupIntents.confirm(made.id, {
    payment_method: 'pm_card_authenticationRequired',
  })
  expect(asked.status).toBe('requires_action')
  await world.control('settle', { setup_intent: made.id })
  const done = await stripe.setupIntents.retrieve(made.id)
  expect(done.status).toBe('succeeded')
  const methods = await stripe.paymentMethods.list({ customer: customer.id })
  expect(methods.data.map(({ id }) => id)).toEqual([done.payment_method])
  expect(await world.news()).toEqual(
    expect.arrayContaining(['setup_intent.setup_failed', 'setup_intent.succeeded']),
  )
})
