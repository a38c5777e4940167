import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeCatalogue } from '../../src/billing/catalogue.ts'
import { packsSchema, stripeConfigSchema } from '../../src/billing/config.ts'
import { makeEffects } from '../../src/billing/effects/effects.ts'
import { makeEventEffect } from '../../src/billing/effects/of-event.ts'
import { makeFindings } from '../../src/billing/findings.ts'
import { makeHealth } from '../../src/billing/health/health.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { T0 } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { makeShop } from './shop.ts'
import { countedHooks, ids, makeInboxWorld, snapshot } from './support.ts'

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres', 12)
})
afterAll(() => own[Symbol.asyncDispose]())

const pack = (price: string) => ({ id: `of_${price}`, stripe_price: price, credits: 10 })
const catalogueOf = (...prices: string[]) =>
  makeCatalogue({
    packs: packsSchema.parse(prices.map(pack)),
    plans: [],
    stripe: stripeConfigSchema.parse({}),
  })

async function makeWorld() {
  const { db } = own
  const shop = makeShop()
  let catalogue = catalogueOf('price_known')
  const clock = { now: () => T0, monotonicMs: () => 0, after: () => () => undefined }
  const findings = makeFindings({ db, ids, clock })
  const effects = makeEffects({
    ...{ reader: shop.reader, recharges: shop.recharges, invoices: shop.invoiceReader },
    ...{ db, ids, clock, log: silentLog, hooks: countedHooks(), findings },
    catalogue: () => catalogue,
    tell: () => Promise.resolve(),
    reload: () => Promise.resolve(),
  })
  const inbox = await makeInboxWorld(db, makeEventEffect({ db, effects, mode: 'test' }))
  const health = makeHealth({ db, findings, hooks: countedHooks(), clock })
  return {
    ...{ db, shop, findings, health },
    sell: (...prices: string[]) => {
      catalogue = catalogueOf(...prices)
    },
    async account(customer: string | null): Promise<string> {
      const id = `acct_${ids.uuid()}`
      await db.query(
        `INSERT INTO accounts (id, name, stripe_customer_id, changed_at, created_at)
         VALUES ($1, $1, $2, $3, $3)`,
        [id, customer, new Date(T0)],
      )
      return id
    },
    /** A session that a payment link made, paid. */
    bought(customer: string, prices: readonly string[]) {
      const name = ids.uuid()
      const [session, payment] = [`cs_${name}`, `pi_${name}`]
      const lines = prices.map((price, at) => ({ id: `li_${at}`, price, quantity: 1 }))
      shop.addSession(session, lines, { amountSubtotal: 500, amountTotal: 500, customer })
      shop.addPayment(payment, session, 500)
      return { session, payment }
    },
    async tell(...events: readonly (readonly [string, string])[]) {
      for (const [type, id] of events) await inbox.deliver(snapshot(type, id))
      await inbox.worker.drain()
    },
    state: async (kind: string, subject: string) =>
      (
        await db.query('SELECT state FROM findings WHERE kind = $1 AND subject = $2', [
          ...[kind, subject],
        ])
      ).map(({ state }) => state),
  }
}

test('a price that nothing has: gone when it is configured and its event replayed', async () => {
  const world = await makeWorld()
  await world.account('cus_mug')
  const { session } = world.bought('cus_mug', ['price_mug'])
  const state = () => world.state('stripe_unknown_price', 'price_mug')
  await world.tell(['checkout.session.completed', session])
  expect(await state()).toEqual(['open'])
  await world.tell(['checkout.session.completed', session])
  expect(await state()).toEqual(['open'])
  world.sell('price_known', 'price_mug')
  await world.tell(['checkout.session.completed', session])
  expect(await state()).toEqual(['gone'])
  // Out of the configuration again, it is news again.
  world.sell('price_known')
  const other = world.bought('cus_mug', ['price_mug'])
  await world.tell(['checkout.session.completed', other.session])
  expect(await state()).toEqual(['open'])
})

test('paid by nobody we know: gone when the account is there and the event replayed', async () => {
  const world = await makeWorld()
  const { session, payment } = world.bought('cus_late', ['price_known'])
  const state = () => world.state('stripe_no_account', payment)
  await world.tell(['checkout.session.completed', session])
  expect(await state()).toEqual(['open'])
  await world.account('cus_late')
  await world.tell(['checkout.session.completed', session])
  expect(await state()).toEqual(['gone'])
})

