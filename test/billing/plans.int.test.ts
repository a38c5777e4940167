import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkoutRows } from '../../src/billing/checkout-rows.ts'
import { makeEffects } from '../../src/billing/effects/effects.ts'
import { makeEventEffect } from '../../src/billing/effects/of-event.ts'
import { makeFindings } from '../../src/billing/findings.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { makeLedgerOn, T0 } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { catalogueOf } from './catalogue.ts'
import { activeSubscription, makeShop, paidInvoice, PERIOD_END, planLine } from './shop.ts'
import { countedHooks, ids, makeInboxWorld, snapshot } from './support.ts'

const CREDIT = 1_000_000

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres', 12)
})
afterAll(() => own[Symbol.asyncDispose]())

async function makeWorld(policies: object = {}) {
  const { db } = own
  const shop = makeShop()
  let catalogue = catalogueOf(policies)
  const clock = { now: () => T0, monotonicMs: () => 0, after: () => () => undefined }
  const makeProcess = () =>
    makeEffects({
      ...{
        db,
        reader: shop.reader,
        recharges: shop.recharges,
        tell: () => Promise.resolve(),
        invoices: shop.invoiceReader,
        ids,
        clock,
        log: silentLog,
      },
      hooks: countedHooks(),
      catalogue: () => catalogue,
      findings: makeFindings({ db, ids, clock }),
      reload: () => Promise.resolve(),
    })
  const effectOf = () => makeEventEffect({ db, effects: makeProcess(), mode: 'test' })
  const inbox = await makeInboxWorld(db, effectOf(), undefined, effectOf())
  const { books } = makeLedgerOn(db)
  let count = 0

  /** A customer with an account and a subscription to the small plan. */
  async function subscriber() {
    count += 1
    const name = `${count}_${ids.uuid().replaceAll('-', '')}`
    const [account, customer, sub] = [`acct_${name}`, `cus_${name}`, `sub_${name}`]
    await db.query(
      `INSERT INTO accounts (id, name, stripe_customer_id, changed_at, created_at)
       VALUES ($1, $1, $2, $3, $3)`,
      [account, customer, new Date(T0)],
    )
    shop.subscriptions.set(sub, activeSubscription(sub, customer, 'price_small'))
    return { account, customer, sub, invoice: (at: number) => `in_${at}_${name}` }
  }
  return {
    ...{ db, shop, inbox, books, subscriber },
    replace: (next: typeof catalogue) => {
      catalogue = next
    },
    posted: async (id: string) => ((await books.balance(id))?.postedMicros ?? 0) / CREDIT,
    findings: async (kind: string) =>
      (await db.query('SELECT subject FROM findings WHERE kind = $1', [kind])).map(
        ({ subject }) => subject,
      ),
    async tell(...events: readonly (readonly [string, string])[]) {
      for (const event of events) await inbox.deliver(snapshot(...event))
      await Promise.all([inbox.worker.drain(), inbox.another().drain()])
    },
  }
}

const permutations = <T>(items: readonly T[]): T[][] =>
  items.length === 0
    ? [[]]
    : items.flatMap((one, at) =>
        permutations(items.filter((_, other) => other !== at)).map((rest) => [one, ...rest]),
      )

test('an invoice that is not paid grants nothing until it is', async () => {
  const world = await makeWorld()
  const { account, customer, sub, invoice } = await world.subscriber()
  const paid = paidInvoice(invoice(1), customer, sub, [planLine('price_small')])
  world.shop.invoices.set(paid.id, { ...paid, isPaid: false, status: 'open' })
  await world.tell(['invoice.payment_failed', paid.id])
  expect(await world.posted(account)).toBe(0)
  world.shop.invoices.set(paid.id, { ...paid, isPaid: false, status: 'uncollectible' })
  await world.tell(['invoice.marked_uncollectible', paid.id])
  expect(await world.posted(account)).toBe(0)
  world.shop.invoices.set(paid.id, paid)
  await world.tell(['invoice.paid', paid.id])
  expect(await world.posted(account)).toBe(100)
})

