import Fastify, { type FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeInvoiceReader } from '../../src/billing/effects/read-invoice.ts'
import { makeReader } from '../../src/billing/effects/read-payment.ts'
import { makeStripe } from '../../src/billing/stripe.ts'

// Answers of Stripe (2026-10-28.endive), cut to what is read, by path; lists page by two.
type Listed = readonly { readonly id: string }[]
const isList = (answer: object): answer is Listed => Array.isArray(answer)
let answers: Record<string, object | Listed>
let asked: string[]
let app: FastifyInstance
let url: string

beforeEach(async () => {
  answers = {}
  asked = []
  app = Fastify()
  app.get('*', (request, reply) => {
    const { pathname, searchParams } = new URL(request.url, 'http://x')
    asked.push(decodeURIComponent(request.url))
    const answer = answers[pathname]
    if (answer === undefined) return reply.code(404).send({ error: { message: pathname } })
    if (!isList(answer)) return reply.send(answer)
    const all = answer
    const after = searchParams.get('starting_after')
    const from = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1
    const data = all.slice(from, from + 2)
    return reply.send({ object: 'list', data, has_more: from + 2 < all.length, url: pathname })
  })
  url = await app.listen({ host: '127.0.0.1', port: 0 })
})
afterEach(() => app.close())

const stripe = () => makeStripe({ secretKey: 'sk_test_x', apiBase: url })
const invoices = () => makeInvoiceReader(stripe())
const reader = () => makeReader(stripe())

const line = (id: string, price: string, parent: object) => ({
  id,
  object: 'line_item',
  amount: 2_000,
  quantity: 1,
  period: { start: 1_800_000_000, end: 1_802_678_400 },
  pricing: { type: 'price_details', price_details: { price, product: 'prod_1' } },
  parent,
})
const ofItem = { type: 'subscription_item_details', invoice_item_details: null }
const item = { subscription: 'sub_1', subscription_item: 'si_1', invoice_item: null }

test('an invoice is read with all its lines, and what came back of all its payments', async () => {
  answers = {
    '/v1/invoices/in_1': {
      id: 'in_1',
      object: 'invoice',
      status: 'paid',
      billing_reason: 'subscription_cycle',
      customer: 'cus_1',
      currency: 'usd',
      total: 6_000,
      amount_overpaid: 40,
      last_finalization_error: { type: 'invalid_request_error', code: 'tax_failed' },
      pre_payment_credit_notes_amount: 500,
      created: 1_800_000_000,
      status_transitions: { paid_at: 1_800_000_700 },
      parent: { type: 'subscription_details', subscription_details: { subscription: 'sub_1' } },
    },
    '/v1/invoices/in_1/lines': [
      line('il_1', 'price_a', {
        ...ofItem,
        subscription_item_details: { ...item, proration: false },
      }),
      line('il_2', 'price_b', {
        ...ofItem,
        subscription_item_details: { ...item, proration: true },
      }),
      {
        ...line('il_5', 'price_b', {
          ...ofItem,
          subscription_item_details: {
            ...{ ...item, proration: true },
            proration_details: { credited_items: { invoice: 'in_0', invoice_line_items: [] } },
          },
        }),
        amount: 0,
      },
      line('il_3', 'price_c', {
        type: 'invoice_item_details',
        invoice_item_details: { invoice_item: 'ii_1', proration: false, subscription: null },
        subscription_item_details: null,
      }),
      { ...line('il_4', 'x', {}), parent: null, pricing: null, quantity: null },
    ],
    '/v1/invoice_payments': [
      { id: 'inpay_1', payment: { type: 'payment_intent', payment_intent: 'pi_1' } },
      { id: 'inpay_2', payment: { type: 'payment_intent', payment_intent: 'pi_1' } },
      { id: 'inpay_3', payment: { type: 'payment_record', payment_record: 'prec_1' } },
    ],
    '/v1/refunds': [
      { id: 're_1', amount: 100, status: 'succeeded' },
      { id: 're_2', amount: 30, status: 'failed' },
      { id: 're_3', amount: 7, status: 'pending' },
    ],
    '/v1/disputes': [],
  }
  const invoice = await invoices().invoice('in_1')
  expect(invoice).toMatchObject({
    isPaid: true,
    paid: 5_500,
    paidAtMs: 1_800_000_700_000,
    subscription: 'sub_1',
    customer: 'cus_1',
    refunded: 2 * 107,
    withdrawn: 0,
    payments: ['pi_1', 'pi_1'],
    overpaid: 40,
    finalizationError: null,
  })
  expect(invoice.lines).toMatchObject([
    { id: 'il_1', price: 'price_a', isOfPlan: true, isProration: false, item: 'si_1' },
    { id: 'il_2', price: 'price_b', isOfPlan: true, isProration: true, isCredit: false },
    { id: 'il_5', amount: 0, isProration: true, isCredit: true },
    { id: 'il_3', price: 'price_c', isOfPlan: false, isProration: false, item: '' },
    { id: 'il_4', price: null, isOfPlan: false, quantity: 1 },
  ])
  expect(asked).toContain('/v1/invoice_payments?invoice=in_1&status=paid&limit=100')
})

