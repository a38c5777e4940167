import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lockWanted, turnOffWarned } from '../../src/billing/recharge/end.ts'
import { micros } from '../../src/kernel/money.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { CREDIT, makeRechargeWorld, PACK, type RechargeWorld } from './recharge-world.ts'

let own: TestDb
let world: RechargeWorld
beforeAll(async () => {
  own = await testDb('postgres', 16)
  world = await makeRechargeWorld(own.db)
})
afterAll(async () => {
  await world.stop()
  await own[Symbol.asyncDispose]()
})

const HOUR = 3_600
const DAY = 24 * HOUR
const drain = () => world.one.recharges.drain()
const stateOf = async (id: string) => (await world.view(id)).recharge
const attemptsOf = async (id: string) => (await world.view(id)).attempts
const grants = async (id: string) =>
  (
    await world.db.query(
      "SELECT reference_id FROM ledger_entries WHERE account_id = $1 AND movement_type = 'grant'",
      [id],
    )
  ).map((row) => row.reference_id)
const charged = async (customer: string) =>
  (await world.intents(customer)).filter(({ status }) => status === 'succeeded').length

describe('a balance below its threshold', () => {
  test('is recharged once, whoever looks and however many', async () => {
    const { id, customer } = await world.account('pm_card_visa')
    const others = [world.two, world.startProcess(), world.startProcess()]
    await Promise.all([drain(), drain(), ...others.map(({ recharges }) => recharges.drain())])
    expect(await world.intents(customer)).toMatchObject([
      { status: 'succeeded', amount: 1_000, currency: 'usd' },
    ])
    expect(await world.posted(id)).toBe(PACK)
    const [attempt] = await attemptsOf(id)
    expect(attempt).toMatchObject({ state: 'succeeded' })
    expect(await grants(id)).toEqual([`recharge:${attempt?.id ?? ''}`])
  })

  test('is not recharged at the threshold, and again when it is spent below it', async () => {
    const { id, customer } = await world.account('pm_card_visa')
    await drain()
    await world.spend(id, 80)
    await world.pass(60)
    await drain()
    expect(await charged(customer)).toBe(1)
    await world.spend(id, 0.000001)
    await drain()
    expect(await charged(customer)).toBe(2)
    expect(await world.posted(id)).toBe(PACK + 20 * CREDIT - 1)
  })

  test.each(['frozen', 'suspended'])('is not recharged while the account is %s', async (status) => {
    const { id, customer } = await world.account('pm_card_visa')
    await world.db.query('UPDATE accounts SET status = $2 WHERE id = $1', [id, status])
    await drain()
    expect(await world.intents(customer)).toEqual([])
  })

  test.each(['suspended', 'no_plan'])('is not recharged while its access is %s', async (why) => {
    const { id, customer } = await world.account('pm_card_visa')
    await world.db.query(
      `INSERT INTO entitlements (account_id, state, blocked, features, credit_limit_micros,
                                 overage_limit_micros, plans_version, resolved_at)
       VALUES ($1, 'none', $2, '{}', 0, 0, '', $3)`,
      [id, why, new Date(0)],
    )
    await drain()
    expect(await attemptsOf(id)).toEqual([])
    expect((await world.db.tx((tx) => lockWanted(tx, id))).isWanted).toBe(false)
    await world.db.query('UPDATE entitlements SET blocked = NULL WHERE account_id = $1', [id])
    await drain()
    expect(await charged(customer)).toBe(1)
  })

  test('is not recharged while a dispute is open, by whatever policy', async () => {
    const { id, customer } = await world.account('pm_card_visa')
    await world.db.query(
      `INSERT INTO stripe_disputes VALUES ($1, 'pi_x', $2, 'under_review', 1, 0, false, $3)`,
      [`dp_${id}`, id, new Date(0)],
    )
    await drain()
    expect(await world.intents(customer)).toEqual([])
  })

  test('is left alone once recharges are turned off', async () => {
    const { id, customer } = await world.account('pm_card_visa')
    await world.one.recharges.off(id, { actor: 'customer', isOperator: false })
    await drain()
    expect(await world.intents(customer)).toEqual([])
    expect(await stateOf(id)).toMatchObject({ state: 'off', reason: 'customer' })
  })
})