test('paid by nobody we know, and all of it given back: nobody waits for it', async () => {
  const world = await makeWorld()
  const { session, payment } = world.bought('cus_never', ['price_known'])
  const state = () => world.state('stripe_no_account', payment)
  const refund = (amount: number) =>
    world.shop.payment(payment).refunds.push({ id: ids.uuid(), amount, stands: true })
  await world.tell(['checkout.session.completed', session])
  refund(200)
  await world.tell(['checkout.session.completed', session])
  expect(await state()).toEqual(['open'])
  refund(300)
  await world.tell(['checkout.session.completed', session])
  expect(await state()).toEqual(['gone'])
})

test('a dispute that is won, and an inquiry that is closed or grows into one, are gone', async () => {
  const world = await makeWorld()
  await world.account('cus_disputed')
  const { session, payment } = world.bought('cus_disputed', ['price_known'])
  await world.tell(['checkout.session.completed', session])
  const dispute = { id: `dp_${ids.uuid()}`, amount: 500 }
  const turn = async (status: string, withdrawn: number) => {
    const now = { ...dispute, status, withdrawn }
    world.shop.payment(payment).disputes.splice(0, 1, now)
    await world.tell(['charge.dispute.updated', dispute.id])
    const kinds = ['stripe_inquiry', 'stripe_dispute']
    return (await Promise.all(kinds.map((kind) => world.state(kind, dispute.id)))).flat()
  }
  expect(await turn('warning_needs_response', 0)).toEqual(['open'])
  expect(await turn('warning_closed', 0)).toEqual(['gone'])
  expect(await turn('warning_under_review', 0)).toEqual(['open'])
  expect(await turn('needs_response', 500)).toEqual(['gone', 'open'])
  // Won, and the money is not back yet.
  expect(await turn('won', 500)).toEqual(['gone', 'open'])
  expect(await turn('won', 0)).toEqual(['gone', 'gone'])
  expect(await turn('lost', 500)).toEqual(['gone', 'open'])
})

test('a finding that a person explained stays explained', async () => {
  const world = await makeWorld()
  const { session, payment } = world.bought('cus_explained', ['price_known'])
  await world.tell(['checkout.session.completed', session])
  await world.db.query("UPDATE findings SET state = 'explained' WHERE subject = $1", [payment])
  await world.account('cus_explained')
  await world.tell(['checkout.session.completed', session])
  expect(await world.state('stripe_no_account', payment)).toEqual(['explained'])
})

test('what our own rows say is gone is closed, and nothing else', async () => {
  const world = await makeWorld()
  const { db, health, findings } = world
  const account = await world.account('cus_gone')
  const hold = ids.uuid()
  const event = 'evt_settled'
  await db.query(
    `INSERT INTO stripe_events (id, type, is_thin, source, payload, state, due_at, occurred_at,
                                received_at)
     VALUES ($1, 'x', false, 'webhook', '{}', 'dead', $2, $2, $2)`,
    [event, new Date(T0)],
  )
  const kinds = [
    ...[['stripe_event_dead', event] as const, ['stripe_customer_deleted', 'cus_gone'] as const],
    ...[['recharge_refused', account] as const, ['unpostable_receipt', `${hold}:1`] as const],
    ['unpostable_receipt', 'no hold at all:x'] as const,
  ]
  await db.query(
    `INSERT INTO recharges (account_id, state, reason, changed_at, due_at, pack_id,
       threshold_micros, currency, monthly_amount, return_url)
     SELECT $1, 'blocked', 'x', $2, $2, 'starter', 1, 'usd', 1, 'https://x'`,
    [account, new Date(T0)],
  )
  for (const [kind, subject] of kinds) {
    await findings.note({ kind, severity: 'review', subject, evidence: {} })
  }
  const states = async () =>
    (await Promise.all(kinds.map(([kind, subject]) => world.state(kind, subject)))).flat()
  await health.tick()
  expect(await states()).toEqual(kinds.map(() => 'open'))
  await db.query("UPDATE stripe_events SET state = 'done', done_at = received_at WHERE id = $1", [
    event,
  ])
  await db.query('UPDATE accounts SET stripe_customer_id = NULL WHERE id = $1', [account])
  await db.query("UPDATE recharges SET state = 'off' WHERE account_id = $1", [account])
  await health.tick()
  expect(await states()).toEqual(['gone', 'gone', 'gone', 'open', 'open'])
})
