import { afterAll, beforeAll, expect, test } from 'vitest'
import { makePlanBooks } from '../../src/access/plans/book.ts'
import { accessConfigSchema, plansSchema } from '../../src/access/plans/config.ts'
import { makeEntitle } from '../../src/access/plans/entitle.ts'
import { makeCatalogue } from '../../src/billing/catalogue.ts'
import { checkoutRows } from '../../src/billing/checkout-rows.ts'
import { packsSchema, stripeConfigSchema } from '../../src/billing/config.ts'
import { makeEffects } from '../../src/billing/effects/effects.ts'
import { subjectOf } from '../../src/billing/effects/subject.ts'
import { makeFindings } from '../../src/billing/findings.ts'
import { makeRandom } from '../../src/demo/stripe/random.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import { expectSound, T0 } from '../ledger/support.ts'
import { testDb, type TestDb } from '../store/databases.ts'
import { activeSubscription, makeShop, paidInvoice, PERIOD_END, planLine } from './shop.ts'
import { countedHooks, ids } from './support.ts'

/**
 * Every order in which the events of one history can come. Stripe goes on while they are on their
 * way: an event finds what it tells of, or anything later, never less. Histories of so many orders
 * that not all are run every time are sampled: FAREBOX_ALL_ORDERS says of how many, or `all`.
 */
const ASKED = process.env.FAREBOX_ALL_ORDERS ?? '40'
const SAMPLE = ASKED === 'all' ? Infinity : Number(ASKED)
/** So many are run whatever is asked. */
const ORDERS_MIN = 120
/** FAREBOX_SEED draws the same sample again. */
const SEED = Number(process.env.FAREBOX_SEED ?? Math.floor(Math.random() * 2 ** 31))
const AT_ONCE = 6

const PACK = 10_000_001
const PLAN = 100_000_000

let own: TestDb
beforeAll(async () => {
  own = await testDb('postgres', 12)
})
afterAll(() => own[Symbol.asyncDispose]())

async function makeWorld() {
  const { db } = own
  const shop = makeShop()
  const plans = plansSchema.parse([
    { id: 'small', stripe_prices: ['price_small'], included_credits: 100 },
  ])
  const packs = packsSchema.parse([
    { id: 'starter', stripe_price: 'price_starter', credits: '10.000001' },
  ])
  const stripe = stripeConfigSchema.parse({})
  const catalogue = makeCatalogue({ packs, plans, stripe })
  const clock = { now: () => T0, monotonicMs: () => 0, after: () => () => undefined }
  const tell = () => Promise.resolve()
  const entitle = makeEntitle({ db, ids, clock, books: makePlanBooks(), tell })
  await entitle.publish({ plans, access: accessConfigSchema.parse({}), stripe })
  const makeProcess = () =>
    makeEffects({
      ...{ db, reader: shop.reader, invoices: shop.invoiceReader, recharges: shop.recharges },
      ...{ ids, clock, tell, log: silentLog, hooks: countedHooks(), entitle: entitle.entitle },
      catalogue: () => catalogue,
      findings: makeFindings({ db, ids, clock }),
      reload: () => Promise.resolve(),
    })
  /** Two processes: an event's second delivery is worked off by the other one. */
  const processes = [makeProcess(), makeProcess()] as const
  return { db, shop, entitle, processes }
}
type World = Awaited<ReturnType<typeof makeWorld>>

/** An event, and what is the case at Stripe from then on. */
interface Step {
  readonly type: string
  readonly object: string
  readonly happen?: () => void
}
interface Story {
  readonly account: string
  readonly steps: readonly Step[]
  /** Credits in the end, micros, and how the account stands. */
  readonly posted: number
  readonly status: string
  readonly plan?: string
}
type Begin = (world: World) => Promise<Story>

async function addAccount({ db }: World, name: string): Promise<{ id: string; customer: string }> {
  const [id, customer] = [`acct_${name}`, `cus_${name}`]
  await db.query(
    `INSERT INTO accounts (id, name, stripe_customer_id, changed_at, created_at)
     VALUES ($1, $1, $2, $3, $3)`,
    [id, customer, new Date(T0)],
  )
  return { id, customer }
}