describe('the monthly limit', () => {
  test('counts recharges of the UTC month, tells once, and starts anew', async () => {
    const { id, customer } = await world.account('pm_card_visa', { monthlyCount: 2 })
    for (let round = 0; round < 4; round += 1) {
      await drain()
      await world.spend(id, 95)
      await world.pass(60)
    }
    expect(await charged(customer)).toBe(2)
    const capped = world.told.filter(({ accountId }) => accountId === id)
    expect(capped.filter(({ occasion }) => occasion.startsWith('recharge_capped'))).toHaveLength(1)
    await world.pass(12 * DAY)
    await drain()
    expect(await charged(customer)).toBe(3)
  })

  test('in money is never passed by the next charge', async () => {
    const limits = { monthlyCount: null, monthlyAmount: 2_999 }
    const { id, customer } = await world.account('pm_card_visa', limits)
    for (let round = 0; round < 4; round += 1) {
      await drain()
      await world.spend(id, 95)
      await world.pass(60)
    }
    expect(await charged(customer)).toBe(2)
    expect((await attemptsOf(id))[0]).toMatchObject({ state: 'canceled', amount: null })
  })
})

describe('a card that is declined', () => {
  test('is tried again later, three times, then not before another card', async () => {
    const { id, customer, method } = await world.account('pm_card_chargeCustomerFail')
    await drain()
    await drain()
    expect(await world.intents(customer)).toHaveLength(1)
    expect(await stateOf(id)).toMatchObject({ state: 'on', declines: 1 })
    await world.pass(7 * HOUR)
    await drain()
    await world.pass(13 * HOUR)
    await drain()
    expect(await stateOf(id)).toMatchObject({ state: 'blocked', reason: 'declined', declines: 3 })
    await world.pass(5 * DAY)
    await drain()
    await world.deliver(customer)
    await drain()
    expect(await world.intents(customer)).toHaveLength(3)
    const tellings = world.told.filter(({ accountId }) => accountId === id)
    expect(tellings.map(({ kind }) => kind)).toEqual(Array(3).fill('recharge_failed'))
    // The same card under a new expiry gets one try, and one only.
    await world.stripe.paymentMethods.update(method, { card: { exp_month: 1, exp_year: 2040 } })
    await world.deliver(customer, (events) => [...events, ...events])
    await drain()
    await world.deliver(customer)
    await world.pass(DAY)
    await drain()
    expect(await world.intents(customer)).toHaveLength(4)
    expect(await stateOf(id)).toMatchObject({ state: 'blocked', reason: 'declined' })
    // Another card pays.
    const better = await world.stripe.paymentMethods.attach('pm_card_visa', { customer })
    const settings = { default_payment_method: better.id }
    await world.stripe.customers.update(customer, { invoice_settings: settings })
    await world.deliver(customer)
    await drain()
    expect(await world.posted(id)).toBe(PACK)
    expect(await stateOf(id)).toMatchObject({ state: 'on', reason: null, declines: 0 })
  })

  test('is not tried sooner because its owner asks for recharges again', async () => {
    const { id, customer, allow } = await world.account('pm_card_chargeCustomerFail')
    await drain()
    const owner = { actor: 'key', isOperator: false }
    expect(await allow({}, owner)).toBeNull()
    await world.pass(60)
    await drain()
    expect(await world.intents(customer)).toHaveLength(1)
    await world.db.query(
      "UPDATE recharges SET state = 'blocked', reason = 'declined' WHERE account_id = $1",
      [id],
    )
    expect(await allow({}, owner)).toMatchObject({ code: 'conflict' })
    expect(await allow()).toBeNull()
  })

  test('for good turns recharges off', async () => {
    const { id } = await world.account('pm_card_visa_chargeDeclinedLostCard')
    await drain()
    expect(await stateOf(id)).toMatchObject({ state: 'off', reason: 'do_not_try_again' })
  })

  test('for want of authentication is not retried: the customer is sent a page', async () => {
    const { id, customer } = await world.account('pm_card_authenticationRequired')
    await drain()
    await drain()
    await world.deliver(customer)
    await world.pass(DAY)
    await drain()
    expect(await world.intents(customer)).toHaveLength(1)
    expect(await stateOf(id)).toMatchObject({ state: 'blocked', reason: 'authentication_required' })
    const tellings = world.told.filter(({ accountId }) => accountId === id)
    expect(tellings).toMatchObject([
      { kind: 'authentication_required', data: { url: /\/pay\/cs_test_/ } },
    ])
    expect((await attemptsOf(id))[0]).toMatchObject({ state: 'failed', link: 'told' })
  })

  test('whose page cannot be made for a day is not asked for any more', async () => {
    const { id, customer } = await world.account('pm_card_visa_chargeDeclined')
    await drain()
    await world.stripe.customers.del(customer)
    const wanted = "UPDATE recharge_attempts SET link = 'wanted' WHERE account_id = $1"
    await world.db.query(wanted, [id])
    await drain()
    expect((await attemptsOf(id))[0]).toMatchObject({ state: 'failed', link: 'wanted' })
    await world.pass(2 * DAY)
    await drain()
    expect((await attemptsOf(id)).map(({ link }) => link)).not.toContain('wanted')
  })

  const payByLink = async (id: string, method = 'pm_card_visa') => {
    const [last] = world.told.filter(({ accountId }) => accountId === id).slice(-1)
    const url = last?.kind === 'authentication_required' ? last.data.url : ''
    const session = url.split('/').at(-1) ?? ''
    await world.control('pay', { session, method })
    const { payment_intent: payment } = await world.stripe.checkout.sessions.retrieve(session)
    return async () => {
      await world.deliver(session)
      await world.deliver(typeof payment === 'string' ? payment : session)
    }
  }

  test('that was paid by the link goes on with the card that it was paid with', async () => {
    const { id, customer, method } = await world.account('pm_card_authenticationRequired')
    await drain()
    const deliver = await payByLink(id)
    const [paid] = await world.intents(customer)
    expect(paid).toMatchObject({ status: 'succeeded', setup_future_usage: 'off_session' })
    await deliver()
    expect(await world.posted(id)).toBe(PACK)
    expect(await stateOf(id)).toMatchObject({ state: 'on', reason: null, declines: 0 })
    await world.spend(id, 90)
    await world.pass(60)
    await drain()
    const [recharged] = await world.intents(customer)
    expect(recharged).toMatchObject({ status: 'succeeded', payment_method: paid?.payment_method })
    expect(recharged?.payment_method).not.toBe(method)
    await world.deliver(customer)
    expect(await stateOf(id)).toMatchObject({ state: 'on' })
    expect(await world.posted(id)).toBe(2 * PACK - 90 * CREDIT)
    const asked = world.told.filter((one) => one.accountId === id)
    expect(asked.map(({ kind }) => kind)).toEqual([
      ...['authentication_required', 'credits_received', 'credits_received'],
    ])
  })

  test('that was paid by the link is asked for again where the bank wants it again', async () => {
    const { id, customer, account } = await world.account('pm_card_authenticationRequired')
    await drain()
    const first = await payByLink(id)
    await first()
    const urls = { successUrl: 'https://a.example/', cancelUrl: 'https://a.example/' }
    await world.pass(60)
    const page = await world.one.recharges.setup(account, { ...urls, requestKey: 'k' })
    const session = 'url' in page ? (page.url.split('/').at(-1) ?? '') : ''
    await world.control('pay', { session, method: 'pm_card_authenticationRequired' })
    await world.deliver(customer)
    await world.spend(id, 90)
    await world.pass(60)
    await drain()
    expect(await stateOf(id)).toMatchObject({ state: 'blocked', reason: 'authentication_required' })
    expect(await attemptsOf(id)).toHaveLength(2)
    const chosen = (await stateOf(id))?.paymentMethod
    await first() // old news of the payment before
    expect(await stateOf(id)).toMatchObject({ state: 'blocked', paymentMethod: chosen })
    await (
      await payByLink(id)
    )()
    expect(await stateOf(id)).toMatchObject({ state: 'on' })
    expect(await world.posted(id)).toBe(2 * PACK - 90 * CREDIT)
  })

  test('keeps no card of a page that the customer opened to buy once', async () => {
    const { id, customer, account, method } = await world.account('pm_card_visa')
    await drain()
    const item = { kind: 'pack', id: 'starter' } as const
    const urls = { successUrl: 'https://a.example/', cancelUrl: 'https://a.example/' }
    // Even under a key that looks like one of ours.
    const requestKey = `recharge:${(await attemptsOf(id))[0]?.id ?? ''}`
    const opened = await world.one.checkouts.open(account, { item, ...urls, requestKey })
    if ('ok' in opened) throw new Error(opened.message)
    await world.control('pay', { session: opened.sessionId, method: 'pm_card_visa' })
    await world.deliver(customer)
    expect((await world.intents(customer))[0]?.setup_future_usage ?? null).toBeNull()
    expect((await stateOf(id))?.paymentMethod ?? method).toBe(method)
  })

  test('is counted by how it ended, and by the credits that it brought', async () => {
    const before = world.hooks.recharges.length
    const { id } = await world.account('pm_card_visa')
    await world.account('pm_card_authenticationRequired')
    await drain()
    const ends = world.hooks.recharges.slice(before)
    expect(ends).toContainEqual({ outcome: 'succeeded', micros: PACK })
    expect(ends).toContainEqual({ outcome: 'authentication_required', micros: 0 })
    expect(ends).toHaveLength(2)
    expect(await world.posted(id)).toBe(PACK)
    expect((await world.one.recharges.counts()).get('blocked')).toBeGreaterThan(0)
  })
})