test.each([
  [{ type: 'api_error', code: 'tax_failed' }, 'tax_failed'],
  [{ type: 'api_error' }, 'api_error'],
  [null, null],
])('a draft that Stripe could not finalise says why: %o', async (error, why) => {
  answers = {
    '/v1/invoices/in_1': {
      ...{ id: 'in_1', object: 'invoice', status: 'draft', total: 0, created: 1 },
      ...{ parent: null, status_transitions: {}, last_finalization_error: error },
    },
    '/v1/invoices/in_1/lines': [],
    '/v1/invoice_payments': [],
  }
  expect((await invoices().invoice('in_1')).finalizationError).toBe(why)
})

test('the invoice of a payment is asked for as Stripe wants it', async () => {
  answers = { '/v1/invoice_payments': [{ id: 'inpay_1', invoice: 'in_7' }] }
  expect(await invoices().invoiceOf('pi_7')).toBe('in_7')
  const wanted = 'payment[type]=payment_intent&payment[payment_intent]=pi_7'
  expect(asked[0]).toContain(wanted)
  answers = { '/v1/invoice_payments': [] }
  expect(await invoices().invoiceOf('pi_8')).toBeNull()
})

test.each([
  ['active', null, false],
  ['past_due', null, false],
  ['canceled', 1_800_000_900, true],
  ['incomplete_expired', null, true],
])('a subscription that is %s', async (status, endedAt, isOver) => {
  answers = {
    '/v1/subscriptions/sub_1': {
      id: 'sub_1',
      object: 'subscription',
      status,
      customer: { id: 'cus_1', object: 'customer', deleted: true },
      created: 1_800_000_000,
      billing_cycle_anchor: 1_800_000_050,
      ended_at: endedAt,
      canceled_at: null,
      trial_end: 1_800_600_000,
      cancel_at: null,
      cancel_at_period_end: false,
      pause_collection: null,
      latest_invoice: { id: 'in_3', billing_reason: 'subscription_cycle', status: 'open' },
      metadata: { farebox_checkout: 'fbco_1' },
      items: {
        object: 'list',
        data: [
          {
            id: 'si_1',
            price: { id: 'price_a', recurring: { usage_type: 'metered', interval: 'month' } },
            current_period_start: 1_800_000_000,
            current_period_end: 1_802_678_400,
          },
        ],
      },
    },
  }
  const open = (id: string, created: number, finalized: number | null) => ({
    ...{ id, created, status_transitions: { finalized_at: finalized } },
    hosted_invoice_url: `https://pay.example/${id}`,
  })
  answers['/v1/invoices'] = [
    open('in_3', 1_805_000_000, 1_805_003_600),
    open('in_2', 1_802_678_400, 1_802_682_000),
    open('in_4', 1_806_000_000, null),
  ]
  const found = await invoices().subscription('sub_1')
  const owes = status === 'past_due'
  expect(found).toMatchObject({
    latestInvoice: 'in_3',
    anchorMs: 1_800_000_050_000,
    invoiceStatus: 'open',
    owedSinceMs: owes ? 1_802_682_000_000 : null,
    payUrl: owes ? 'https://pay.example/in_2' : null,
  })
  expect(asked.some((url) => url.includes('status=open&limit'))).toBe(owes)
  expect(found).toMatchObject({
    customer: 'cus_1',
    checkoutId: 'fbco_1',
    isCollectionPaused: false,
  })
  expect(found.items).toMatchObject([{ price: 'price_a', isMetered: true, quantity: 1 }])
  expect(found.endedAtMs !== null).toBe(isOver)
})

