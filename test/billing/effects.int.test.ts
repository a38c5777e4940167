import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCatalogue } from '../../src/billing/catalogue.ts'
import { checkoutRows } from '../../src/billing/checkout-rows.ts'
import { packsSchema, stripeConfigSchema } from '../../src/billing/config.ts'
import { makeEffects } from '../../src/billing/effects/effects.ts'
import { makeEventEffect } from '../../src/billing/effects/of-event.ts'
import { takenBack } from '../../src/billing/effects/share.ts'
import { makeFindings } from '../../src/billing/findings.ts'
import { STRIPE_EVENT_RETRY_MS_MAX } from '../../src/kernel/limits/stripe.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { notifyConfigSchema } from '../../src/notify/config.ts'
import { makeOutbox } from '../../src/notify/outbox.ts'
import { micros } from '../../src/kernel/money.ts'
import { item, makeLedgerOn, T0, expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { makeShop, PAID_AT } from './shop.ts'
import { countedHooks, ids, makeInboxWorld, snapshot } from './support.ts'

const GRANT = 10_000_001
const PRICE = 'price_starter'

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres', 12)
})
afterAll(() => own[Symbol.asyncDispose]())

async function makeWorld(policies: object = {}) {
  const { db } = own
  const shop = makeShop()
  const reloaded: string[] = []
  const packs = packsSchema.parse([{ id: 'starter', stripe_price: PRICE, credits: '10.000001' }])
  const stripe = stripeConfigSchema.parse({ policies })
  const catalogue = makeCatalogue({ packs, plans: [], stripe })
  const clock = { now: () => T0, monotonicMs: () => 0, after: () => () => undefined }
  const webhooks = [{ id: 'main', url: 'https://x.example', secret: `whsec_${'A'.repeat(32)}` }]
  const outbox = makeOutbox({ db, ids, config: () => notifyConfigSchema.parse({ webhooks }) })
  const makeProcess = () =>
    makeEffects({
      tell: (...told) => outbox.add(...told),
      ...{
        db,
        reader: shop.reader,
        recharges: shop.recharges,
        invoices: shop.invoiceReader,
        ids,
        clock,
        log: silentLog,
        hooks: countedHooks(),
      },
      catalogue: () => catalogue,
      findings: makeFindings({ db, ids, clock }),
      reload: (id) => {
        reloaded.push(id)
        return Promise.resolve()
      },
    })
  const [effects, elsewhere] = [makeProcess(), makeProcess()]
  const [effect, other] = [effects, elsewhere].map((each) =>
    makeEventEffect({ db, effects: each, mode: 'test' }),
  )
  if (effect === undefined || other === undefined) throw new Error('unreachable')
  const inbox = await makeInboxWorld(db, effect, undefined, other)
  const { books, ledger } = makeLedgerOn(db)

  async function account(customer: string | null = null): Promise<string> {
    const id = `acct_${ids.uuid()}`
    await db.query(
      `INSERT INTO accounts (id, name, stripe_customer_id, changed_at, created_at)
       VALUES ($1, $1, $2, $3, $3)`,
      [id, customer, new Date(T0)],
    )
    return id
  }
  /** A checkout of ours whose session is open at Stripe. */
  async function checkout(accountId: string, amount = 1_000) {
    const name = ids.uuid().replaceAll('-', '')
    const [id, session, payment] = [`fbco_${name}`, `cs_${name}`, `pi_${name}`]
    const planned = {
      ...({ id, accountId, itemKind: 'pack', itemId: 'starter', stripePrice: PRICE } as const),
      ...{
        micros: micros(GRANT),
        expiresDays: null,
        successUrl: 'https://x',
        cancelUrl: 'https://x',
      },
      ...{ requestKey: null, requestHash: '' },
    }
    await checkoutRows.plan(db, planned, T0)
    const opened = { id, sessionId: session, url: 'https://pay', amount, currency: 'usd' }
    await checkoutRows.open(db, { ...opened, expiresAtMs: T0 + 1 }, T0)
    shop.addSession(session, [{ id: 'li_1', price: PRICE, quantity: 1 }], {
      amountSubtotal: amount,
      amountTotal: amount,
      checkoutId: id,
    })
    shop.addPayment(payment, session, amount)
    return { id, session, payment }
  }
  const posted = async (id: string) => (await books.balance(id))?.postedMicros
  return {
    ...{ db, shop, effects, elsewhere, inbox, books, ledger, account, checkout, posted, reloaded },
    /** What its owner is told. */
    told: async (id: string) =>
      (await db.query('SELECT kind, data FROM notifications WHERE account_id = $1', [id])).map(
        ({ kind, data }) => ({ kind, ...(data as object) }),
      ),
    state: async (id: string) => (await checkoutRows.find(db, { id }))?.state,
    status: async (id: string) =>
      (await db.query('SELECT status FROM accounts WHERE id = $1', [id]))[0]?.status,
    findings: async (kind: string) =>
      (await db.query('SELECT subject FROM findings WHERE kind = $1', [kind])).map(
        ({ subject }) => subject,
      ),
    async tell(...events: readonly (readonly [string, string])[]) {
      for (const [type, id] of events) await inbox.deliver(snapshot(type, id))
      await inbox.worker.drain()
    },
  }
}