test('a refund of an invoice takes its share of every line', async () => {
  const world = await makeWorld()
  const { account, customer, sub, invoice } = await world.subscriber()
  const id = invoice(1)
  const pack = planLine('price_extra', { isOfPlan: false, item: '', amount: 1_000 })
  const paid = paidInvoice(id, customer, sub, [planLine('price_small'), pack], { paid: 3_000 })
  world.shop.invoices.set(id, paid)
  world.shop.addPayment(id.replace('in_', 'pi_'), '')
  const payment = world.shop.payment(id.replace('in_', 'pi_'))
  await world.tell(['invoice.paid', id])
  expect(await world.posted(account)).toBe(150)
  payment.refunds.push({ id: `re_${id}`, amount: 1_500, stands: true })
  world.shop.reader.sessionOf = () => Promise.resolve(null)
  world.shop.invoices.set(id, { ...paid, refunded: 1_500 })
  await world.tell(['refund.created', `re_${id}`])
  expect(await world.posted(account)).toBe(75)
  world.shop.invoices.set(id, { ...paid, refunded: 1_500, withdrawn: 3_000 })
  await world.tell(['refund.updated', `re_${id}`])
  expect(await world.posted(account)).toBe(0)
})

test('what a session sold is not granted again by the invoice made of it, nor left by a refund', async () => {
  const world = await makeWorld()
  for (const order of permutations(['checkout.session.completed', 'invoice.paid'])) {
    const { account, customer, invoice } = await world.subscriber()
    const [id, payment] = [invoice(1), invoice(1).replace('in_', 'pi_')]
    const session = payment.replace('pi_', 'cs_')
    const made = { billingReason: 'manual', paid: 1_000, payments: [payment] }
    const lines = [planLine('price_extra', { isOfPlan: false, item: '', amount: 1_000 })]
    world.shop.addSession(session, [{ id: `li_${id}`, price: 'price_extra', quantity: 1 }], {
      ...{ customer, invoice: id },
    })
    world.shop.addPayment(payment, session)
    const paid = paidInvoice(id, customer, null, lines, made)
    world.shop.invoices.set(id, paid)
    for (const type of order) {
      await world.tell([type, type === 'invoice.paid' ? id : session])
    }
    await world.tell(['invoice.updated', id], ['payment_intent.succeeded', payment])
    expect(await world.posted(account)).toBe(50)
    world.shop.payment(payment).refunds.push({ id: `re_${id}`, amount: 1_000, stands: true })
    world.shop.invoices.set(id, { ...paid, refunded: 1_000 })
    await world.tell(['refund.created', `re_${id}`], ['invoice.updated', id])
    expect(await world.posted(account)).toBe(0)
  }
})

describe('the end of a subscription', () => {
  const over = { status: 'canceled', endedAtMs: T0 }
  test.each([
    ['expire', 50],
    ['keep', 150],
  ])('with its included credits: %s; what was bought stays, in any order', async (policy, left) => {
    const world = await makeWorld({ included_at_end: policy })
    for (const order of permutations(['invoice.paid', 'customer.subscription.deleted', 'x'])) {
      const { account, customer, sub, invoice } = await world.subscriber()
      const pack = planLine('price_extra', { isOfPlan: false, item: '' })
      const lines = [planLine('price_small'), pack]
      world.shop.invoices.set(invoice(1), paidInvoice(invoice(1), customer, sub, lines))
      const before = world.shop.subscriptions.get(sub)
      if (before === undefined) throw new Error('no subscription')
      for (const type of order) {
        if (type === 'x') world.shop.subscriptions.set(sub, { ...before, ...over })
        else await world.tell([type, type === 'invoice.paid' ? invoice(1) : sub])
      }
      const both = [
        ['customer.subscription.deleted', sub],
        ['invoice.paid', invoice(1)],
      ] as const
      await world.tell(...both)
      expect(await world.posted(account)).toBe(left)
    }
  })

  test('at once with its last invoice, by two processes', async () => {
    const world = await makeWorld()
    const all = await Promise.all(Array.from({ length: 12 }, () => world.subscriber()))
    for (const { customer, sub, invoice } of all) {
      const lines = [planLine('price_small')]
      world.shop.invoices.set(invoice(1), paidInvoice(invoice(1), customer, sub, lines))
      const before = world.shop.subscriptions.get(sub)
      if (before !== undefined) world.shop.subscriptions.set(sub, { ...before, ...over })
    }
    await world.tell(
      ...all.flatMap(({ sub, invoice }) => [
        ['invoice.paid', invoice(1)] as const,
        ['customer.subscription.deleted', sub] as const,
      ]),
    )
    for (const { account } of all) expect(await world.posted(account)).toBe(0)
  })
})