describe('what happens to the card', () => {
  test('without any there is nothing to allow, and a removed one is told', async () => {
    const { allow } = await world.account(null, null)
    expect(await allow()).toMatchObject({ code: 'conflict' })
    const { id, method } = await world.account('pm_card_visa')
    await world.stripe.paymentMethods.detach(method)
    await drain()
    expect(await stateOf(id)).toMatchObject({ state: 'blocked', reason: 'no_payment_method' })
    expect(world.told.some(({ accountId }) => accountId === id)).toBe(true)
  })

  test('set up on a page of Stripe’s it is the one that is charged; detached, all is off', async () => {
    const { id, customer, account, allow } = await world.account(null, null)
    const urls = { successUrl: 'https://a.example/', cancelUrl: 'https://a.example/' }
    const page = await world.one.recharges.setup(account, { ...urls, requestKey: 'k' })
    expect(await world.one.recharges.setup(account, { ...urls, requestKey: 'k' })).toEqual(page)
    const session = 'url' in page ? (page.url.split('/').at(-1) ?? '') : ''
    await world.control('pay', { session, method: 'pm_card_visa' })
    await world.deliver(customer, (events) => events.toReversed())
    expect(await allow()).toBeNull()
    await drain()
    expect(await charged(customer)).toBe(1)
    const chosen = (await stateOf(id))?.paymentMethod ?? ''
    expect((await world.intents(customer))[0]?.payment_method).toBe(chosen)
    await world.stripe.paymentMethods.detach(chosen)
    await world.deliver(customer)
    expect(await stateOf(id)).toMatchObject({ state: 'off', reason: 'payment_method_detached' })
  })

  test('a fraud warning turns recharges off, and only an operator on again', async () => {
    const { id, customer, allow } = await world.account('pm_card_visa')
    await drain()
    const [intent] = await world.intents(customer)
    await world.control('warn', { payment_intent: intent?.id })
    await world.deliver(intent?.id ?? '')
    expect(await stateOf(id)).toMatchObject({ state: 'off', reason: 'early_fraud_warning' })
    const owner = { actor: 'key', isOperator: false }
    expect(await allow({}, owner)).toMatchObject({ code: 'conflict' })
    expect(await allow()).toBeNull()
  })

  test('a fraud warning that is told again leaves what the operator decided since', async () => {
    const { id, customer, allow } = await world.account('pm_card_visa')
    await drain()
    const [intent] = await world.intents(customer)
    await world.control('warn', { payment_intent: intent?.id })
    await world.deliver(intent?.id ?? '')
    expect(await allow()).toBeNull()
    await world.deliver(intent?.id ?? '')
    expect(await stateOf(id)).toMatchObject({ state: 'on' })
    await world.control('warn', { payment_intent: intent?.id })
    await world.deliver(intent?.id ?? '')
    expect(await stateOf(id)).toMatchObject({ state: 'off', reason: 'early_fraud_warning' })
  })

  test('a fraud warning of a payment that granted nothing finds its payer', async () => {
    const { id, customer, method } = await world.account('pm_card_visa')
    const bystander = await world.account('pm_card_visa')
    const pay = (of: string, by: string) =>
      world.stripe.paymentIntents.create({
        ...{ amount: 700, currency: 'usd', customer: of, payment_method: by },
        ...{ confirm: true, off_session: true },
      })
    const stranger = await world.stripe.customers.create({})
    const card = await world.stripe.paymentMethods.attach('pm_card_visa', {
      customer: stranger.id,
    })
    const [ours, theirs] = [await pay(customer, method), await pay(stranger.id, card.id)]
    for (const { id: intent } of [ours, theirs]) {
      await world.control('warn', { payment_intent: intent })
      await world.deliver(intent)
    }
    expect(await stateOf(id)).toMatchObject({ state: 'off', reason: 'early_fraud_warning' })
    expect(await stateOf(bystander.id)).toMatchObject({ state: 'on' })
    const told = await world.db.query(
      `SELECT evidence ->> 'account_id' AS account FROM findings
       WHERE kind = 'stripe_early_fraud_warning' AND evidence ->> 'payment' = ANY ($1)`,
      [[ours.id, theirs.id]],
    )
    expect(told).toEqual([{ account: id }])
  })

  test.each(['before', 'after'])(
    'a fraud warning of the first purchase, %s a card is set up, is not forgotten',
    async (when) => {
      const { id, customer, account, allow } = await world.account(null, null)
      const urls = { successUrl: 'https://a.example/', cancelUrl: 'https://a.example/' }
      const item = { kind: 'pack', id: 'starter' } as const
      const asked = { item, ...urls, requestKey: null }
      const opened = await world.one.checkouts.open(account, asked)
      if ('ok' in opened) throw new Error(opened.message)
      await world.control('pay', { session: opened.sessionId, method: 'pm_card_visa' })
      await world.deliver(customer)
      const intent = (await world.intents(customer))[0]?.id ?? ''
      const warn = async () => {
        await world.control('warn', { payment_intent: intent })
        await world.deliver(intent)
      }
      if (when === 'before') await warn()
      const page = await world.one.recharges.setup(account, { ...urls, requestKey: 'k' })
      const session = 'url' in page ? (page.url.split('/').at(-1) ?? '') : ''
      await world.control('pay', { session, method: 'pm_card_visa' })
      await world.deliver(customer)
      if (when === 'after') await warn()
      expect(await stateOf(id)).toMatchObject({ state: 'off', reason: 'early_fraud_warning' })
      expect((await stateOf(id))?.paymentMethod).toMatch(/^pm_/)
      await world.one.recharges.off(id, { actor: 'key', isOperator: false })
      const owner = { actor: 'key', isOperator: false }
      expect(await allow({}, owner)).toMatchObject({ code: 'conflict' })
      expect(await allow()).toBeNull()
    },
  )

  test('a fraud warning that comes while recharges are first allowed is not forgotten', async () => {
    const { id, allow } = await world.account('pm_card_visa', null)
    const owner = { actor: 'key', isOperator: false }
    const [refused] = await Promise.all([
      allow({}, owner),
      world.db.tx((tx) => turnOffWarned(tx, id, `issfr_${id}`, world.clock.now())),
    ])
    expect(refused?.code ?? 'conflict').toBe('conflict')
    expect(await stateOf(id)).toMatchObject({ state: 'off', reason: 'early_fraud_warning' })
  })

  test('a deleted customer is charged no more', async () => {
    const { id, customer } = await world.account('pm_card_visa')
    await world.stripe.customers.del(customer)
    await world.deliver(customer)
    expect(await stateOf(id)).toMatchObject({ state: 'off', reason: 'customer_deleted' })
  })
})