type World = Awaited<ReturnType<typeof makeWorld>>

/** What the ledger must say of a payment: a pure function of what Stripe says. */
function expectedOf(world: World, payment: string): number {
  const facts = world.shop.factsOf(payment)
  if (!facts.isPaid) return 0
  const back = takenBack(micros(GRANT), facts)
  return GRANT - back.refundMicros - back.disputeMicros
}

const permutations = <T>(items: readonly T[]): T[][] =>
  items.length === 0
    ? [[]]
    : items.flatMap((one, at) =>
        permutations(items.filter((_, other) => other !== at)).map((rest) => [one, ...rest]),
      )

describe('a purchase', () => {
  test('all orders of its events, with duplicates, grant once', async () => {
    const world = await makeWorld()
    for (const order of permutations([
      'checkout.session.completed',
      'payment_intent.succeeded',
      'charge.updated',
    ])) {
      const id = await world.account()
      const { session, payment, id: checkout } = await world.checkout(id)
      const objects = {
        checkout: session,
        payment_intent: payment,
        charge: payment.replace('pi_', 'ch_'),
      }
      const events = order.map((type) => {
        const [object] = type.split('.')
        return [type, objects[object as keyof typeof objects]] as const
      })
      await world.tell(...events, ...events)
      expect(await world.posted(id)).toBe(GRANT)
      expect(await world.state(checkout)).toBe('granted')
      expect(world.reloaded.filter((one) => one === id)).toHaveLength(1)
      const told = { kind: 'credits_received', credits: '10.000001', available: '10.000001' }
      expect(await world.told(id)).toEqual([told])
    }
  })

  test('that is not paid yet grants nothing, and grants when it is', async () => {
    const world = await makeWorld()
    const id = await world.account()
    const { session, payment, id: checkout } = await world.checkout(id)
    world.shop.payment(payment).status = 'processing'
    await world.tell(['checkout.session.completed', session])
    expect([await world.posted(id), await world.state(checkout)]).toEqual([0, 'pending'])
    world.shop.payment(payment).status = 'succeeded'
    await world.tell(['checkout.session.async_payment_succeeded', session])
    expect([await world.posted(id), await world.state(checkout)]).toEqual([GRANT, 'granted'])
  })

  test('that fails or expires says so, and a late success still grants', async () => {
    const world = await makeWorld()
    const id = await world.account()
    const { session, payment, id: checkout } = await world.checkout(id)
    world.shop.payment(payment).status = 'requires_payment_method'
    await world.tell(['checkout.session.async_payment_failed', session])
    expect([await world.posted(id), await world.state(checkout)]).toEqual([0, 'failed'])
    world.shop.payment(payment).status = 'succeeded'
    await world.tell(['payment_intent.succeeded', payment])
    expect([await world.posted(id), await world.state(checkout)]).toEqual([GRANT, 'granted'])
    const lines = [{ id: 'li_1', price: PRICE, quantity: 1 }]
    const second = await world.checkout(id)
    const unpaid = { status: 'expired', paymentIntent: null, paymentStatus: 'unpaid' }
    world.shop.addSession(second.session, lines, { ...unpaid, checkoutId: second.id })
    await world.tell(['checkout.session.expired', second.session])
    expect(await world.state(second.id)).toBe('failed')
    expect(await world.posted(id)).toBe(GRANT)
  })

  test('of another amount, currency or item than asked for is kept and told, not granted', async () => {
    const world = await makeWorld()
    const id = await world.account()
    const changes = [
      { amountSubtotal: 999 },
      { currency: 'jpy' },
      { amountTotal: 2_000 },
      { lines: [{ id: 'li_1', price: 'price_other', quantity: 1 }] },
      { lines: [{ id: 'li_1', price: PRICE, quantity: 2 }] },
      { lines: [] },
    ]
    for (const change of changes) {
      const { session, payment, id: checkout } = await world.checkout(id)
      const before = world.shop.sessions.get(session)
      if (before === undefined) throw new Error('no session')
      world.shop.sessions.set(session, { ...before, ...change })
      await world.tell(['checkout.session.completed', session])
      expect(await world.state(checkout)).toBe('pending')
      expect(await world.findings('stripe_amount_differs')).toContain(payment)
    }
    expect(await world.posted(id)).toBe(0)
  })

  test.each([
    ['grant', GRANT],
    ['ignore', 0],
  ])('that costs nothing: %s', async (policy, expected) => {
    const world = await makeWorld({ zero_checkout: policy })
    const id = await world.account()
    const { session } = await world.checkout(id, 0)
    const before = world.shop.sessions.get(session)
    if (before === undefined) throw new Error('no session')
    const free = { paymentIntent: null, paymentStatus: 'no_payment_required', amountTotal: 0 }
    world.shop.sessions.set(session, { ...before, ...free })
    await world.tell(
      ['checkout.session.completed', session],
      ['checkout.session.completed', session],
    )
    expect(await world.posted(id)).toBe(expected)
  })

  test('names a row that knows another session: the row stays as it is', async () => {
    const world = await makeWorld()
    const id = await world.account()
    const first = await world.checkout(id)
    world.shop.addSession('cs_copy', [{ id: 'li_1', price: PRICE, quantity: 1 }], {
      checkoutId: first.id,
      paymentIntent: 'pi_copy',
    })
    world.shop.addPayment('pi_copy', 'cs_copy')
    await world.tell(['checkout.session.completed', 'cs_copy'])
    expect(await world.posted(id)).toBe(0)
    expect(await world.findings('stripe_no_account')).toContain('pi_copy')
  })
})

