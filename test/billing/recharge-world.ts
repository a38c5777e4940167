import type Stripe from 'stripe'
import { makeAccounts } from '../../src/access/accounts.ts'
import { makeCatalogue } from '../../src/billing/catalogue.ts'
import { makeCheckouts } from '../../src/billing/checkout.ts'
import { packsSchema, stripeConfigSchema } from '../../src/billing/config.ts'
import { makeEnsureCustomer } from '../../src/billing/customers.ts'
import { makeEffects } from '../../src/billing/effects/effects.ts'
import { makeEventEffect } from '../../src/billing/effects/of-event.ts'
import { makeInvoiceReader } from '../../src/billing/effects/read-invoice.ts'
import { makeReader } from '../../src/billing/effects/read-payment.ts'
import { makeFindings } from '../../src/billing/findings.ts'
import { makeHints } from '../../src/billing/recharge/hints.ts'
import { makeRechargeReader } from '../../src/billing/recharge/read.ts'
import { makeRecharges } from '../../src/billing/recharge/recharges.ts'
import type { RechargeAsked } from '../../src/billing/recharge/settings.ts'
import { makeStripe } from '../../src/billing/stripe.ts'
import type { Told } from '../../src/billing/tell.ts'
import { serveStripe } from '../../src/demo/stripe/server.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import type { Db } from '../../src/store/db.ts'
import { makeLedgerOn } from '../ledger/support.ts'
import { countedHooks, handClock, ids, makeInboxWorld } from './support.ts'

export const CREDIT = 1_000_000
export const PACK = 100 * CREDIT
export const PRICE_CENTS = 1_000
export const START_MS = Date.UTC(2027, 0, 20, 12)
const OPERATOR = { actor: 'test', isOperator: true }

