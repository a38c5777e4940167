import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCatalogue } from '../../src/billing/catalogue.ts'
import { makeStripeSide } from '../../src/billing/books-side.ts'
import { packsSchema, stripeConfigSchema } from '../../src/billing/config.ts'
import { makeInvoiceReader } from '../../src/billing/effects/read-invoice.ts'
import { makeReader } from '../../src/billing/effects/read-payment.ts'
import { makeFindings } from '../../src/billing/findings.ts'
import { makeRechargeReader } from '../../src/billing/recharge/read.ts'
import { idOf } from '../../src/billing/stripe.ts'
import { RECONCILE_LOOKS_MAX } from '../../src/kernel/limits/books.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import { makeBooks } from '../../src/ledger/ledger-books.ts'
import { checksOfPayments } from '../../src/reconcile/check-payments.ts'
import { makeDrifts } from '../../src/reconcile/drift.ts'
import { makeRepair } from '../../src/reconcile/repair.ts'
import { makeReconcile } from '../../src/reconcile/run.ts'
import { makeRechargeWorld, type RechargeWorld } from '../billing/recharge-world.ts'
import { countedHooks, ids } from '../billing/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'

let own: TestDb
let world: RechargeWorld
beforeAll(async () => {
  own = await testDb('postgres', 4)
  world = await makeRechargeWorld(own.db)
})
afterAll(async () => {
  await world.stop()
  await own[Symbol.asyncDispose]()
})

function makeReconciliation(quarantineMs: number, clock = world.clock, credits = 100) {
  const { db, stripe, one } = world
  const packs = packsSchema.parse([{ id: 'starter', stripe_price: world.price.id, credits }])
  const catalogue = makeCatalogue({ packs, plans: [], stripe: stripeConfigSchema.parse({}) })
  const side = makeStripeSide({
    ...{ db, ids, clock, log: silentLog, stripe, effects: one.effects, hooks: countedHooks() },
    ...{ reader: makeReader(stripe), invoices: makeInvoiceReader(stripe) },
    ...{ recharges: makeRechargeReader(stripe), catalogue: () => catalogue },
    ...{ tell: () => Promise.resolve(), reload: () => Promise.resolve() },
    findings: makeFindings({ db, ids, clock }),
  })
  const checks = checksOfPayments({ db, clock, ...side, pauseMs: 0 })
  const nothing = () => Promise.resolve()
  const look = (what: string, id: string) => side.mend(what, id)
  const repair = makeRepair({
    db,
    ids,
    clock,
    rebuild: nothing,
    recover: nothing,
    entitle: nothing,
    look,
  })
  return makeReconcile({
    ...{ db, ids, clock, repair, quarantineMs, checks: () => checks },
    drifts: makeDrifts({ db, ids, clock }),
  })
}

function makeRun(quarantineMs: number) {
  const reconcile = makeReconciliation(quarantineMs)
  return (fix = false, since: number | null = null) =>
    reconcile.begin({ kind: 'manual', since_ms: since, fix })
}

const open = () =>
  own.db.query(
    `SELECT kind, severity, direction, subject FROM findings
     WHERE state = 'open' AND kind NOT LIKE 'stripe_%' ORDER BY kind, subject`,
  )

/** A paid checkout of a customer of ours, of which no event arrived. */
async function aPayment(quantity = 1): Promise<{ accountId: string; payment: string }> {
  const account = await world.account(null, null)
  const session = await world.stripe.checkout.sessions.create({
    mode: 'payment',
    customer: account.customer,
    line_items: [{ price: world.price.id, quantity }],
    success_url: 'https://shop.example/ok',
  })
  await world.control('pay', { session: session.id, method: 'pm_card_visa' })
  const { payment_intent: intent } = await world.stripe.checkout.sessions.retrieve(session.id)
  return { accountId: account.id, payment: idOf(intent) ?? '' }
}