describe('a session that others made', () => {
  test('is granted by its prices to the account of its customer; unknown prices are told', async () => {
    const world = await makeWorld()
    const customer = `cus_${ids.uuid()}`
    const id = await world.account(customer)
    const lines = [
      { id: 'li_a', price: PRICE, quantity: 3 },
      { id: 'li_b', price: 'price_mug', quantity: 1 },
    ]
    world.shop.addSession('cs_link', lines, { customer })
    world.shop.addPayment('pi_link', 'cs_link')
    await world.tell(
      ['payment_intent.succeeded', 'pi_link'],
      ['checkout.session.completed', 'cs_link'],
    )
    expect(await world.posted(id)).toBe(3 * GRANT)
    expect(await world.findings('stripe_unknown_price')).toContain('price_mug')
  })

  test('whose buyer named the amount grants nothing, and is told', async () => {
    const world = await makeWorld()
    const customer = `cus_${ids.uuid()}`
    const id = await world.account(customer)
    const [session, payment] = [`cs_${ids.uuid()}`, `pi_${ids.uuid()}`]
    const line = { id: 'li_a', price: PRICE, quantity: 1, isAmountChosen: true }
    world.shop.addSession(session, [line], { customer, paymentIntent: payment })
    world.shop.addPayment(payment, session)
    await world.tell(['checkout.session.completed', session])
    expect(await world.posted(id)).toBe(0)
    expect(await world.findings('stripe_amount_differs')).toContain(payment)
  })

  test('of a customer without an account is urgent, and grants once there is one', async () => {
    const world = await makeWorld()
    const customer = `cus_${ids.uuid()}`
    world.shop.addSession('cs_early', [{ id: 'li_a', price: PRICE, quantity: 1 }], { customer })
    world.shop.addPayment('pi_early', 'cs_early')
    await world.tell(['checkout.session.completed', 'cs_early'])
    expect(await world.findings('stripe_no_account')).toContain('pi_early')
    const id = await world.account(customer)
    await world.tell(['checkout.session.completed', 'cs_early'])
    expect(await world.posted(id)).toBe(GRANT)
  })
})

