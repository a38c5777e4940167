import { makeCatalogue } from '../../src/billing/catalogue.ts'
import { checkoutRows } from '../../src/billing/checkout-rows.ts'
import { packsSchema, stripeConfigSchema } from '../../src/billing/config.ts'
import { makeEffects } from '../../src/billing/effects/effects.ts'
import { makeEventEffect } from '../../src/billing/effects/of-event.ts'
import { takenBack } from '../../src/billing/effects/share.ts'
import { makeFindings } from '../../src/billing/findings.ts'
import { makeInbox } from '../../src/billing/inbox.ts'
import { makeInboxWorker } from '../../src/billing/worker.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import { makeShop } from '../billing/shop.ts'
import { countedHooks, snapshot } from '../billing/support.ts'
import type { Actor, Faults } from './scheduler.ts'
import type { SimAccount, SimGateway, World } from './world.ts'

const PRICE = 'price_sim'
const CREDITS_MICROS = 97
const PAID_CENTS = 1_000

interface Purchase {
  readonly accountId: string
  readonly session: string
  readonly payment: string
}

/** A webhook on its way: Stripe repeats it until it is taken, and sometimes after that. */
interface Webhook {
  readonly id: string
  readonly type: string
  readonly objectId: string
}

/** Answers of Stripe that are lost or never come; what they are about has happened all the same. */
function faulty<T extends object>(world: World, actor: Actor, reader: T, faults: Faults): T {
  return new Proxy(reader, {
    get(target, name, self) {
      const method: unknown = Reflect.get(target, name, self)
      if (typeof method !== 'function') return method
      return (...args: unknown[]) =>
        world.scheduler.call(
          actor,
          `${actor.name} stripe ${String(name)}`,
          () => Promise.resolve(Reflect.apply(method, target, args)),
          faults,
        )
    },
  })
}

/** Stripe, its buyers and its webhooks, beside the gateways' own inbox and effects. */
export class SimShop {
  readonly #world: World
  readonly #shop = makeShop()
  readonly #purchases: Purchase[] = []
  readonly #webhooks: Webhook[] = []
  #events = 0

  constructor(world: World) {
    this.#world = world
    world.sideWork.push((gateway) => {
      this.#work(gateway)
    })
  }

  get underWay(): number {
    return this.#webhooks.length
  }