describe('Stripe’s payments and our grants', () => {
  test('a missed payment is urgent, writes nothing until it is mended, and grants once', async () => {
    const { accountId, payment } = await aPayment()
    const run = makeRun(-60_000)
    expect(await run()).toMatchObject({ found: 1, fixed: 0 })
    expect(await open()).toEqual([
      {
        ...{ kind: 'payment_not_granted', severity: 'urgent' },
        ...{ direction: 'paid_but_blocked', subject: payment },
      },
    ])
    expect(await world.posted(accountId)).toBe(0)
    expect(await run(true)).toMatchObject({ found: 1, fixed: 1 })
    expect(await world.posted(accountId)).toBe(100_000_000)
    expect(await run(true)).toMatchObject({ found: 0 })
    expect(await world.posted(accountId)).toBe(100_000_000)
    expect(await open()).toEqual([])
  })

  test('a missed refund is found, and clawed back by its share', async () => {
    const { accountId, payment } = await aPayment()
    const run = makeRun(-60_000)
    await run(true)
    await world.stripe.refunds.create({ payment_intent: payment, amount: 250 })
    await run()
    expect(await open()).toMatchObject([{ kind: 'clawback_differs', subject: payment }])
    expect(await world.posted(accountId)).toBe(100_000_000)
    await run(true)
    expect(await world.posted(accountId)).toBe(75_000_000)
    expect(await run()).toMatchObject({ found: 0 })
  })

  test('a payment that nobody can be granted for is left to a person', async () => {
    const customer = await world.stripe.customers.create({})
    const session = await world.stripe.checkout.sessions.create({
      mode: 'payment',
      customer: customer.id,
      line_items: [{ price: world.price.id, quantity: 1 }],
      success_url: 'https://shop.example/ok',
    })
    await world.control('pay', { session: session.id, method: 'pm_card_visa' })
    const run = makeRun(-60_000)
    expect(await run(true)).toMatchObject({ found: 1, fixed: 0 })
    expect(await open()).toMatchObject([{ kind: 'payment_not_granted' }])
    await own.db.query(
      `INSERT INTO accounts (id, name, stripe_customer_id, changed_at, created_at)
       VALUES ('acct_late', 'late', $1, now(), now())`,
      [customer.id],
    )
    await run(true)
    expect(await world.posted('acct_late')).toBe(100_000_000)
  })

  test.each([
    ['that its account has no room for', 9_007_199_254, 1],
    ['of more credits than can be counted', 9_000_000_000, 2],
  ])('a payment %s is left to a person, and hides no other', async (_name, credits, quantity) => {
    const { accountId, payment } = await aPayment(quantity)
    const grant = {
      ...{ accountId, micros: micros(1_000_000), kind: 'promo' as const, priority: 0 },
      ...{ effectiveAtMs: null, expiresAtMs: null, reason: 'x' },
      ...{ referenceType: 'test', referenceId: accountId },
    }
    await makeBooks({ db: own.db, ids }).grant(grant, world.clock.now())
    const reconcile = makeReconciliation(-60_000, world.clock, credits)
    await reconcile.begin({ kind: 'manual', since_ms: null, fix: true })
    const stuck = { kind: 'payment_not_granted', severity: 'urgent', subject: payment }
    expect(await open()).toContainEqual({ ...stuck, direction: 'paid_but_blocked' })
    expect(await world.posted(accountId)).toBe(1_000_000)
    await makeRun(-60_000)(true)
    expect(await open()).not.toContainEqual(expect.objectContaining({ subject: payment }))
  })

  test('a grant without a payment is for review', async () => {
    const { id } = await world.account(null, null)
    await own.db.query(
      `INSERT INTO stripe_payments (id, account_id, currency, paid_amount, refunded_amount,
       withdrawn_amount, paid_at, changed_at)
       VALUES ('pi_madeup', $1, 'usd', 1000, 0, 0, '2027-01-01', '2027-01-01')`,
      [id],
    )
    await makeRun(-60_000)()
    expect(await open()).toMatchObject([
      { kind: 'grant_without_payment', subject: 'pi_madeup', direction: 'unpaid_but_active' },
    ])
    await own.db.query(`DELETE FROM stripe_payments WHERE id = 'pi_madeup'`)
    await world.pass(1)
    await makeRun(-60_000)()
    expect(await open()).toEqual([])
  })

  test('what is younger than the quarantine is not judged', async () => {
    const { accountId } = await aPayment()
    const run = makeRun(600_000)
    expect(await run()).toMatchObject({ found: 0 })
    await world.pass(601)
    expect(await run(true)).toMatchObject({ found: 1, fixed: 1 })
    expect(await world.posted(accountId)).toBe(100_000_000)
  })

  describe('money that goes back is judged by its own time', () => {
    const HOUR_S = 3_600

    test('a fresh refund of an old payment is no drift yet, and one by its own age', async () => {
      const { payment } = await aPayment()
      const run = makeRun(600_000)
      await world.pass(700)
      await run(true)
      await world.pass(200 * HOUR_S)
      await world.stripe.refunds.create({ payment_intent: payment, amount: 100 })
      expect(await run()).toMatchObject({ found: 0 })
      await world.pass(590)
      expect(await run()).toMatchObject({ found: 0 })
      await world.pass(11)
      expect(await run()).toMatchObject({ found: 2 }) // by its payment, and by its refund
      expect(await open()).toMatchObject([{ kind: 'clawback_differs', subject: payment }])
      // Refunded once more, it is as young as the newer refund.
      await world.stripe.refunds.create({ payment_intent: payment, amount: 100 })
      expect(await run()).toMatchObject({ found: 0 })
      await world.pass(601)
      await run(true)
      expect(await open()).toEqual([])
    })

    test.each(['refund', 'dispute'] as const)(
      'a %s of a payment older than the scope is found, and gone when it is mended',
      async (what) => {
        const { accountId, payment } = await aPayment()
        const run = makeRun(600_000)
        await world.pass(700)
        await run(true)
        await world.pass(1_000 * HOUR_S)
        if (what === 'refund') await world.stripe.refunds.create({ payment_intent: payment })
        else await world.control('dispute', { payment_intent: payment })
        const since = () => world.clock.now() - HOUR_S * 1_000
        expect(await run(false, since())).toMatchObject({ found: 0 })
        await world.pass(700)
        expect(await run(false, since())).toMatchObject({ found: 1 })
        expect(await open()).toMatchObject([{ kind: 'clawback_differs', subject: payment }])
        expect(await run(true, since())).toMatchObject({ found: 1, fixed: 1 })
        expect(await world.posted(accountId)).toBe(0)
        expect(await run(false, since())).toMatchObject({ found: 0 })
        expect(await open()).toEqual([])
      },
    )

    test('a dispute that is won months later is judged by when its money came back', async () => {
      const { accountId, payment } = await aPayment()
      const run = makeRun(600_000)
      await world.pass(700)
      await world.control('dispute', { payment_intent: payment })
      await world.pass(700)
      await run(true)
      expect(await world.posted(accountId)).toBe(0)
      await world.pass(80 * 24 * HOUR_S)
      const [dispute] = (await world.stripe.disputes.list({ payment_intent: payment })).data
      await world.control('dispute', { dispute: dispute?.id, action: 'win' })
      const since = () => world.clock.now() - HOUR_S * 1_000
      expect(await run(false, since())).toMatchObject({ found: 0 })
      await world.pass(700)
      expect(await run(true, since())).toMatchObject({ found: 1, fixed: 1 })
      expect(await world.posted(accountId)).toBe(100_000_000)
    })
  })

  // The last: what it leaves with Stripe is walked by every run after it.
  test('more than a page is walked step by step, each taken up by whoever comes', async () => {
    const { payment } = await aPayment()
    const made = { amount: 100, currency: 'usd', confirm: true, payment_method: 'pm_card_visa' }
    const others = Array.from({ length: RECONCILE_LOOKS_MAX + 5 }, () =>
      world.stripe.paymentIntents.create(made),
    )
    await Promise.all(others)
    // Time runs away: no step has more than one page.
    let readings = 0
    const clock = { ...world.clock, monotonicMs: () => (readings += 1) * 10_000 }
    let done = await makeReconciliation(-60_000, clock).begin({
      ...{ kind: 'manual', since_ms: null, fix: false },
    })
    const steps = [done]
    while (done?.check != null) {
      done = await makeReconciliation(-60_000, clock).step()
      steps.push(done)
    }
    expect(done).toMatchObject({ check: null, found: 1 })
    expect(steps.filter((one) => one?.check === 'payments').length).toBeGreaterThanOrEqual(1)
    const seen = steps.map((one) => one?.seen ?? 0)
    expect(seen).toEqual(seen.toSorted((a, b) => a - b))
    expect(seen.at(-1)).toBeGreaterThan(RECONCILE_LOOKS_MAX + 5)
    expect(await open()).toMatchObject([{ kind: 'payment_not_granted', subject: payment }])
  })
})