describe('a payment', () => {
  test('that takes days keeps others from starting, and grants when it arrives', async () => {
    const { id, customer } = await world.account('pm_sepaDebit')
    await drain()
    await world.pass(HOUR)
    await drain()
    expect(await world.intents(customer)).toMatchObject([{ status: 'processing' }])
    expect((await attemptsOf(id))[0]).toMatchObject({ state: 'open' })
    const [intent] = await world.intents(customer)
    await world.control('settle', { payment_intent: intent?.id })
    // No webhook came: it is looked at by the hour.
    await world.pass(2 * HOUR)
    await drain()
    expect(await world.posted(id)).toBe(PACK)
  })

  test('told in any order, twice, to two processes at once, grants once; refunds take back', async () => {
    const { id, customer } = await world.account('pm_card_visa')
    await drain()
    await world.deliver(customer, (events) => [...events.toReversed(), ...events])
    const [intent] = await world.intents(customer)
    await world.stripe.refunds.create({ payment_intent: intent?.id ?? '', amount: 250 })
    await world.deliver(intent?.id ?? '', (events) => [...events, ...events])
    expect(await world.posted(id)).toBe((PACK * 3) / 4)
    expect(await grants(id)).toHaveLength(1)
  })

  test('of another amount than was asked for is a finding and no grant', async () => {
    const { id, customer } = await world.account('pm_card_visa')
    await world.control('hold')
    await drain()
    const [attempt] = await attemptsOf(id)
    const forged = await world.stripe.paymentIntents.create({
      ...{ amount: 1, currency: 'usd', customer, payment_method: 'pm_card_visa', confirm: true },
      metadata: { farebox_attempt: attempt?.id ?? '' },
    })
    await world.control('clear-faults')
    await world.deliver(forged.id)
    expect(await world.posted(id)).toBe(PACK)
    const found = await world.db.query('SELECT kind FROM findings WHERE subject = $1', [forged.id])
    expect(found).toEqual([{ kind: 'stripe_amount_differs' }])
    expect(await stateOf(id)).toMatchObject({ state: 'off', reason: 'amount_differs' })
  })
})