/** A checkout of ours, whose session is open and whose payment has begun. */
async function purchase(world: World) {
  const { db, shop } = world
  const name = ids.uuid().replaceAll('-', '')
  const { id: accountId, customer } = await addAccount(world, name)
  const [id, session, payment] = [`fbco_${name}`, `cs_${name}`, `pi_${name}`]
  const item = { itemKind: 'pack', itemId: 'starter', stripePrice: 'price_starter' } as const
  const urls = { successUrl: 'https://x.example/', cancelUrl: 'https://x.example/' }
  const asked = { requestKey: null, requestHash: '', expiresDays: null, micros: micros(PACK) }
  await checkoutRows.plan(db, { id, accountId, ...item, ...urls, ...asked }, T0)
  const opened = { id, sessionId: session, url: 'https://x.example/', expiresAtMs: T0 + 1 }
  await checkoutRows.open(db, { ...opened, amount: 1_000, currency: 'usd' }, T0)
  const lines = [{ id: 'li_1', price: 'price_starter', quantity: 1 }]
  const facts = { checkoutId: id, customer }
  const open = { status: 'open', paymentStatus: 'unpaid', paymentIntent: null }
  shop.addSession(session, lines, { ...facts, ...open })
  shop.addPayment(payment, session, 1_000, 'processing')
  const stripe = shop.payment(payment)
  const [charge, refund, dispute] = [`ch_${name}`, `re_${name}`, `dp_${name}`]
  const disputed = { id: dispute, status: 'needs_response', amount: 400, withdrawn: 0 }
  const pays = (): void => {
    stripe.status = 'succeeded'
  }
  const steps = {
    created: { type: 'payment_intent.created', object: payment },
    linked: { type: 'customer.updated', object: customer },
    charged: { type: 'charge.succeeded', object: charge, happen: pays },
    paid: { type: 'payment_intent.succeeded', object: payment, happen: pays },
    completed: {
      ...{ type: 'checkout.session.completed', object: session },
      happen: () => {
        shop.addSession(session, lines, facts)
      },
    },
    refunded: {
      ...{ type: 'refund.created', object: refund },
      happen: () => stripe.refunds.push({ id: refund, amount: 300, stands: true }),
    },
    chargeRefunded: { type: 'charge.refunded', object: charge },
    refundUpdated: { type: 'refund.updated', object: refund },
    disputed: {
      ...{ type: 'charge.dispute.created', object: dispute },
      happen: () => stripe.disputes.push(disputed),
    },
    withdrawn: {
      ...{ type: 'charge.dispute.funds_withdrawn', object: dispute },
      happen: () => {
        disputed.withdrawn = 400
      },
    },
    reinstated: {
      ...{ type: 'charge.dispute.funds_reinstated', object: dispute },
      happen: () => {
        Object.assign(disputed, { withdrawn: 0, status: 'won' })
      },
    },
    won: { type: 'charge.dispute.closed', object: dispute },
    lost: {
      ...{ type: 'charge.dispute.closed', object: dispute },
      happen: () => {
        disputed.status = 'lost'
      },
    },
  } satisfies Record<string, Step>
  return { accountId, steps }
}

/** What stays of a pack of which `back` cents of ten dollars went back. */
const left = (back: number): number => PACK - Math.round((PACK * back) / 1_000)

const ofPurchase =
  (
    choose: (steps: Awaited<ReturnType<typeof purchase>>['steps']) => readonly Step[],
    ends: Pick<Story, 'posted' | 'status'>,
  ): Begin =>
  async (world) => {
    const { accountId, steps } = await purchase(world)
    return { account: accountId, steps: choose(steps), ...ends }
  }

const NEXT = { periodStartMs: PERIOD_END, periodEndMs: Date.UTC(2026, 2, 1) }

/** Two periods, the second of which is paid at the second try. */
const twoPeriods: Begin = async (world) => {
  const { shop } = world
  const name = ids.uuid().replaceAll('-', '')
  const { id: account, customer } = await addAccount(world, name)
  const [sub, first, second] = [`sub_${name}`, `in_1${name}`, `in_2${name}`]
  const stands =
    (status: string, isNext: boolean, owedSinceMs: number | null = null) =>
    () => {
      const fresh = activeSubscription(sub, customer, 'price_small', { status, owedSinceMs })
      const items = isNext ? fresh.items.map((one) => ({ ...one, ...NEXT })) : fresh.items
      shop.subscriptions.set(sub, { ...fresh, items })
    }
  const invoice = (id: string, isPaid: boolean, line = {}) => {
    const lines = [planLine('price_small', line)]
    const state = isPaid ? {} : ({ isPaid, status: 'open', paid: 0 } as const)
    shop.invoices.set(id, paidInvoice(id, customer, sub, lines, state))
  }
  stands('incomplete', false)()
  invoice(first, false)
  const changed = { type: 'customer.subscription.updated', object: sub }
  const failed = (): void => {
    stands('past_due', true, PERIOD_END)()
    invoice(second, false, NEXT)
  }
  const steps: readonly Step[] = [
    { type: 'customer.subscription.created', object: sub },
    {
      ...{ type: 'invoice.paid', object: first },
      happen: () => {
        invoice(first, true)
        stands('active', false)()
      },
    },
    changed,
    { type: 'invoice.payment_failed', object: second, happen: failed },
    { type: 'invoice.payment_action_required', object: second },
    changed,
    {
      ...{ type: 'invoice.paid', object: second },
      happen: () => {
        invoice(second, true, NEXT)
        stands('active', true)()
      },
    },
    changed,
  ]
  return { account, steps, posted: 2 * PLAN, status: 'active', plan: 'small' }
}