describe('refunds and disputes', () => {
  test('a spent purchase that is refunded is debt, and a failed refund restores it', async () => {
    const world = await makeWorld()
    const id = await world.account()
    const { session, payment } = await world.checkout(id)
    await world.tell(['checkout.session.completed', session])
    await world.ledger.post([item({ accountId: id, micros: GRANT })], T0)
    const refund = { id: `re_${payment}`, amount: 1_000, stands: true }
    world.shop.payment(payment).refunds.push(refund)
    await world.tell(['refund.created', refund.id])
    expect((await world.books.balance(id))?.debtMicros).toBe(GRANT)
    refund.stands = false
    await world.tell(['refund.failed', refund.id])
    expect(await world.books.balance(id)).toMatchObject({ debtMicros: 0, postedMicros: 0 })
  })

  test('who is refunded before the grant is told of what is left, or of nothing', async () => {
    const world = await makeWorld()
    for (const [amount, credits] of [
      [500, ['5']],
      [1_000, []],
    ] as const) {
      const id = await world.account()
      const { session, payment } = await world.checkout(id)
      world.shop.payment(payment).refunds.push({ id: `re_${payment}`, amount, stands: true })
      await world.tell(['refund.created', `re_${payment}`], ['checkout.session.completed', session])
      expect(await world.told(id)).toMatchObject(credits.map((one) => ({ credits: one })))
    }
  })

  test('a look that read before another one wrote is read again, not written over it', async () => {
    const world = await makeWorld()
    const id = await world.account()
    const { session, payment } = await world.checkout(id)
    await world.tell(['checkout.session.completed', session])
    const finish = () => Promise.resolve()
    world.shop.afterNextRead(async () => {
      world.shop.payment(payment).refunds.push({ id: 're_x', amount: 500, stands: true })
      await world.elsewhere.look({ kind: 'refund', id: 're_x' }, finish)
    })
    await world.effects.look({ kind: 'payment', id: payment }, finish)
    expect(await world.posted(id)).toBe(expectedOf(world, payment))
  })

  test('a dispute freezes its account until it is won; an inquiry only flags', async () => {
    const world = await makeWorld()
    const id = await world.account()
    const { session, payment } = await world.checkout(id)
    await world.tell(['checkout.session.completed', session])
    const dispute = { id: `dp_${payment}`, amount: 1_000, withdrawn: 0 }
    const becomes = async (status: string, withdrawn: number) => {
      world.shop.payment(payment).disputes = [{ ...dispute, status, withdrawn }]
      await world.tell(['charge.dispute.updated', dispute.id])
      return [await world.status(id), await world.posted(id)]
    }
    expect(await becomes('warning_needs_response', 0)).toEqual(['active', GRANT])
    expect(await world.findings('stripe_inquiry')).toContain(dispute.id)
    expect(await becomes('needs_response', 1_000)).toEqual(['frozen', 0])
    expect(await becomes('under_review', 1_000)).toEqual(['frozen', 0])
    expect(await becomes('lost', 1_000)).toEqual(['frozen', 0])
    expect(await becomes('appeal_under_review', 1_000)).toEqual(['frozen', 0])
    expect(await becomes('won', 0)).toEqual(['active', GRANT])
  })

  test('two disputes: the account is free when the last is; what an operator did stays', async () => {
    const world = await makeWorld()
    const id = await world.account()
    const { session, payment } = await world.checkout(id)
    await world.tell(['checkout.session.completed', session])
    const stripe = world.shop.payment(payment)
    const dispute = (at: number, status: string) => ({
      id: `dp_${at}_${payment}`,
      status,
      amount: 500,
      withdrawn: 0,
    })
    stripe.disputes = [dispute(1, 'needs_response'), dispute(2, 'needs_response')]
    await world.tell(['charge.dispute.created', stripe.disputes[0]?.id ?? ''])
    stripe.disputes = [dispute(1, 'won'), dispute(2, 'needs_response')]
    await world.tell(['charge.dispute.closed', stripe.disputes[0]?.id ?? ''])
    expect(await world.status(id)).toBe('frozen')
    await world.db.query("UPDATE accounts SET status = 'active' WHERE id = $1", [id])
    await world.tell(['charge.dispute.updated', stripe.disputes[1]?.id ?? ''])
    expect(await world.status(id)).toBe('active')
    const reason = "UPDATE accounts SET status = 'frozen', status_reason = 'by hand' WHERE id = $1"
    await world.db.query(reason, [id])
    stripe.disputes = [dispute(1, 'won'), dispute(2, 'won')]
    await world.tell(['charge.dispute.closed', stripe.disputes[1]?.id ?? ''])
    expect(await world.status(id)).toBe('frozen')
  })

  test('by policy a dispute takes its credits and freezes nothing', async () => {
    const world = await makeWorld({ dispute: 'flag' })
    const id = await world.account()
    const { session, payment } = await world.checkout(id)
    world.shop.payment(payment).disputes = [
      { id: `dp_${payment}`, status: 'needs_response', amount: 1_000, withdrawn: 1_000 },
    ]
    await world.tell(['checkout.session.completed', session])
    expect([await world.status(id), await world.posted(id)]).toEqual(['active', 0])
  })

  test('a fraud warning is told', async () => {
    const world = await makeWorld()
    const { payment } = await world.checkout(await world.account())
    const warning = payment.replace('pi_', 'issfr_')
    await world.tell(['radar.early_fraud_warning.created', warning])
    expect(await world.findings('stripe_early_fraud_warning')).toContain(warning)
  })

  test('a fraud warning is not told where the operator said so', async () => {
    const world = await makeWorld({ early_fraud_warning: 'ignore' })
    const id = await world.account()
    const { session, payment } = await world.checkout(id)
    const warning = payment.replace('pi_', 'issfr_')
    await world.tell(['checkout.session.completed', session])
    await world.tell(['radar.early_fraud_warning.created', warning])
    expect(await world.findings('stripe_early_fraud_warning')).not.toContain(warning)
    expect(await own.db.query('SELECT FROM recharges WHERE account_id = $1', [id])).toEqual([])
  })
})