describe('an invoice for a change in mid-period says nothing of the period', () => {
  const PERIOD = { start: 1_800_000_000, end: 1_802_678_400 }
  const lineOf = (proration: boolean, period: object) => ({
    period,
    parent: { type: 'subscription_item_details', subscription_item_details: { proration } },
  })
  const subscriptionWith = (...lines: object[]) => ({
    id: 'sub_1',
    object: 'subscription',
    status: 'active',
    customer: 'cus_1',
    created: 1_700_000_000,
    cancel_at_period_end: false,
    pause_collection: null,
    latest_invoice: {
      id: 'in_9',
      billing_reason: 'subscription_update',
      status: 'paid',
      lines: { object: 'list', data: lines },
    },
    metadata: {},
    items: {
      object: 'list',
      data: [
        {
          price: { id: 'price_a', recurring: { usage_type: 'licensed', interval: 'month' } },
          current_period_start: PERIOD.start,
          current_period_end: PERIOD.end,
        },
      ],
    },
  })
  const statusOf = async (invoices_: object[], ...lines: object[]) => {
    answers = {
      '/v1/subscriptions/sub_1': subscriptionWith(...lines),
      '/v1/invoices': invoices_.map((one, at) => ({ id: `in_${at}`, lines: { data: [] }, ...one })),
    }
    return (await invoices().subscription('sub_1')).invoiceStatus
  }
  const update = { billing_reason: 'subscription_update', status: 'paid' }
  const change = lineOf(true, { start: PERIOD.start + 9, end: PERIOD.end })
  test.each(['uncollectible', 'void', 'open', 'paid'])(
    'its own invoice does, however old: %s',
    async (status) => {
      const cycle = { billing_reason: 'subscription_cycle', status }
      const first = { billing_reason: 'subscription_create', status: 'paid' }
      expect(await statusOf([update, update, cycle, first], change)).toBe(status)
    },
  )
  test('where there is no other, nothing is known', async () => {
    expect(await statusOf([update, update, update], change)).toBeNull()
  })
  test('but one that begins a new period pays for it', async () => {
    const cycle = { billing_reason: 'subscription_cycle', status: 'uncollectible' }
    expect(await statusOf([update, cycle], lineOf(false, PERIOD))).toBe('paid')
    expect(await statusOf([update, cycle], lineOf(true, PERIOD))).toBe('uncollectible')
    const began = { ...update, lines: { data: [lineOf(false, PERIOD)] } }
    expect(await statusOf([update, began, cycle], change)).toBe('paid')
  })
})

test.each([
  ['month', 3, { months: 3 }],
  ['year', 1, { months: 12 }],
  ['week', 2, { days: 14 }],
  ['decade', 1, null],
])('a price by the %s', async (interval, count, period) => {
  const recurring = { interval, interval_count: count, usage_type: 'licensed' }
  answers = { '/v1/prices/price_1': { id: 'price_1', object: 'price', recurring } }
  expect(await invoices().price('price_1')).toEqual({ isMetered: false, period })
})

test.each([
  ['refunded', { refunds: [{ amount_refunded: 500 }] }, 0],
  ['credited to the balance', { customer_balance_transaction: 'cbtxn_1' }, 500],
  ['both', { refunds: [{ amount_refunded: 200 }], customer_balance_transaction: 'c' }, 300],
  ['paid outside', { out_of_band_amount: 500 }, 500],
])('a credit note that is %s', async (_name, fields, elsewhere) => {
  const note = { refunds: [], customer_balance_transaction: null, out_of_band_amount: null }
  const rest = { status: 'issued', invoice: 'in_1', post_payment_amount: 500, ...fields }
  answers = { '/v1/credit_notes/cn_1': { id: 'cn_1', object: 'credit_note', ...note, ...rest } }
  expect(await invoices().creditNote('cn_1')).toEqual({
    invoice: 'in_1',
    status: 'issued',
    elsewhere,
  })
})

