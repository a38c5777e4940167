import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { idOf } from '../../src/billing/stripe.ts'
import { expectSound } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { expectedSales } from './sim-expected.ts'
import { ledgerSales, sorted } from './sim-ledger.ts'
import { makeSimWorld, type SimWorld } from './sim-world.ts'

/** Orders tried of each history's events; FAREBOX_ORDERS asks for more. */
const ORDERS = Number(process.env.FAREBOX_ORDERS ?? 2)

let own: TestDb
let sim: SimWorld
const buyers: string[] = []

beforeAll(async () => {
  own = await testDb('postgres', 12)
  sim = await makeSimWorld(own.db)
})
afterAll(async () => {
  await sim.stop()
  await own[Symbol.asyncDispose]()
})

const control = (name: string, input: object = {}) => sim.stripe.control(name, input)
const URLS = { successUrl: 'https://x.example/', cancelUrl: 'https://x.example/' }

async function order(account: string, kind: 'pack' | 'plan', id: string) {
  const buyer = await sim.accounts.read(account)
  if (buyer === null) throw new Error('no account')
  const asked = { item: { kind, id }, ...URLS, requestKey: null }
  const opened = await sim.billing.checkouts.open(buyer, asked)
  if ('ok' in opened || opened.sessionId === null) throw new Error('refused')
  await control('pay', { session: opened.sessionId, method: 'pm_card_visa' })
  return sim.stripe.stripe.checkout.sessions.retrieve(opened.sessionId)
}
const pay = async (account: string): Promise<string> =>
  idOf((await order(account, 'pack', 'pack')).payment_intent) ?? ''

const HISTORIES: Readonly<Record<string, (account: string) => Promise<unknown>>> = {
  'a purchase': pay,
  'a purchase and its refund': async (account) =>
    control('refund', { payment_intent: await pay(account), amount: 300 }),
  'a purchase, a refund, and a dispute that is won': async (account) => {
    const payment_intent = await pay(account)
    await control('refund', { payment_intent, amount: 250 })
    const dispute = z.object({ id: z.string() })
    const { id } = dispute.parse(await control('dispute', { payment_intent, amount: 400 }))
    await control('dispute', { dispute: id, action: 'win' })
  },
  'a purchase, a refund, and a dispute that is lost': async (account) => {
    const payment_intent = await pay(account)
    await control('refund', { payment_intent, amount: 250 })
    await control('dispute', { payment_intent, amount: 750 })
  },
  'two periods with a failed payment between': async (account) => {
    const session = await order(account, 'plan', 'small')
    const subscription = idOf(session.subscription) ?? ''
    const it = await sim.stripe.stripe.subscriptions.retrieve(subscription)
    const payment_method = idOf(it.default_payment_method)
    await control('behave', { payment_method, like: 'pm_card_visa_chargeDeclined' })
    await sim.stripe.advance(31.2)
    await control('behave', { payment_method, like: 'pm_card_visa' })
    await sim.stripe.advance(4)
  },
}

test.each(Object.entries(HISTORIES))(
  'its events in any order, twice and at once, end with the same ledger: %s',
  async (_name, run) => {
    for (let turn = 0; turn < ORDERS; turn += 1) {
      const { id } = await sim.account()
      buyers.push(id)
      await control('hold')
      await run(id)
      const { held } = z.object({ held: z.array(z.string()) }).parse(await control('held'))
      const { random } = sim.stripe.sim.simulator.world
      const shuffled = turn === 0 ? held.toReversed() : random.shuffle(held)
      await control('release', { order: shuffled, copies: 2, concurrent: turn > 0 })
      await sim.rest()
      expect(sorted(await ledgerSales(own.db, buyers))).toEqual(sorted(expectedSales(sim)))
    }
    await expectSound(own.db)
  },
)