describe('any history', () => {
  type Step =
    | { do: 'refund'; amount: number }
    | { do: 'fail'; which: number }
    | { do: 'withdraw'; amount: number }
    | { do: 'win' }
    | { do: 'pay' }
    | { do: 'spend'; amount: number }
    | { do: 'deliver'; workers: number }
  const steps = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('refund' as const), amount: fc.integer({ min: 1, max: 600 }) }),
      fc.record({ do: fc.constant('fail' as const), which: fc.nat(3) }),
      fc.record({
        do: fc.constant('withdraw' as const),
        amount: fc.integer({ min: 1, max: 1_000 }),
      }),
      fc.record({ do: fc.constant('win' as const) }),
      fc.record({ do: fc.constant('pay' as const) }),
      fc.record({ do: fc.constant('spend' as const), amount: fc.integer({ min: 1, max: GRANT }) }),
      fc.record({ do: fc.constant('deliver' as const), workers: fc.integer({ min: 1, max: 3 }) }),
    ),
    { maxLength: 14 },
  )

  test('delivered in any order, twice and at once, ends with what Stripe says in the end', async () => {
    const world = await makeWorld()
    await fc.assert(
      fc.asyncProperty(steps, fc.infiniteStream(fc.nat(1_000)), async (history: Step[], dice) => {
        const roll = (): number => dice.getNthOrLast(0) ?? 0
        const id = await world.account()
        const { session, payment } = await world.checkout(id)
        const stripe = world.shop.payment(payment)
        stripe.status = 'processing'
        const late: (readonly [string, string])[] = [['checkout.session.completed', session]]
        let spent = 0
        const deliver = async (workers: number) => {
          const mixed = late
            .splice(0)
            .flatMap((event) => [event, event].slice(roll() % 2))
            .map((event) => ({ event, at: roll() }))
            .toSorted((a, b) => a.at - b.at)
          for (const { event } of mixed) await world.inbox.deliver(snapshot(...event))
          const others = Array.from({ length: workers }, () => world.inbox.another())
          const drained = () =>
            Promise.all([world.inbox.worker, ...others].map((one) => one.drain()))
          await drained()
          // Who lost every race for one payment tries again after a pause.
          world.inbox.advance(STRIPE_EVENT_RETRY_MS_MAX)
          await drained()
        }
        for (const step of history) {
          if (step.do === 'refund') {
            const refund = { id: `re_${ids.uuid()}`, amount: step.amount, stands: true }
            stripe.refunds.push(refund)
            late.push(['refund.created', refund.id])
          } else if (step.do === 'fail') {
            const refund = stripe.refunds[step.which]
            if (refund === undefined) continue
            refund.stands = false
            late.push(['refund.failed', refund.id])
          } else if (step.do === 'withdraw') {
            const dispute = {
              status: 'needs_response',
              amount: step.amount,
              withdrawn: step.amount,
            }
            stripe.disputes = [{ id: `dp_${payment}`, ...dispute }]
            late.push(['charge.dispute.funds_withdrawn', `dp_${payment}`])
          } else if (step.do === 'win') {
            if (stripe.disputes.length === 0) continue
            stripe.disputes = stripe.disputes.map((one) => ({
              ...one,
              status: 'won',
              withdrawn: 0,
            }))
            late.push(['charge.dispute.closed', `dp_${payment}`])
          } else if (step.do === 'pay') {
            stripe.status = 'succeeded'
            late.push(['payment_intent.succeeded', payment])
          } else if (step.do === 'spend') {
            await world.ledger.post([item({ accountId: id, micros: step.amount })], T0)
            spent += step.amount
          } else {
            await deliver(step.workers)
          }
        }
        await deliver(2)
        expect(
          await world.db.query(
            "SELECT type, state, outcome, attempts FROM stripe_events WHERE state <> 'done'",
          ),
        ).toEqual([])
        expect(await world.posted(id)).toBe(expectedOf(world, payment) - spent)
      }),
      { numRuns: 60 },
    )
    await expectSound(world.db)
    expect(PAID_AT).toBeGreaterThan(T0)
  }, 240_000)
})
