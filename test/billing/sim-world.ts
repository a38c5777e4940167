import Fastify from 'fastify'
import { makeAccounts } from '../../src/access/accounts.ts'
import { makePlanBooks } from '../../src/access/plans/book.ts'
import { makeEntitle } from '../../src/access/plans/entitle.ts'
import type { PlanNotice } from '../../src/access/plans/notices.ts'
import type { Account } from '../../src/access/rows.ts'
import { makeBilling } from '../../src/app/billing.ts'
import { readPrice } from '../../src/billing/inspect.ts'
import { ensurePortal } from '../../src/billing/portal-settings.ts'
import { makeHints } from '../../src/billing/recharge/hints.ts'
import type { Told } from '../../src/billing/tell.ts'
import { WEBHOOK_PATH, webhookPlugin } from '../../src/billing/webhook.ts'
import { configSchema } from '../../src/config-schema.ts'
import { makeChanges } from '../../src/credits/changes.ts'
import { makeEmbeddedStore } from '../../src/credits/embedded/store.ts'
import { makeEngine } from '../../src/credits/engine.ts'
import { makeIncarnations } from '../../src/credits/incarnations.ts'
import { makeLoads } from '../../src/credits/load.ts'
import { systemClock, type Clock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { ZERO } from '../../src/kernel/money.ts'
import { loadTurned } from '../../src/ledger/turn-each.ts'
import { makeBooks } from '../../src/ledger/ledger-books.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import { judgeAccount } from '../../src/reconcile/verify.ts'
import type { Db } from '../../src/store/db.ts'
import { makeStripeWorld, recurringPrice, START_S, type StripeWorld } from '../demo/stripe-world.ts'
import { countedHooks, ids } from './support.ts'

/** What a world sells, in whole credits. */
export const SOLD = { pack: 1_001, small: 100, large: 410, year: 2_000 } as const

async function catalogue(world: StripeWorld) {
  const pack = await world.stripe.prices.create({
    currency: 'usd',
    unit_amount: 1_000,
    product_data: { name: 'Pack' },
  })
  const small = await recurringPrice(world, 2_000)
  const large = await recurringPrice(world, 6_000)
  const year = await recurringPrice(world, 20_000, 'year')
  const prices = { pack: pack.id, small: small.id, large: large.id, year: year.id }
  const config = configSchema.parse({
    access: { stripe_features: { sso: { sso: true, seats: 50 }, gone: { never: true } } },
    packs: [{ id: 'pack', stripe_price: prices.pack, credits: SOLD.pack }],
    plans: [
      { id: 'free', models: ['gpt-small'], rates: { requests_per_minute: 3 } },
      {
        ...{ id: 'small', stripe_prices: [prices.small], included_credits: SOLD.small },
        ...{ rank: 1, fallback: 'free', rates: { max_concurrency: 2 } },
      },
      {
        ...{ id: 'large', stripe_prices: [prices.large], included_credits: SOLD.large },
        ...{ rank: 2, rollover: 1, models: ['gpt-*'], fallback: 'free', credit_limit: 5 },
      },
      {
        ...{ id: 'year', stripe_prices: [prices.year], included_credits: SOLD.year },
        ...{ rank: 3, fallback: 'free', rates: { requests_per_minute: 60 } },
      },
    ],
  })
  return { prices, config }
}

/** The credit engine, as gateways ask it, and how it hears of what changed in Postgres. */
function makeHotPath(db: Db, clock: Clock) {
  const transport = makeEmbeddedStore({ clock }).connect()
  const incarnations = makeIncarnations({ db, clock })
  const engine = makeEngine({ transport, incarnations, clock, ids, log: silentLog })
  const ledger = makePostingLedger({ db, ids })
  const onLoad = () => undefined
  const loads = makeLoads({ engine, ledger, clock, log: silentLog, onLoad })
  return { engine, loads, changes: makeChanges({ engine, ledger, loads, clock }) }
}

/**
 * Billing as the program composes it, in this process, with a Stripe simulator whose clock is also
 * Farebox's, and whose events come over HTTP.
 */
export async function makeSimWorld(db: Db) {
  const stripe = await makeStripeWorld(START_S, Math.floor(Math.random() * 2 ** 31))
  const base = stripe.sim.simulator.world.base
  await stripe.control('settings', { signature_clock: 'stripe' })
  const { prices, config } = await catalogue(stripe)
  const plans = [prices.small, prices.large, prices.year]
  const offered = await Promise.all(plans.map((id) => stripe.stripe.prices.retrieve(id)))
  await ensurePortal(stripe.stripe, offered.map(readPrice), false)
  const clock: Clock = { ...systemClock, now: () => stripe.sim.simulator.world.now() * 1_000 }
  const accounts = makeAccounts({ db, clock, ids })
  const secrets: string[] = []
  const key = { secretKey: 'sk_test_farebox', webhookSecrets: secrets, apiBase: base }
  const hooks = countedHooks()
  const { engine, loads, changes } = makeHotPath(db, clock)
  const reload = async (id: string): Promise<void> => {
    await loads.account(id, 'changed')
  }
  const told: (Told | PlanNotice)[] = []
  const note = (one: Told | PlanNotice): Promise<void> => {
    if (!told.some(({ occasion }) => occasion === one.occasion)) told.push(one)
    return Promise.resolve()
  }
  const books = makePlanBooks()
  const entitle = makeEntitle({ db, ids, clock, books, tell: (_tx, one) => note(one) })
  await entitle.publish(config)
  const billing = makeBilling({
    environment: { stripe: key, mode: 'test' },
    ...{ config, db, accounts, hooks, clock, ids, log: silentLog, reload, tell: note, entitle },
    hints: makeHints(),
  })
  if (billing === null) throw new Error('unreachable: there is a key')
  const app = Fastify()
  const options = {
    inbox: billing.inbox,
    secrets,
    mode: 'test',
    hooks,
    clock,
    log: silentLog,
  } as const
  await app.register(async (instance) => {
    webhookPlugin(instance, options)
    await Promise.resolve()
  })
  const own = await app.listen({ host: '127.0.0.1', port: 0 })
  const url = `${own}${WEBHOOK_PATH}`
  const endpoint = await stripe.stripe.webhookEndpoints.create({ url, enabled_events: ['*'] })
  secrets.push(endpoint.secret ?? '')
  const blank = { subjectRef: null, email: 'b@x.example', stripeCustomerId: null, markup: null }
  const limits = { creditLimitMicros: ZERO, overageLimitMicros: ZERO }

  const pending = async (): Promise<number> => (await billing.inbox.backlog()).pending
  const accountBooks = makeBooks({ db, ids })
  const access = { read: entitle.read, cached: () => [] }
  return {
    ...{ stripe, prices, billing, clock, hooks, accounts, entitle, reload, config, told },
    books: accountBooks,
    environment: { stripe: key, mode: 'test' } as const,
    async account(): Promise<Account> {
      const input = { id: null, name: 'Buyer', ...blank, ...limits, actor: 'test' }
      const made = await accounts.create(input)
      if ('ok' in made) throw new Error('refused')
      await reload(made.account.id)
      return made.account
    },
    /** An account's owner opens the customer portal and picks another price there. */
    async pickInPortal(accountId: string, subscription: string, price: string): Promise<void> {
      const account = await accounts.read(accountId)
      if (account === null) throw new Error('no account')
      const opened = await billing.checkouts.portal(account, 'https://x.example/')
      if ('ok' in opened) throw new Error(opened.message)
      const session = opened.url.split('/').at(-1)
      await stripe.control('portal-change', { session, subscription, price })
    },
    /** What time alone changes, and what others changed, as the loops see to it. */
    async turn(): Promise<void> {
      await loadTurned(await accountBooks.turn(clock.now(), 1_000), reload)
      await loadTurned(await entitle.turn(clock.now(), 1_000), reload)
      await changes.sweep()
    },
    /** What is against I2, I8 and I10: the engine and the entitlements beside Postgres. */
    async breaches(accountId: string) {
      const judged = await judgeAccount({ db, engine, sweepMs: 1_000, clock, access }, accountId)
      if (!judged.isLoaded) throw new Error('the engine does not know it')
      return judged.breaches
    },
    /** Works off what has arrived. */
    drain: () => billing.worker.drain(),
    /** Nothing is under way, nothing waits, nothing is missing. */
    async rest(): Promise<void> {
      await stripe.control('clear-faults')
      await stripe.control('release')
      await stripe.control('idle')
      await billing.sync(clock.now() - 29 * 86_400_000, null)
      for (let tries = 0; ; tries += 1) {
        await billing.worker.drain()
        if ((await pending()) === 0) return
        if (tries === 20) throw new Error('events are still pending')
        await stripe.control('advance', { seconds: 900 })
      }
    },
    async stop(): Promise<void> {
      const against = await stripe.stop()
      await app.close()
      if (against.length > 0) throw new Error(against.join('\n'))
    },
  }
}

export type SimWorld = Awaited<ReturnType<typeof makeSimWorld>>
