import { afterAll, beforeAll, expect, test } from 'vitest'
import { makePlanBooks } from '../../src/access/plans/book.ts'
import { plansSchema } from '../../src/access/plans/config.ts'
import { makeEntitle } from '../../src/access/plans/entitle.ts'
import type { PlanNotice } from '../../src/access/plans/notices.ts'
import { makeCatalogue } from '../../src/billing/catalogue.ts'
import { stripeConfigSchema } from '../../src/billing/config.ts'
import { makeEffects } from '../../src/billing/effects/effects.ts'
import { makeEventEffect } from '../../src/billing/effects/of-event.ts'
import type { SubscriptionFacts } from '../../src/billing/effects/read-invoice.ts'
import { makeFindings } from '../../src/billing/findings.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { DAY, END, HOUR, planConfig, PLANS, START } from '../access/plan-support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { activeSubscription, makeShop, paidInvoice, planLine } from './shop.ts'
import { countedHooks, ids, makeInboxWorld, snapshot } from './support.ts'

const MINUTE = 60_000

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres', 12)
})
afterAll(() => own[Symbol.asyncDispose]())

/** Two processes over one database and one Stripe, under a clock that is moved by hand. */
async function makeWorld(access: object = {}, beforeEntitle = () => Promise.resolve()) {
  const { db } = own
  const shop = makeShop()
  let nowMs = START
  const clock = { now: () => nowMs, monotonicMs: () => 0, after: () => () => undefined }
  const told: PlanNotice[] = []
  const reloads: string[] = []
  const catalogue = makeCatalogue({
    packs: [],
    plans: plansSchema.parse(PLANS),
    stripe: stripeConfigSchema.parse({}),
  })
  const entitle = makeEntitle({
    ...{ db, ids, clock, books: makePlanBooks() },
    tell: (_tx, notice) => {
      if (!told.some(({ occasion }) => occasion === notice.occasion)) told.push(notice)
      return Promise.resolve()
    },
  })
  await entitle.publish(planConfig(access))
  const effectOf = () =>
    makeEventEffect({
      ...{ db, mode: 'test' },
      effects: makeEffects({
        ...{ db, reader: shop.reader, invoices: shop.invoiceReader, ids, clock, log: silentLog },
        ...{ recharges: shop.recharges, tell: () => Promise.resolve() },
        ...{ hooks: countedHooks(), catalogue: () => catalogue },
        entitle: async (...asked) => {
          await beforeEntitle()
          return entitle.entitle(...asked)
        },
        findings: makeFindings({ db, ids, clock }),
        reload: (accountId) => Promise.resolve(void reloads.push(accountId)),
      }),
    })
  const inbox = await makeInboxWorld(db, effectOf(), undefined, effectOf())
  let count = 0

  async function subscriber(fields: Partial<SubscriptionFacts> = {}) {
    count += 1
    const name = `${count}_${ids.uuid().replaceAll('-', '')}`
    const [account, customer, sub] = [`acct_${name}`, `cus_${name}`, `sub_${name}`]
    await db.query(
      `INSERT INTO accounts (id, name, stripe_customer_id, changed_at, created_at)
       VALUES ($1, $1, $2, $3, $3)`,
      [account, customer, new Date(START)],
    )
    const put = (id: string, price: string, more: Partial<SubscriptionFacts>): void => {
      const item = { price, quantity: 1, isMetered: false, periodStartMs: START }
      const items = [{ ...item, periodEndMs: END }]
      const fresh = activeSubscription(id, customer, price, { items, startedAtMs: START })
      shop.subscriptions.set(id, { ...fresh, ...shop.subscriptions.get(id), ...more })
    }
    put(sub, 'price_pro', fields)
    const set = (more: Partial<SubscriptionFacts>): void => {
      put(sub, 'price_pro', more)
    }
    return { account, customer, sub, name, set, put }
  }
  const stored = async (account: string) => {
    const [row] = await db.query(
      'SELECT state, plan_id, blocked FROM entitlements WHERE account_id = $1',
      [account],
    )
    return [row?.state, row?.plan_id, row?.blocked]
  }
  return {
    ...{ db, shop, entitle, told, reloads, subscriber, stored },
    at(ms: number) {
      nowMs = ms
    },
    turn: async () => {
      const { accountIds, fault } = await entitle.turn(nowMs, 1_000)
      if (fault !== null) throw fault
      return accountIds
    },
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

const PAST_DUE = { status: 'past_due', owedSinceMs: END, payUrl: 'https://pay.example/in_2' }

test('two looks at one account at once wait for each other, and in no circle', async () => {
  let met = Promise.withResolvers<undefined>()
  let coming = 2
  const world = await makeWorld({}, async () => {
    coming -= 1
    if (coming === 0) met.resolve(undefined)
    await met.promise
  })
  for (let round = 0; round < 8; round += 1) {
    ;[met, coming] = [Promise.withResolvers(), 2]
    const { account, customer, sub, name, put } = await world.subscriber()
    const other = `${sub}_other`
    put(other, 'price_team', {})
    const invoice = `in_${name}`
    world.shop.invoices.set(invoice, paidInvoice(invoice, customer, sub, [planLine('price_pro')]))
    await world.tell(
      ['customer.subscription.created', other],
      round % 2 === 0 ? ['invoice.paid', invoice] : ['customer.subscription.created', sub],
    )
    expect(coming).toBeLessThanOrEqual(0)
    const events = await world.db.query(
      'SELECT state, attempts FROM stripe_events WHERE object_id = ANY ($1)',
      [[other, sub, invoice]],
    )
    expect(events).toEqual(Array(2).fill({ state: 'done', attempts: 1 }))
    expect(await world.stored(account)).toEqual(['active', 'team', null])
  }
})

test('the ladder over a month, with the worker offline on the edges', async () => {
  const world = await makeWorld()
  const { account, sub, set } = await world.subscriber()
  await world.tell(['customer.subscription.created', sub])
  expect(await world.stored(account)).toEqual(['active', 'pro', null])
  set(PAST_DUE)
  world.at(END + 2 * HOUR)
  await world.tell(['customer.subscription.updated', sub])
  expect(await world.stored(account)).toEqual(['grace', 'pro', null])
  // Asleep from day 0 to day 8: what day 3 would have told is not told late.
  world.at(END + 8 * DAY)
  expect((await world.entitle.read(account, END + 8 * DAY)).entitlements.planId).toBe('free')
  expect(await world.turn()).toContain(account)
  expect(await world.stored(account)).toEqual(['downgraded', 'free', null])
  expect(await world.turn()).not.toContain(account)
  world.at(END + 14 * DAY - 1)
  expect(await world.turn()).toEqual([])
  world.at(END + 14 * DAY)
  expect(await world.turn()).toEqual([account])
  expect(await world.stored(account)).toEqual(['suspended', 'pro', 'suspended'])
  world.at(END + 31 * DAY)
  await world.turn()
  const [first] = world.told
  expect(first).toMatchObject({ accountId: account, rung: 'warned', url: PAST_DUE.payUrl })
  const rungs = ['warned', 'downgraded', 'suspended'].map((rung) => ({ rung }))
  expect(world.told).toMatchObject(rungs)
  expect(world.told).toHaveLength(rungs.length)
  const next = { periodStartMs: END, periodEndMs: END + 60 * DAY }
  const items = [{ price: 'price_pro', quantity: 1, isMetered: false, ...next }]
  set({ status: 'active', owedSinceMs: null, payUrl: null, items })
  await world.tell(['customer.subscription.updated', sub])
  expect(await world.stored(account)).toEqual(['active', 'pro', null])
  expect(world.reloads).toContain(account)
})

test('news that come late or in any order end the same, and start grace when it began', async () => {
  const world = await makeWorld()
  const orders = permutations([0, 1, 2])
  for (const order of orders) {
    const { account, customer, sub, name, set } = await world.subscriber(PAST_DUE)
    const invoice = paidInvoice(`in_${name}`, customer, sub, [planLine('price_pro')], {
      ...{ isPaid: false, status: 'open' },
    })
    world.shop.invoices.set(invoice.id, invoice)
    const events = [
      ['customer.subscription.updated', sub],
      ['invoice.payment_failed', invoice.id],
      ['invoice.payment_action_required', invoice.id],
    ] as const
    world.at(END + 3 * DAY)
    for (const at of order) await world.tell(events[at] ?? events[0], events[0])
    const { entitlements } = await world.entitle.read(account, END + 3 * DAY)
    expect(entitlements).toMatchObject({ state: 'grace', rung: 'reminded', planId: 'pro' })
    expect(entitlements.nextChangeAtMs).toBe(END + 7 * DAY)
    // Paid in the end: whichever event comes first says so.
    set({ status: 'active', owedSinceMs: null })
    world.shop.invoices.set(invoice.id, { ...invoice, isPaid: true, status: 'paid' })
    world.at(END - HOUR)
    const [only = 0] = order
    const last = ['invoice.paid', invoice.id] as const
    await world.tell(only === 0 ? events[0] : last)
    expect(await world.stored(account)).toEqual(['active', 'pro', null])
  }
  expect(world.told).toMatchObject(orders.map(() => ({ rung: 'reminded' })))
  expect(world.told).toHaveLength(orders.length)
})

test.each(['void', 'uncollectible'])('an invoice that is %s ends grace', async (invoiceStatus) => {
  const world = await makeWorld()
  const { account, customer, sub, name, set } = await world.subscriber(PAST_DUE)
  world.at(END + DAY)
  await world.tell(['customer.subscription.updated', sub])
  expect((await world.stored(account))[0]).toBe('grace')
  set({ invoiceStatus })
  const given = { isPaid: false, status: invoiceStatus }
  const invoice = paidInvoice(`in_${name}`, customer, sub, [planLine('price_pro')], given)
  world.shop.invoices.set(invoice.id, invoice)
  await world.tell(['invoice.voided', invoice.id])
  expect(await world.stored(account)).toEqual(['downgraded', 'free', null])
  set({ status: 'active', owedSinceMs: null, invoiceStatus: 'paid' })
  world.shop.invoices.set(invoice.id, { ...invoice, isPaid: true, status: 'paid' })
  world.at(END - DAY)
  await world.tell(['invoice.paid', invoice.id])
  expect((await world.stored(account))[0]).toBe('active')
})

test('a subscription whose events never came ends by itself; ten minutes are nothing', async () => {
  const world = await makeWorld()
  const { account, sub } = await world.subscriber()
  await world.tell(['customer.subscription.created', sub])
  world.at(END + 10 * MINUTE)
  expect(await world.turn()).not.toContain(account)
  expect(await world.stored(account)).toEqual(['active', 'pro', null])
  world.at(END + 6 * HOUR)
  expect((await world.entitle.read(account, END + 6 * HOUR)).entitlements.planId).toBe(null)
  expect(await world.turn()).toContain(account)
  expect(await world.stored(account)).toEqual(['none', null, null])
})

test('a change of plan and several subscriptions rule by what stands best', async () => {
  const world = await makeWorld()
  const { account, sub, put } = await world.subscriber()
  const item = { quantity: 1, isMetered: false, periodStartMs: START, periodEndMs: END }
  await world.tell(['customer.subscription.created', sub])
  put(sub, 'price_team', { items: [{ ...item, price: 'price_team' }] })
  await world.tell(['customer.subscription.updated', sub])
  expect(await world.stored(account)).toEqual(['active', 'team', null])
  put(sub, 'price_team', { items: [{ ...item, price: 'price_unheard' }] })
  await world.tell(['customer.subscription.updated', sub])
  expect(await world.stored(account)).toEqual(['active', 'team', null])
  put(`${sub}_b`, 'price_pro', {})
  put(sub, 'price_team', { status: 'paused' })
  await world.tell(
    ['customer.subscription.created', `${sub}_b`],
    ['customer.subscription.paused', sub],
  )
  expect(await world.stored(account)).toEqual(['active', 'pro', null])
  put(`${sub}_b`, 'price_pro', { status: 'canceled', endedAtMs: START + DAY })
  await world.tell(['customer.subscription.deleted', `${sub}_b`])
  expect(await world.stored(account)).toEqual(['suspended', 'team', 'suspended'])
})

test('new plans reach every account, a plan that is gone stays with who has it', async () => {
  const world = await makeWorld()
  const { account, sub } = await world.subscriber()
  await world.tell(['customer.subscription.created', sub])
  await world.turn()
  expect(await world.turn()).toEqual([])
  const config = planConfig({ default_plan: 'free' })
  const without = config.plans.filter(({ id }) => id !== 'pro')
  await world.entitle.publish({ ...config, plans: without })
  await world.turn()
  expect(await world.stored(account)).toEqual(['active', 'pro', null])
  const [row] = await world.db.query(
    `SELECT e.plans_version = (SELECT version FROM plans ORDER BY seq DESC LIMIT 1) AS current
     FROM entitlements e WHERE account_id = $1`,
    [account],
  )
  expect(row?.current).toBe(true)
  const narrow = config.plans.map((plan) => (plan.id === 'pro' ? { ...plan, models: ['x'] } : plan))
  await world.entitle.publish({ ...config, plans: narrow })
  expect(await world.turn()).toContain(account)
  const { entitlements } = await world.entitle.read(account, START)
  expect(entitlements.models).toEqual(['x'])
})

test("an account that cannot be resolved keeps no other one's plan from ending", async () => {
  const world = await makeWorld()
  const [odd, other] = [await world.subscriber(), await world.subscriber()]
  for (const { sub } of [odd, other]) await world.tell(['customer.subscription.created', sub])
  await world.turn()
  await world.db.query(
    `INSERT INTO entitlement_overrides (id, account_id, patch, reason, actor, expires_at, created_at)
     VALUES ($1, $2, '{"rates": "tampered with"}', 'r', 'a', $3, $4)`,
    [ids.uuid(), odd.account, new Date(END + 90 * DAY), new Date(START)],
  )
  const at = END + 60 * DAY
  const { accountIds, fault } = await world.entitle.turn(at, 1_000)
  expect(fault?.message).toContain('rates')
  expect(accountIds).toContain(other.account)
  expect(accountIds).not.toContain(odd.account)
  expect((await world.stored(other.account))[0]).not.toBe('active')
  await world.db.query('DELETE FROM entitlement_overrides WHERE account_id = $1', [odd.account])
})