test('a price that is configured later is granted when its invoice is looked at again', async () => {
  const world = await makeWorld()
  const { account, customer, sub, invoice } = await world.subscriber()
  const lines = [planLine('price_small'), planLine('price_later', { id: 'il_2', item: 'si_2' })]
  world.shop.prices.set('price_later', { isMetered: false, period: { months: 1 } })
  world.shop.invoices.set(invoice(1), paidInvoice(invoice(1), customer, sub, lines))
  await world.tell(['invoice.paid', invoice(1)])
  expect(await world.posted(account)).toBe(100)
  expect(await world.findings('stripe_unknown_price')).toContain('price_later')
  const now = catalogueOf()
  const large = now.planOf('price_large')
  world.replace({
    ...now,
    planOf: (price) => (price === 'price_later' ? large : now.planOf(price)),
  })
  await world.tell(['invoice.paid', invoice(1)])
  expect(await world.posted(account)).toBe(510)
  world.replace({ ...now, planOf: () => null })
  world.shop.prices.set('price_small', { isMetered: false, period: { months: 1 } })
  await world.tell(['invoice.paid', invoice(1)])
  expect(await world.posted(account)).toBe(510)
})

test('a subscription is kept as it is, with its plan', async () => {
  const world = await makeWorld()
  const { account, sub } = await world.subscriber()
  await world.tell(['customer.subscription.created', sub])
  const read = async () =>
    (await world.db.query('SELECT * FROM subscriptions WHERE id = $1', [sub]))[0]
  expect(await read()).toMatchObject({ account_id: account, plan_id: 'small', status: 'active' })
  const before = world.shop.subscriptions.get(sub)
  if (before === undefined) throw new Error('no subscription')
  const next = { ...before, status: 'past_due', cancelAtPeriodEnd: true, isCollectionPaused: true }
  world.shop.subscriptions.set(sub, next)
  await world.tell(['customer.subscription.updated', sub])
  expect(await read()).toMatchObject({
    status: 'past_due',
    cancel_at_period_end: true,
    is_collection_paused: true,
    current_period_end: PERIOD_END,
  })
})

test('a subscription to metered prices alone gives the plan that has one', async () => {
  const world = await makeWorld()
  const { sub } = await world.subscriber()
  const before = world.shop.subscriptions.get(sub)
  if (before === undefined) throw new Error('no subscription')
  const planOf = async (...items: readonly (readonly [string, boolean])[]) => {
    const [item] = before.items
    if (item === undefined) throw new Error('no item')
    const all = items.map(([price, isMetered]) => ({ ...item, price, isMetered }))
    world.shop.subscriptions.set(sub, { ...before, items: all })
    await world.tell(['customer.subscription.updated', sub])
    const rows = await world.db.query(
      'SELECT plan_id, stripe_price FROM subscriptions WHERE id = $1',
      [sub],
    )
    return Object.values(rows[0] ?? {})
  }
  expect(await planOf(['price_other', true], ['price_empty', true])).toEqual([
    'empty',
    'price_empty',
  ])
  expect(await planOf(['price_empty', true], ['price_small', false])).toEqual([
    'small',
    'price_small',
  ])
  expect(await planOf(['price_empty', true], ['price_base', false])).toEqual([
    'empty',
    'price_empty',
  ])
})