  /** Each gateway works the one inbox off. */
  #work(gateway: SimGateway): void {
    const { actor, db, clock, credits, loops } = gateway
    const { ids, scheduler, weather } = this.#world
    const shop = this.#shop
    const packs = packsSchema.parse([{ id: 'sim', stripe_price: PRICE, credits: '0.000097' }])
    const catalogue = makeCatalogue({ packs, plans: [], stripe: stripeConfigSchema.parse({}) })
    const findings = makeFindings({ db, ids, clock })
    const hooks = countedHooks()
    const effects = makeEffects({
      reader: faulty(this.#world, actor, shop.reader, weather.stripe),
      recharges: shop.recharges,
      invoices: faulty(this.#world, actor, shop.invoiceReader, weather.stripe),
      ...{ db, ids, clock, log: silentLog, hooks, findings },
      tell: () => Promise.resolve(),
      catalogue: () => catalogue,
      reload: async (accountId) => {
        await credits.loads.account(accountId, 'changed')
      },
    })
    const worker = makeInboxWorker({
      inbox: makeInbox({ db, ids }),
      effect: makeEventEffect({ db, effects, mode: 'test' }),
      ...{ findings, hooks, clock, log: silentLog, random: scheduler.random },
    })
    loops.start({ name: 'inbox', periodMs: 1_200, run: () => worker.tick() })
  }

  /** A buyer pays for a pack; what Stripe tells of it comes when it comes. */
  async buy(account: SimAccount): Promise<void> {
    const { db, scheduler, ids } = this.#world
    const name = ids.uuid().replaceAll('-', '')
    const [id, session, payment] = [`fbco_${name}`, `cs_${name}`, `pi_${name}`]
    const planned = {
      ...({ id, accountId: account.id, itemKind: 'pack', itemId: 'sim' } as const),
      ...{ stripePrice: PRICE, micros: micros(CREDITS_MICROS), expiresDays: null },
      ...{ successUrl: 'https://x', cancelUrl: 'https://x', requestKey: null, requestHash: '' },
    }
    const opened = { id, sessionId: session, url: 'https://pay', amount: PAID_CENTS }
    await checkoutRows.plan(db, planned, scheduler.nowMs)
    const openedUntil = { ...opened, currency: 'usd', expiresAtMs: scheduler.nowMs + 3_600_000 }
    await checkoutRows.open(db, openedUntil, scheduler.nowMs)
    this.#shop.addSession(session, [{ id: 'li_1', price: PRICE, quantity: 1 }], {
      amountSubtotal: PAID_CENTS,
      amountTotal: PAID_CENTS,
      checkoutId: id,
    })
    this.#shop.addPayment(payment, session, PAID_CENTS)
    this.#purchases.push({ accountId: account.id, session, payment })
    this.#tell('checkout.session.completed', session)
    this.#tell('payment_intent.succeeded', payment)
  }

  /** Something happens to money that was paid: refunds, disputes, and their undoing. */
  change(): void {
    const { scheduler, ids } = this.#world
    const purchase = this.#purchases[scheduler.below(this.#purchases.length)]
    if (purchase === undefined) return
    const paid = this.#shop.payment(purchase.payment)
    const [refund] = paid.refunds
    const [dispute] = paid.disputes
    const luck = scheduler.random()
    if (luck < 0.4) {
      const id = `re_${ids.uuid()}`
      paid.refunds.push({ id, amount: scheduler.between(1, PAID_CENTS / 2), stands: true })
      this.#tell('refund.created', id)
    } else if (luck < 0.6 && refund !== undefined) {
      refund.stands = false
      this.#tell('refund.failed', refund.id)
    } else if (dispute === undefined) {
      const withdrawn = scheduler.between(1, PAID_CENTS)
      const id = `dp_${purchase.payment}`
      paid.disputes = [{ id, status: 'needs_response', amount: withdrawn, withdrawn }]
      this.#tell('charge.dispute.funds_withdrawn', id)
    } else {
      paid.disputes = [{ ...dispute, status: 'won', withdrawn: 0 }]
      this.#tell('charge.dispute.closed', dispute.id)
    }
  }

  #tell(type: string, objectId: string): void {
    this.#events += 1
    const id = `evt_${this.#world.ids.uuid().replaceAll('-', '')}${this.#events}`
    this.#webhooks.push({ id, type, objectId })
  }

  /** One delivery of one webhook, out of order, to any gateway. */
  async deliver(gateway: SimGateway): Promise<void> {
    const { scheduler, ids } = this.#world
    const webhook = this.#webhooks[scheduler.below(this.#webhooks.length)]
    if (webhook === undefined) return
    const { id, type, objectId } = webhook
    const event = {
      ...{ id, type, objectId, stripeAccount: null, apiVersion: null },
      ...{ livemode: false, isThin: false, occurredAtMs: scheduler.nowMs },
    }
    const payload = JSON.stringify(snapshot(type, objectId, { id }))
    const inbox = makeInbox({ db: gateway.db, ids })
    try {
      await inbox.store({ event, payload, source: 'webhook', ignored: null }, gateway.clock.now())
    } catch {
      return // not answered with 2xx: delivered again
    }
    const at = this.#webhooks.indexOf(webhook)
    if (at >= 0 && (scheduler.calm || scheduler.chance(0.7))) this.#webhooks.splice(at, 1)
  }

  /** I3 and I5: what each payment brought is what Stripe says in the end, and no event is left. */
  async judge(): Promise<string[]> {
    const { db } = this.#world
    const breaches: string[] = []
    for (const { accountId, payment, session } of this.#purchases) {
      const facts = this.#shop.factsOf(payment)
      const back = takenBack(micros(CREDITS_MICROS), facts)
      const owed = CREDITS_MICROS - back.refundMicros - back.disputeMicros
      const [row] = await db.query(
        `SELECT coalesce(sum(micros), 0)::int AS got FROM ledger_entries
         WHERE account_id = $1 AND reference_type = 'sale' AND reference_id = $2`,
        [accountId, `checkout:${session}`],
      )
      if (row?.got !== owed) {
        breaches.push(`I5 ${payment} brought ${String(row?.got)}, owed ${owed}`)
      }
    }
    const left = await db.query("SELECT id, outcome FROM stripe_events WHERE state <> 'done'")
    for (const { id, outcome } of left) breaches.push(`event ${String(id)} ${String(outcome)}`)
    return breaches
  }
}