/** The simulator, our side of it as one or more processes, and accounts that run low. */
export async function makeRechargeWorld(db: Db) {
  const sim = await serveStripe({ port: 0, seed: 3, frozenAtS: START_MS / 1000, wallMs: Date.now })
  const { base } = sim.simulator.world
  const stripe = makeStripe({ secretKey: 'sk_test_x', apiBase: base })
  const { clock, advance } = handClock(START_MS)
  const price = await stripe.prices.create({
    ...{ currency: 'usd', unit_amount: PRICE_CENTS, product_data: { name: 'Starter' } },
  })
  const packs = packsSchema.parse([{ id: 'starter', stripe_price: price.id, credits: 100 }])
  const catalogue = makeCatalogue({ packs, plans: [], stripe: stripeConfigSchema.parse({}) })
  const accounts = makeAccounts({ db, clock, ids })
  const { books } = makeLedgerOn(db)
  const told: Told[] = []
  const hooks = countedHooks()

  function startProcess() {
    const common = { db, accounts, clock, ids, log: silentLog, catalogue: () => catalogue }
    const tell = (one: Told) => {
      if (!told.some(({ occasion }) => occasion === one.occasion)) told.push(one)
      return Promise.resolve()
    }
    const read = makeRechargeReader(stripe)
    const effects = makeEffects({
      ...{ ...common, tell, hooks, recharges: read, reader: makeReader(stripe) },
      invoices: makeInvoiceReader(stripe),
      findings: makeFindings(common),
      reload: () => Promise.resolve(),
    })
    const ensureCustomer = makeEnsureCustomer({ ...common, stripe })
    const checkouts = makeCheckouts({ ...common, stripe, ensureCustomer, effects })
    const recharges = makeRecharges({
      ...{ ...common, effects, ensureCustomer, checkouts, tell, random: () => 0.5 },
      ...{ hints: makeHints(), hooks, reader: read, findings: makeFindings(common) },
      stripe,
    })
    const effect = makeEventEffect({ db, effects, mode: 'test', findings: makeFindings(common) })
    return { effects, recharges, checkouts, effect }
  }
  const [one, two] = [startProcess(), startProcess()]
  const inbox = await makeInboxWorld(db, one.effect, undefined, two.effect)

  async function control(name: string, input: object = {}): Promise<Record<string, unknown>> {
    const answer = await fetch(`${base}/_control/${name}`, {
      method: 'POST',
      body: JSON.stringify(input),
    })
    const body = (await answer.json()) as Record<string, unknown>
    if (answer.status !== 200) throw new Error(JSON.stringify(body))
    return body
  }

  /** An account with a customer and a card; `asked` null = no recharge is allowed yet. */
  async function account(card: string | null, asked: Partial<RechargeAsked> | null = {}) {
    const id = `acct_${ids.uuid()}`
    const customer = await stripe.customers.create({ metadata: { farebox_account: id } })
    const method =
      card === null
        ? null
        : await stripe.paymentMethods.attach(card, {
            customer: customer.id,
          })
    if (method !== null) {
      await stripe.customers.update(customer.id, {
        invoice_settings: { default_payment_method: method.id },
      })
    }
    await db.query(
      `INSERT INTO accounts (id, name, stripe_customer_id, changed_at, created_at)
       VALUES ($1, $1, $2, $3, $3)`,
      [id, customer.id, new Date(START_MS)],
    )
    const found = await accounts.read(id)
    if (found === null) throw new Error('unreachable')
    const allow = (more: Partial<RechargeAsked> = {}, asker = OPERATOR) =>
      one.recharges.save(
        found,
        {
          ...{ pack: 'starter', thresholdMicros: micros(20 * CREDIT), monthlyCount: 5 },
          ...{ monthlyAmount: null, returnUrl: 'https://shop.example/back', ...more },
        },
        asker,
      )
    if (asked !== null) {
      const refused = await allow(asked)
      if (refused !== null) throw new Error(refused.message)
    }
    return { id, account: found, customer: customer.id, method: method?.id ?? '', allow }
  }

  const posted = async (id: string) => (await books.balance(id))?.postedMicros
  const view = (id: string) => one.recharges.read(id)

  return {
    ...{
      hooks,
      sim,
      stripe,
      db,
      clock,
      inbox,
      told,
      one,
      two,
      startProcess,
      control,
      account,
      books,
    },
    ...{ posted, view, price },
    intents: async (customer: string) =>
      (await stripe.paymentIntents.list({ customer, limit: 100 })).data,
    /** Both clocks. */
    async pass(seconds: number) {
      advance(seconds * 1000)
      await control('advance', { seconds })
    },
    /** Takes credits away, as requests do. */
    async spend(id: string, credits: number) {
      const context = {
        reason: 'spent',
        referenceId: ids.uuid(),
        micros: micros(-credits * CREDIT),
      }
      await books.adjust({ accountId: id, ...context }, clock.now())
    },
    /** Delivers what Stripe told of some objects, in an order, and works it off. */
    async deliver(
      customer: string,
      order: (events: Stripe.Event[]) => readonly Stripe.Event[] = (all) => all,
    ) {
      const events = await stripe.events.list({ limit: 100 })
      const ours = events.data.filter((event) => JSON.stringify(event).includes(customer))
      for (const event of order(ours.toReversed())) {
        await inbox.inbox.store(
          {
            ...{ payload: JSON.stringify(event), source: 'sync', ignored: null },
            event: {
              ...{ id: `${event.id}_${ids.uuid().slice(0, 8)}`, type: event.type },
              objectId: (event.data.object as { id?: string }).id ?? null,
              ...{ stripeAccount: null, apiVersion: null, livemode: false, isThin: false },
              occurredAtMs: event.created * 1000,
            },
          },
          inbox.clock.now(),
        )
      }
      await Promise.all([inbox.worker.drain(), inbox.another().drain()])
    },
    stop: () => sim.stop(),
  }
}

export type RechargeWorld = Awaited<ReturnType<typeof makeRechargeWorld>>