test('the checkout of a plan is granted by its first invoice', async () => {
  const world = await makeWorld()
  const { account, customer, sub, invoice } = await world.subscriber()
  const [id, session] = [`fbco_${sub}`, `cs_${sub}`]
  const urls = { successUrl: 'https://x', cancelUrl: 'https://x' }
  const item = { itemKind: 'plan', itemId: 'small', stripePrice: 'price_small' } as const
  const rest = { micros: null, expiresDays: null, requestKey: null, requestHash: '' }
  const planned = { id, accountId: account, ...item, ...urls, ...rest }
  await checkoutRows.plan(world.db, planned, T0)
  const before = world.shop.subscriptions.get(sub)
  if (before !== undefined) world.shop.subscriptions.set(sub, { ...before, checkoutId: id })
  const lines = [planLine('price_small')]
  const paid = paidInvoice(invoice(1), customer, sub, lines)
  world.shop.invoices.set(paid.id, { ...paid, isPaid: false, status: 'open' })
  const sold = { mode: 'subscription', paymentIntent: null, subscription: sub, invoice: paid.id }
  world.shop.addSession(session, [], { ...sold, customer, checkoutId: id })
  const state = async () => (await checkoutRows.find(world.db, { id }))?.state
  await world.tell(['checkout.session.completed', session])
  expect([await state(), await world.posted(account)]).toEqual(['pending', 0])
  world.shop.invoices.set(paid.id, paid)
  await world.tell(['checkout.session.completed', session])
  expect([await state(), await world.posted(account)]).toEqual(['granted', 100])
})

test('a dispute of a plan without credits freezes; one of another product does not', async () => {
  const world = await makeWorld()
  const status = async (id: string) =>
    (await world.db.query('SELECT status FROM accounts WHERE id = $1', [id]))[0]?.status
  const dispute = { status: 'needs_response', amount: 2_000, withdrawn: 0 }
  const disputed = async (price: string, isOfPlan: boolean) => {
    const { account, customer, sub, invoice } = await world.subscriber()
    const lines = [planLine(price, { isOfPlan })]
    const disputes = [{ ...dispute, id: `dp_${invoice(1)}` }]
    const paid = paidInvoice(invoice(1), customer, sub, lines, { disputes })
    world.shop.invoices.set(paid.id, paid)
    await world.tell(['invoice.paid', paid.id])
    return status(account)
  }
  expect(await disputed('price_empty', true)).toBe('frozen')
  expect(await disputed('price_mug', false)).toBe('active')
})

test('an account whose customer was deleted is frozen once and told', async () => {
  const world = await makeWorld()
  const { account, customer } = await world.subscriber()
  const status = async () =>
    (await world.db.query('SELECT status FROM accounts WHERE id = $1', [account]))[0]?.status
  await world.tell(['customer.deleted', customer])
  expect(await status()).toBe('active')
  world.shop.deletedCustomers.add(customer)
  await world.tell(['customer.deleted', customer], ['customer.deleted', 'cus_nobody'])
  expect(await status()).toBe('frozen')
  expect(await world.findings('stripe_customer_deleted')).toEqual([customer])
})

test.each([
  ['finding', ['cn_balance']],
  ['ignore', []],
])(
  'a credit note to the balance, by policy: %s; a refund is left to itself',
  async (policy, told) => {
    const world = await makeWorld({ credit_note: policy })
    await world.db.query("DELETE FROM findings WHERE kind = 'stripe_credit_note'")
    const { customer, sub, invoice } = await world.subscriber()
    world.shop.invoices.set(invoice(1), paidInvoice(invoice(1), customer, sub, []))
    const note = { invoice: invoice(1), status: 'issued', elsewhere: 500 }
    world.shop.notes.set('cn_balance', note)
    world.shop.notes.set('cn_refund', { ...note, elsewhere: 0 })
    world.shop.notes.set('cn_void', { ...note, status: 'void' })
    await world.tell(
      ...['cn_balance', 'cn_refund', 'cn_void'].map((id) => ['credit_note.created', id] as const),
    )
    expect(await world.findings('stripe_credit_note')).toEqual(told)
  },
)