describe('what a dispute took', () => {
  const moved = (amount: number, currency = 'usd') => ({ amount, currency, fee: 1_500 })
  const withdrawn = async (...transactions: object[]) => {
    const of = { charge: 'ch_1', currency: 'usd' }
    const dispute = { id: 'dp_1', status: 'lost', amount: 1_000, ...of }
    answers = {
      '/v1/payment_intents/pi_1': {
        id: 'pi_1',
        object: 'payment_intent',
        status: 'succeeded',
        amount_received: 1_000,
        currency: 'usd',
        created: 1_800_000_000,
        latest_charge: { id: 'ch_1', object: 'charge', created: 1_800_000_005 },
      },
      '/v1/refunds': [],
      '/v1/disputes': [{ ...dispute, balance_transactions: transactions }],
    }
    const payment = await reader().payment('pi_1')
    expect(payment).toMatchObject({ paid: 1_000, isPaid: true, paidAtMs: 1_800_000_005_000 })
    return payment.withdrawn
  }
  test('is the sum of its movements, without fees', async () => {
    expect(await withdrawn()).toBe(0)
    expect(await withdrawn(moved(-1_000))).toBe(1_000)
    expect(await withdrawn(moved(-1_000), moved(400))).toBe(600)
    expect(await withdrawn(moved(-1_000), moved(1_000))).toBe(0)
  })
  test('in another currency is the same share of the disputed amount', async () => {
    expect(await withdrawn(moved(-930, 'eur'))).toBe(1_000)
    expect(await withdrawn(moved(-930, 'eur'), moved(465, 'eur'))).toBe(500)
    expect(await withdrawn(moved(-930, 'eur'), moved(940, 'eur'))).toBe(0)
  })
  test('of another currency than the charge is the same share of the charge', async () => {
    const dispute = { id: 'dp_1', status: 'lost', amount: 150_000, currency: 'jpy' }
    const charge = { id: 'ch_1', object: 'charge', amount: 1_000, currency: 'usd' }
    const taken = async (...transactions: object[]) => {
      answers = {
        '/v1/payment_intents/pi_1': {
          ...{ id: 'pi_1', object: 'payment_intent', status: 'succeeded', currency: 'usd' },
          ...{ amount_received: 1_000, created: 1_800_000_000, latest_charge: charge },
        },
        '/v1/refunds': [],
        '/v1/disputes': [{ ...dispute, charge, balance_transactions: transactions }],
      }
      return (await reader().payment('pi_1')).withdrawn
    }
    expect(await taken(moved(-930, 'eur'))).toBe(1_000)
    expect(await taken(moved(-930, 'eur'), moved(465, 'eur'))).toBe(500)
    expect(await taken(moved(-150_000, 'jpy'))).toBe(1_000)
    expect(await taken(moved(-150_000, 'jpy'), moved(150_000, 'jpy'))).toBe(0)
    expect(asked.join(' ')).toContain(
      '/v1/disputes?payment_intent=pi_1&limit=100&expand[0]=data.charge',
    )
  })
})

test('what came back of a charge without a PaymentIntent counts for its invoice', async () => {
  answers = {
    '/v1/invoices/in_1': {
      ...{ id: 'in_1', object: 'invoice', status: 'paid', total: 1_000, created: 1 },
      ...{ parent: null, status_transitions: {}, pre_payment_credit_notes_amount: 0 },
    },
    '/v1/invoices/in_1/lines': [],
    '/v1/invoice_payments': [{ id: 'inpay_1', payment: { type: 'charge', charge: 'ch_1' } }],
    '/v1/refunds': [{ id: 're_1', amount: 400, status: 'succeeded' }],
    '/v1/disputes': [],
  }
  expect(await invoices().invoice('in_1')).toMatchObject({ refunded: 400, payments: [] })
  expect(asked.join(' ')).toContain('/v1/refunds?charge=ch_1')
})

test('a customer that was deleted says so with a 200', async () => {
  answers = { '/v1/customers/cus_1': { id: 'cus_1', object: 'customer', deleted: true } }
  expect(await reader().isCustomerDeleted('cus_1')).toBe(true)
  answers = { '/v1/customers/cus_1': { id: 'cus_1', object: 'customer', name: 'Ada' } }
  expect(await reader().isCustomerDeleted('cus_1')).toBe(false)
})

test('what refunds, disputes and warnings are about is found by their charge too', async () => {
  answers = {
    '/v1/refunds/re_1': { id: 're_1', payment_intent: null, charge: 'ch_1' },
    '/v1/disputes/dp_1': { id: 'dp_1', payment_intent: 'pi_2', charge: 'ch_1' },
    '/v1/charges/ch_1': { id: 'ch_1', payment_intent: 'pi_1', customer: 'cus_1' },
    '/v1/radar/early_fraud_warnings/issfr_1': { id: 'issfr_1', charge: 'ch_1', actionable: true },
  }
  expect(await reader().paymentOfRefund('re_1')).toBe('pi_1')
  expect(await reader().paymentOfDispute('dp_1')).toBe('pi_2')
  expect(await reader().warning('issfr_1')).toEqual({
    ...{ payment: 'pi_1', customer: 'cus_1', actionable: true },
  })
})