describe('a call whose answer is lost', () => {
  const lost = (more: object = {}) =>
    world.control('api-fault', {
      ...{ kind: 'error', operation: 'POST /v1/payment_intents', after: true, times: 3, ...more },
    })

  test.each(['error', 'reset', 'garbage'])(
    'after the deed (%s) is not made again',
    async (kind) => {
      const { id, customer } = await world.account('pm_card_visa')
      await lost({ kind })
      await drain()
      await world.control('clear-faults')
      expect(await world.intents(customer)).toHaveLength(1)
      await world.pass(60)
      await drain()
      expect(await world.intents(customer)).toHaveLength(1)
      expect(await world.posted(id)).toBe(PACK)
    },
  )

  test('is repeated under its key where nothing had happened', async () => {
    const { id, customer } = await world.account('pm_card_visa')
    await lost({ after: false, kind: 'reset' })
    await drain()
    expect(await world.intents(customer)).toHaveLength(0)
    await world.control('clear-faults')
    await world.pass(60)
    await drain()
    expect(await world.intents(customer)).toHaveLength(1)
    expect(await world.posted(id)).toBe(PACK)
    expect(await attemptsOf(id)).toHaveLength(1)
  })

  test('longer ago than Stripe keeps keys is looked for first', async () => {
    const { id, customer } = await world.account('pm_card_visa')
    await lost()
    await drain()
    await world.pass(2 * DAY)
    await drain()
    expect(await world.intents(customer)).toHaveLength(1)
    expect(await world.posted(id)).toBe(PACK)
    const never = await world.account('pm_card_visa')
    await lost({ after: false })
    await drain()
    await world.control('clear-faults')
    await world.pass(2 * DAY)
    await drain()
    expect(await world.intents(never.customer)).toHaveLength(0)
    expect((await attemptsOf(never.id))[0]).toMatchObject({ state: 'failed' })
    await world.pass(HOUR)
    await drain()
    expect(await world.intents(never.customer)).toHaveLength(1)
    expect(await world.posted(never.id)).toBe(PACK)
  })

  test('is not made up for once recharges were turned off', async () => {
    const { id, customer } = await world.account('pm_card_visa')
    await lost({ after: false })
    await drain()
    await world.control('clear-faults')
    await world.one.recharges.off(id, { actor: 'customer', isOperator: false })
    for (let round = 0; round < 3; round += 1) {
      await world.pass(600)
      await drain()
    }
    expect(await world.intents(customer)).toEqual([])
    expect((await attemptsOf(id))[0]).toMatchObject({ state: 'canceled' })
  })

  test('that Stripe refuses for good ends in a word, not in a loop', async () => {
    const { id, customer } = await world.account('pm_card_visa')
    await lost({ after: false, status: 400, times: 1 })
    await drain()
    expect((await attemptsOf(id))[0]).toMatchObject({ state: 'failed', failure: /^refused/ })
    expect(await stateOf(id)).toMatchObject({ state: 'blocked', reason: 'refused' })
    const found = await world.db.query('SELECT kind FROM findings WHERE subject = $1', [id])
    expect(found).toEqual([{ kind: 'recharge_refused' }])
    await world.pass(DAY)
    await drain()
    expect(await world.intents(customer)).toEqual([])
  })
})

test('what a customer allows is checked before it is kept', async () => {
  const { allow } = await world.account('pm_card_visa', null)
  expect(await allow({ pack: 'nothing' })).toMatchObject({ code: 'not_found' })
  expect(await allow({ monthlyAmount: 999 })).toMatchObject({ code: 'invalid_request' })
  expect(await allow({ thresholdMicros: micros(1) })).toBeNull()
})
