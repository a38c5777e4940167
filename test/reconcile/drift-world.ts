import { makeCatalogue } from '../../src/billing/catalogue.ts'
import { makeStripeSide } from '../../src/billing/books-side.ts'
import { packsSchema, stripeConfigSchema } from '../../src/billing/config.ts'
import { makeEffects } from '../../src/billing/effects/effects.ts'
import { makeInvoiceReader } from '../../src/billing/effects/read-invoice.ts'
import { makeReader } from '../../src/billing/effects/read-payment.ts'
import { makeFindings } from '../../src/billing/findings.ts'
import { makeRechargeReader } from '../../src/billing/recharge/read.ts'
import { idOf, makeStripe } from '../../src/billing/stripe.ts'
import { accessConfigSchema, plansSchema } from '../../src/access/plans/config.ts'
import { makeReconciliation } from '../../src/app/reconcile.ts'
import { serveStripe } from '../../src/demo/stripe/server.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { makeMeterOutbox, makeReporting } from '../../src/reporting/reporting.ts'
import { aCustomer, makeWorld, openHold } from '../admin/world.ts'
import { countedHooks } from '../billing/support.ts'
import { settings } from '../reporting/world.ts'
import { until } from '../support/until.ts'

/** Real Postgres and Redis, a simulated Stripe, and reconciliation over all three. */
export async function makeDriftWorld() {
  const world = await makeWorld()
  const { db, clock, ids } = world
  const frozenAtS = Math.floor(Date.now() / 1000)
  const sim = await serveStripe({ port: 0, seed: 7, frozenAtS, wallMs: Date.now })
  const { base } = sim.simulator.world
  const stripe = makeStripe({ secretKey: 'sk_test_x', apiBase: base })
  const price = await stripe.prices.create({
    ...{ currency: 'usd', unit_amount: 1_000, product_data: { name: 'Starter' } },
  })
  const monthly = await stripe.prices.create({
    ...{ currency: 'usd', unit_amount: 2_000, product_data: { name: 'Pro' } },
    recurring: { interval: 'month' },
  })
  const sold = {
    packs: packsSchema.parse([{ id: 'starter', stripe_price: price.id, credits: 100 }]),
    plans: plansSchema.parse([{ id: 'pro', stripe_prices: [monthly.id] }]),
    stripe: stripeConfigSchema.parse({}),
  }
  const catalogue = makeCatalogue(sold)
  await world.entitle.publish({ ...sold, access: accessConfigSchema.parse({}) })
  await stripe.billing.meters.create({
    ...{ display_name: 'ai', event_name: 'ai_credits', default_aggregation: { formula: 'sum' } },
  })
  const common = {
    ...{ db, clock, ids, log: silentLog, stripe, hooks: countedHooks(), accounts: world.accounts },
    ...{ catalogue: () => catalogue, findings: makeFindings({ db, ids, clock }) },
    ...{ reader: makeReader(stripe), invoices: makeInvoiceReader(stripe) },
    recharges: makeRechargeReader(stripe),
    tell: () => Promise.resolve(),
    reload: world.reload,
    entitle: world.entitle.entitle,
  }
  // As the app does it: a dry look is about money, entitlements are compared apart.
  const dry = { ...common, entitle: () => Promise.resolve(false) }
  const side = makeStripeSide({ ...dry, effects: makeEffects(common) })
  const meters = makeReporting({
    ...{ db, stripe, clock, ids, log: silentLog, random: () => 0.5 },
    book: makeMeterOutbox(settings()).book,
    note: () => Promise.resolve(),
    onCall: () => undefined,
  })
  // Who is suspected is looked at again: not for long.
  const quick = {
    ...clock,
    after: (...[ms, run]: Parameters<typeof clock.after>) =>
      clock.after(ms > 10_000 ? ms : Math.min(ms, 20), run),
  }
  const reconcile = makeReconciliation({
    ...{ core: world.core, stripe: side, meters, clock: quick, ids, pauseMs: 0 },
    // Holds without a gateway have lapsed at once; everything is old enough to be judged.
    ...{ leaseMs: 30, quarantineMs: -60_000 },
  })

  async function control(name: string, input: object): Promise<void> {
    const answer = await fetch(`${base}/_control/${name}`, {
      method: 'POST',
      body: JSON.stringify(input),
    })
    if (answer.status !== 200) throw new Error(await answer.text())
  }

  /** An account of a Stripe customer with a card. */
  async function buyer() {
    const { accountId, keyId } = await aCustomer(world, '0')
    const customer = (await stripe.customers.create({})).id
    const method = await stripe.paymentMethods.attach('pm_card_visa', { customer })
    await stripe.customers.update(customer, {
      invoice_settings: { default_payment_method: method.id },
    })
    await db.query('UPDATE accounts SET stripe_customer_id = $2 WHERE id = $1', [
      ...[accountId, customer],
    ])
    return { accountId, keyId, customer }
  }

  return {
    ...{ world, db, stripe, side, reconcile, control, monthly, buyer },
    /** A customer with one charge of 1000 micros, and nothing wrong with it. */
    async charged() {
      const customer = await aCustomer(world)
      const { holdId, settle } = await openHold(world, customer, 1_000)
      await settle(1_000)
      // Posted, and cleared from Redis: until then what is free is less by the charge.
      await until(async () => {
        const view = await world.engine.viewAccount(customer.accountId)
        return view?.holds.length === 0
      })
      return { ...customer, holdId }
    },
    /** A paid checkout of a pack, of which no event arrived. */
    async paid(customer: string): Promise<string> {
      const session = await stripe.checkout.sessions.create({
        ...{ mode: 'payment', customer, success_url: 'https://shop.example/ok' },
        line_items: [{ price: price.id, quantity: 1 }],
      })
      await control('pay', { session: session.id, method: 'pm_card_visa' })
      const { payment_intent: intent } = await stripe.checkout.sessions.retrieve(session.id)
      return idOf(intent) ?? ''
    },
    subscribe: (customer: string) =>
      stripe.subscriptions.create({ customer, items: [{ price: monthly.id }] }),
    /** Everything that is kept, but findings and what is written of runs and looks. */
    async kept(): Promise<Map<string, readonly string[]>> {
      const tables = await db.query(
        `SELECT table_name AS name FROM information_schema.tables
         WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1`,
      )
      const kept = new Map<string, readonly string[]>()
      for (const name of tables.map((row) => String(row.name))) {
        if (UNKEPT.has(name)) continue
        const rows = await db.query(`SELECT t::text AS row FROM ${name} t ORDER BY 1`)
        kept.set(
          name,
          rows.map(({ row }) => String(row)),
        )
      }
      return kept
    },
    async stop() {
      await sim.stop()
      await world.close()
    },
  }
}

const UNKEPT = new Set(['findings', 'reconcile_runs', 'audit_log', 'stripe_looks', 'incarnations'])

export type DriftWorld = Awaited<ReturnType<typeof makeDriftWorld>>