const STORIES: readonly (readonly [string, number, Begin])[] = [
  [
    'a purchase',
    120,
    ofPurchase((s) => [s.created, s.charged, s.paid, s.completed, s.linked], {
      ...{ posted: PACK, status: 'active' },
    }),
  ],
  [
    'a purchase and its refund',
    120,
    ofPurchase((s) => [s.paid, s.completed, s.refunded, s.chargeRefunded, s.refundUpdated], {
      ...{ posted: left(300), status: 'active' },
    }),
  ],
  [
    'a purchase, a dispute that is lost, and a refund',
    5_040,
    ofPurchase(
      (s) => [s.paid, s.completed, s.disputed, s.withdrawn, s.refunded, s.chargeRefunded, s.lost],
      { posted: left(700), status: 'frozen' },
    ),
  ],
  [
    'a purchase, a refund, and a dispute that is won',
    40_320,
    ofPurchase(
      (s) => [
        ...[s.paid, s.completed, s.refunded, s.chargeRefunded],
        ...[s.disputed, s.withdrawn, s.reinstated, s.won],
      ],
      { posted: left(300), status: 'active' },
    ),
  ],
  ['two periods of a plan with a failed payment between', 40_320, twoPeriods],
]

/** The `nth` of all orders of `count` things. */
function orderOf(count: number, nth: number): number[] {
  const things = Array.from({ length: count }, (_, index) => index)
  const order: number[] = []
  for (let rest = nth; things.length > 0;) {
    const place = rest % things.length
    rest = Math.floor(rest / things.length)
    order.push(...things.splice(place, 1))
  }
  return order
}

/** Tells a story in one order, every event twice, and answers how it ended. */
async function tellStory(world: World, begin: Begin, nth: number) {
  const { db, processes, entitle } = world
  const { account, steps, ...expected } = await begin(world)
  const order = orderOf(steps.length, nth)
  let happened = -1
  const [first, second] = processes
  const look = ({ type, object }: Step, by: typeof first) =>
    by.look(subjectOf(type, object), () => Promise.resolve())
  for (const at of order) {
    for (; happened < at; happened += 1) steps[happened + 1]?.happen?.()
    const step = steps[at]
    if (step !== undefined) await look(step, first)
  }
  for (const at of order) {
    const step = steps[at]
    if (step !== undefined) await look(step, second)
  }
  const [row] = await db.query('SELECT posted_micros, status FROM accounts WHERE id = $1', [
    account,
  ])
  const { entitlements } = await entitle.read(account, T0)
  const plan = expected.plan === undefined ? {} : { plan: entitlements.planId }
  const found = { posted: Number(row?.posted_micros), status: row?.status, ...plan }
  const types = order.map((at) => steps[at]?.type)
  return { told: { types, ...found }, expected: { types, ...expected } }
}

test.each(STORIES)(
  'every order of its events, twice, ends the same: %s',
  async (_name, count, begin) => {
    const world = await makeWorld()
    const isSampled = count > Math.max(SAMPLE, ORDERS_MIN)
    const random = makeRandom(SEED)
    const left = isSampled
      ? Array.from({ length: SAMPLE }, () => random.below(count))
      : Array.from({ length: count }, (_, nth) => nth)
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let nth = left.pop(); nth !== undefined; nth = left.pop()) {
          const { told, expected } = await tellStory(world, begin, nth)
          expect({ seed: SEED, ...told }).toEqual({ seed: SEED, ...expected })
        }
      }),
    )
    await expectSound(world.db)
  },
  120_000 + Math.min(SAMPLE, 40_320) * 500,
)
