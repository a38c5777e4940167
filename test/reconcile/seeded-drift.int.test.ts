import { afterAll, beforeAll, expect, test } from 'vitest'
import { FIELD_PAIRS, type FieldPair } from '../../src/reconcile/check-fields.ts'
import { DRIFT_KINDS, type DriftKind } from '../../src/reconcile/drift.ts'
import { makeDriftWorld, type DriftWorld } from './drift-world.ts'

const CREDIT = 1_000_000
const DAY_MS = 86_400_000
/** A whole hour that summaries have caught up with. */
const HOUR = new Date(Math.floor(Date.now() / 3_600_000 - 5) * 3_600_000).toISOString()

let its: DriftWorld
beforeAll(async () => {
  its = await makeDriftWorld()
})
afterAll(() => its.stop())

/** kind, subject, severity, direction, at stake. */
type Told = readonly [DriftKind, string, string, string | null, number | null]

interface Seeded {
  /** What is found, and nothing else. */
  readonly told: readonly Told[]
  /** The accounts that `--fix` may move, and what is so afterwards; null = it may not. */
  readonly fixes: { readonly accounts: readonly string[]; after(): Promise<void> } | null
  /** Puts it right by hand. */
  undo(): Promise<unknown>
}
type Seed = () => Promise<Seeded>

const review = (
  kind: DriftKind,
  subject: string,
  stake: number | null = null,
  direction: string | null = null,
): Told => [kind, subject, 'review', direction, stake]
const urgent = (
  kind: DriftKind,
  subject: string,
  stake: number | null = null,
  direction: string | null = 'paid_but_blocked',
): Told => [kind, subject, 'urgent', direction, stake]

/** Done and undone by statements; a person's to decide. */
async function byHand(told: readonly Told[], seed: string, undo: string): Promise<Seeded> {
  await its.db.query(seed)
  return { told, fixes: null, undo: () => its.db.query(undo) }
}

const nothing = () => Promise.resolve()
const mended = (account: string, after: () => Promise<void> = nothing): Seeded['fixes'] => ({
  ...{ accounts: [account], after },
})
/** The day of the only charge of a key. */
async function dayOf(key: string): Promise<number> {
  const [row] = await its.db.query('SELECT day FROM key_spend WHERE key_id = $1', [key])
  return Number(row?.day)
}

const posted = async (id: string) => (await its.world.books.balance(id))?.postedMicros

const sale = (account: string, key: string, payment: string, micros: number) =>
  `INSERT INTO stripe_sales (key, payment_id, account_id, item_kind, item_id, kind, micros,
     created_at) VALUES ('${key}', '${payment}', '${account}', 'pack', 'starter', 'paid', ${micros},
     now() - interval '1 hour');`

const payment = (account: string, id: string) =>
  `INSERT INTO stripe_payments (id, account_id, currency, paid_amount, refunded_amount,
     withdrawn_amount, paid_at, changed_at) VALUES ('${id}', '${account}', 'usd', 1000, 0, 0,
     now() - interval '1 hour', now() - interval '1 hour');`

const checkout = (account: string, id: string, session: string, state: string) =>
  `INSERT INTO checkout_sessions (id, account_id, item_kind, item_id, stripe_price, micros,
     success_url, cancel_url, request_hash, session_id, state, created_at, changed_at)
   VALUES ('${id}', '${account}', 'pack', 'starter', 'price_x', 7, 'x', 'x', 'x', '${session}',
     '${state}', now(), now());`

const report = (
  account: string,
  customer: string,
  event: string,
  identifier: string,
  hour: string = HOUR,
) =>
  `INSERT INTO meter_reports (id, sealing_id, identifier, account_id, customer_id, meter,
     event_name, dimensions, slot_at, rev, part, kind, value, overage_micros, at, sealed_at, state,
     sent_at)
   SELECT gen_random_uuid(), gen_random_uuid(), '${identifier}', '${account}', '${customer}',
     '${event}', '${event}', '{}', at, 1, 0, 'usage', 4, 4000000, at, at, 'sent', at
   FROM (SELECT '${hour}'::timestamptz AS at) it;`

/** A subscription of Stripe's as it is here, and what follows from it. */
async function linked(customer: string, account: string, id: string, status = 'active') {
  await its.db.query(
    `INSERT INTO subscriptions (id, account_id, customer_id, plan_id, stripe_price, quantity,
       status, current_period_start, current_period_end, cancel_at_period_end,
       is_collection_paused, started_at, changed_at)
     VALUES ($1, $2, $3, 'pro', $4, 1, $5, now() - interval '1 day', now() + interval '20 days',
       false, false, now() - interval '1 day', now() - interval '1 day')`,
    [id, account, customer, its.monthly.id, status],
  )
  await entitled(account)
}

async function entitled(account: string): Promise<void> {
  const { world } = its
  await world.db.tx((tx) => world.entitle.entitle(tx, account, world.clock.now()))
  await world.reload(account)
}

/** What is in Redis of an account or key, by hand. */
async function inRedis(kind: 'acct', id: string, field: string, by: number): Promise<void> {
  const { redis } = its.world
  const [key] = (await redis.send('KEYS', `fb:*:${kind}:${id}`)) as string[]
  if (key === undefined) throw new Error(`nothing in Redis of ${id}`)
  await redis.send('HINCRBY', key, field, String(by))
}

/** Reserved at the engine itself: no gateway renews or releases it. */
async function reserved(it: { accountId: string; keyId: string }, micros: number, leaseMs: number) {
  const { world } = its
  const holdId = world.ids.uuid()
  await world.credits.loads.key(it.accountId, it.keyId, 'missing')
  const want = (await world.books.balance(it.accountId))?.postedMicros
  if (want === undefined) throw new Error('no balance')
  const amount = (want - want + micros) as typeof want
  const reply = await world.engine.reserve({
    ...{
      holdId,
      accountId: it.accountId,
      keyId: it.keyId,
      wantMicros: amount,
      leastMicros: amount,
    },
    ...{ keySeq: 0, fitShares: 1, tokens: 1, leaseMs, owner: 'gone' },
    notAfterMs: (await world.engine.timeMs()) + 5_000,
  })
  expect(reply.kind).toBe('ok')
  return holdId
}

/** A receipt of some day long ago; what it cost the provider, in pico-dollars. */
const KINDS: Readonly<
  Record<
    Exclude<DriftKind, 'fields_differ' | 'reconcile_check_failed' | `provider_${string}`>,
    Seed
  >
> = {
  async ledger_balance() {
    const { accountId } = await its.charged()
    const [lot] = await its.db.query('SELECT id FROM lots WHERE account_id = $1', [accountId])
    const set = (by: string) =>
      `UPDATE lots SET remaining_micros = remaining_micros ${by} WHERE account_id = '${accountId}'`
    const told = [urgent('ledger_balance', accountId, null, null)]
    return byHand(
      [...told, urgent('ledger_balance', String(lot?.id), null, null)],
      set('- 5'),
      set('+ 5'),
    )
  },
  async ledger_hold() {
    const { keyId, holdId } = await its.charged()
    const set = (to: number) => `UPDATE usage SET micros = ${to} WHERE hold_id = '${holdId}'`
    const day = await dayOf(keyId)
    const told = [urgent('ledger_hold', holdId, null, null)]
    return byHand(
      [...told, review('key_spend_differs', `${keyId} day ${day}`)],
      set(999),
      set(1_000),
    )
  },
  async ledger_lines() {
    const { accountId } = await its.charged()
    const set = (by: string) =>
      `UPDATE usage SET version = version ${by} WHERE account_id = '${accountId}'`
    return byHand([review('ledger_lines', accountId)], set('+ 100'), set('- 100'))
  },
  async engine_available() {
    const { accountId } = await its.charged()
    await inRedis('acct', accountId, 'avail', 7)
    const told = [urgent('engine_available', accountId, null, null)]
    const after = async () => {
      const view = await its.world.engine.viewAccount(accountId)
      expect(view?.availableMicros).toBe(await posted(accountId))
    }
    return { told, fixes: mended(accountId, after), undo: nothing }
  },
  async engine_lease() {
    const it = await its.charged()
    const holdId = await reserved(it, 100, 1)
    const after = async () => {
      expect((await its.world.engine.viewAccount(it.accountId))?.holds).toEqual([])
    }
    return {
      told: [review('engine_lease', holdId)],
      fixes: mended(it.accountId, after),
      undo: nothing,
    }
  },
  async engine_below_limit() {
    const it = await its.charged()
    const limit = async (micros: number) => {
      await its.db.query('UPDATE accounts SET credit_limit_micros = $2 WHERE id = $1', [
        it.accountId,
        micros,
      ])
      await its.world.reload(it.accountId)
    }
    await limit(5)
    const holdId = await reserved(it, 10 * CREDIT - 1_000 + 5, 3_600_000)
    await limit(0)
    const undo = () =>
      its.world.engine.release({ holdId, accountId: it.accountId, keyId: it.keyId })
    return { told: [review('engine_below_limit', it.accountId)], fixes: null, undo }
  },
  async engine_fields() {
    const { accountId, keyId } = await its.charged()
    await its.db.query('UPDATE api_keys SET max_concurrency = 3 WHERE id = $1', [keyId])
    await its.db.query('UPDATE accounts SET credit_limit_micros = 77 WHERE id = $1', [accountId])
    const told = [review('engine_fields', accountId), review('engine_fields', keyId)]
    const after = async () => {
      expect((await its.world.engine.viewKey(accountId, keyId))?.maxConcurrency).toBe(3)
      expect((await its.world.engine.viewAccount(accountId))?.creditLimitMicros).toBe(77)
    }
    return { told, fixes: mended(accountId, after), undo: nothing }
  },
  async access_stored() {
    const { accountId } = await its.charged()
    await entitled(accountId)
    await its.db.query(`UPDATE entitlements SET models = '["x"]' WHERE account_id = $1`, [
      accountId,
    ])
    return { told: [review('access_stored', accountId)], fixes: mended(accountId), undo: nothing }
  },
  async access_cached() {
    const { accountId, keyId } = await its.charged()
    const ruled = { markup: null, planModels: null, planEndpoints: null }
    const old = { key: { keyId, models: ['gone'], endpoints: null }, ruled }
    its.world.copies.of = (id) => (id === accountId ? [old] : [])
    const undo = () => {
      its.world.copies.of = () => []
      return Promise.resolve()
    }
    return { told: [review('access_cached', keyId)], fixes: null, undo }
  },
  async key_spend_differs() {
    const { keyId } = await its.charged()
    const set = (by: string) =>
      `UPDATE key_spend SET micros = micros ${by} WHERE key_id = '${keyId}'`
    const day = await dayOf(keyId)
    return byHand([review('key_spend_differs', `${keyId} day ${day}`)], set('+ 1'), set('- 1'))
  },
  async sale_without_lot() {
    const { accountId } = await its.charged()
    const told = [
      urgent('sale_without_lot', 'checkout:cs_lost', 7),
      review('fields_differ', 'payment checkout:cs_lost'),
    ]
    const undo = `DELETE FROM stripe_sales WHERE key = 'checkout:cs_lost'`
    return byHand(told, sale(accountId, 'checkout:cs_lost', 'pi_lost', 7), undo)
  },
  async lot_without_sale() {
    const { accountId } = await its.charged()
    const [lot] = await its.db.query('SELECT reference_id AS id FROM lots WHERE account_id = $1', [
      accountId,
    ])
    const set = (type: string) =>
      `UPDATE lots SET reference_type = '${type}' WHERE account_id = '${accountId}'`
    const [was] = await its.db.query(
      'SELECT reference_type AS type FROM lots WHERE account_id = $1',
      [accountId],
    )
    const told = [review('lot_without_sale', String(lot?.id), 10 * CREDIT, 'unpaid_but_active')]
    return byHand(told, set('sale'), set(String(was?.type)))
  },
  async sale_amount_differs() {
    const { accountId } = await its.charged()
    const [was] = await its.db.query(
      'SELECT reference_type AS type, reference_id AS id FROM lots WHERE account_id = $1',
      [accountId],
    )
    const told = [
      review('sale_amount_differs', String(was?.id), 10 * CREDIT - 7),
      review('fields_differ', `payment ${String(was?.id)}`),
    ]
    const set = (type: string) =>
      `UPDATE lots SET reference_type = '${type}' WHERE account_id = '${accountId}'`
    const undo = `${set(String(was?.type))}; DELETE FROM stripe_sales WHERE account_id = '${accountId}'`
    return byHand(told, `${sale(accountId, String(was?.id), 'pi_lost', 7)} ${set('sale')}`, undo)
  },
  async checkout_state_differs() {
    const { accountId } = await its.charged()
    const undo = `DELETE FROM checkout_sessions WHERE id = 'co_1'`
    const told = [review('checkout_state_differs', 'co_1', 7)]
    return byHand(told, checkout(accountId, 'co_1', 'cs_1', 'granted'), undo)
  },
  async customer_link_differs() {
    const { accountId } = await its.charged()
    const seed = `INSERT INTO stripe_customers (account_id, idempotency_key, customer_id, planned_at)
      VALUES ('${accountId}', 'key', 'cus_other', now() - interval '1 hour')`
    const undo = `DELETE FROM stripe_customers WHERE account_id = '${accountId}'`
    return byHand([review('customer_link_differs', `${accountId} customer planned`)], seed, undo)
  },
  async several_subscriptions() {
    const { accountId, customer } = await its.buyer()
    for (const { id } of [await its.subscribe(customer), await its.subscribe(customer)]) {
      await its.side.mend('subscription', id)
    }
    const undo = async () => {
      for (const { id } of (await its.stripe.subscriptions.list({ customer })).data) {
        await its.stripe.subscriptions.cancel(id)
        await its.side.mend('subscription', id)
      }
    }
    return { told: [review('several_subscriptions', accountId)], fixes: null, undo }
  },
  async subscription_not_there() {
    const { accountId, customer } = await its.buyer()
    await linked(customer, accountId, 'sub_gone')
    const undo = async () => {
      await its.db.query('DELETE FROM subscriptions WHERE account_id = $1', [accountId])
      await entitled(accountId)
    }
    const told = [review('subscription_not_there', 'sub_gone', null, 'unpaid_but_active')]
    return { told, fixes: null, undo }
  },
  async subscription_ambiguous() {
    const [one, other] = [await its.buyer(), await its.buyer()]
    const { id } = await its.subscribe(one.customer)
    await its.side.mend('subscription', id)
    // Its customer is said to be another account's.
    const link = async (first: string | null, second: string | null) => {
      const text = 'UPDATE accounts SET stripe_customer_id = $2 WHERE id = $1'
      await its.db.query(text, [one.accountId, null])
      await its.db.query(text, [other.accountId, second])
      await its.db.query(text, [one.accountId, first])
    }
    await link(other.customer + '_x', one.customer)
    const told = [
      review('subscription_ambiguous', id),
      review('customer_link_differs', `${one.accountId} subscription ${id}`),
    ]
    return { told, fixes: null, undo: () => link(one.customer, other.customer) }
  },
  async subscription_price_unknown() {
    const { customer } = await its.buyer()
    const price = await its.stripe.prices.create({
      ...{ currency: 'usd', unit_amount: 500, product_data: { name: 'Other' } },
      recurring: { interval: 'month' },
    })
    const { id } = await its.stripe.subscriptions.create({
      customer,
      items: [{ price: price.id }],
    })
    const { customer: stranger } = await its.buyer()
    const others = await its.stripe.subscriptions.create({
      customer: stranger,
      items: [{ price: price.id }],
    })
    await its.db.query(
      'UPDATE accounts SET stripe_customer_id = NULL WHERE stripe_customer_id = $1',
      [stranger],
    )
    const told = [
      review('subscription_price_unknown', id, null, 'paid_but_blocked'),
      review('subscription_price_unknown', price.id),
    ]
    const undo = async () => {
      for (const one of [id, others.id]) await its.stripe.subscriptions.cancel(one)
    }
    return { told, fixes: null, undo }
  },
  async subscription_orphaned() {
    const { accountId, customer } = await its.buyer()
    const { id } = await its.subscribe(customer)
    await its.db.query('UPDATE accounts SET stripe_customer_id = NULL WHERE id = $1', [accountId])
    const told = [urgent('subscription_orphaned', id)]
    return { told, fixes: null, undo: () => its.stripe.subscriptions.cancel(id) }
  },
  async subscription_blocked() {
    const { accountId, customer } = await its.buyer()
    const { id } = await its.subscribe(customer)
    const after = async () => {
      const { entitlements } = await its.world.entitle.read(accountId, Date.now())
      expect(entitlements).toMatchObject({ state: 'active', planId: 'pro' })
    }
    return {
      told: [urgent('subscription_blocked', id)],
      fixes: mended(accountId, after),
      undo: nothing,
    }
  },
  async subscription_unpaid() {
    const { accountId, customer } = await its.buyer()
    const { id } = await its.subscribe(customer)
    await linked(customer, accountId, id)
    await its.stripe.subscriptions.cancel(id)
    const told = [review('subscription_unpaid', id, null, 'unpaid_but_active')]
    const after = async () => {
      const [row] = await its.db.query('SELECT status FROM subscriptions WHERE id = $1', [id])
      expect(row?.status).toBe('canceled')
    }
    return { told, fixes: mended(accountId, after), undo: nothing }
  },
  async subscription_differs() {
    const { accountId, customer } = await its.buyer()
    const { id } = await its.subscribe(customer)
    await linked(customer, accountId, id, 'trialing')
    return { told: [review('subscription_differs', id)], fixes: mended(accountId), undo: nothing }
  },
  async payment_not_granted() {
    const { accountId, customer } = await its.buyer()
    const id = await its.paid(customer)
    const after = async () => {
      expect(await posted(accountId)).toBe(100 * CREDIT)
    }
    return {
      ...{ told: [urgent('payment_not_granted', id, 100 * CREDIT)], undo: nothing },
      fixes: mended(accountId, after),
    }
  },
  async clawback_differs() {
    const { accountId, customer } = await its.buyer()
    const id = await its.paid(customer)
    await its.side.mend('payment', id)
    await its.stripe.refunds.create({ payment_intent: id, amount: 250 })
    const after = async () => {
      expect(await posted(accountId)).toBe(75 * CREDIT)
    }
    return {
      ...{ told: [review('clawback_differs', id, 25 * CREDIT)], undo: nothing },
      fixes: mended(accountId, after),
    }
  },
  async grant_without_payment() {
    const { accountId } = await its.charged()
    const told = [review('grant_without_payment', 'pi_made_up', 0, 'unpaid_but_active')]
    const undo = `DELETE FROM stripe_payments WHERE id = 'pi_made_up'`
    return byHand(told, payment(accountId, 'pi_made_up'), undo)
  },
  async meter_summary_differs() {
    const { accountId } = await its.charged()
    const stake = [4 * CREDIT, 'unpaid_but_active'] as const
    const told = [
      review('meter_summary_differs', `ai_credits cus_metered ${HOUR}`, ...stake),
      urgent('overage_differs', accountId, 4 * CREDIT, null),
    ]
    const undo = `DELETE FROM meter_reports WHERE identifier = 'lost'`
    return byHand(told, report(accountId, 'cus_metered', 'ai_credits', 'lost'), undo)
  },
  async meter_not_there() {
    const { accountId } = await its.charged()
    const told = [
      review('meter_not_there', 'nowhere cus_metered', 4 * CREDIT, 'unpaid_but_active'),
      urgent('overage_differs', accountId, 4 * CREDIT, null),
    ]
    const undo = `DELETE FROM meter_reports WHERE identifier = 'nowhere'`
    return byHand(told, report(accountId, 'cus_metered', 'nowhere', 'nowhere'), undo)
  },
  async overage_unbilled() {
    const { accountId } = await its.charged()
    const hour = new Date(Date.parse(HOUR) - 50 * DAY_MS).toISOString()
    const stake = [4 * CREDIT, 'unpaid_but_active'] as const
    const told = [
      urgent('overage_unbilled', `${accountId} ai_credits`, ...stake),
      review('meter_summary_differs', `ai_credits cus_unbilled ${hour}`, ...stake),
      urgent('overage_differs', accountId, 4 * CREDIT, null),
    ]
    const undo = `DELETE FROM meter_reports WHERE identifier = 'unbilled'`
    return byHand(told, report(accountId, 'cus_unbilled', 'ai_credits', 'unbilled', hour), undo)
  },
  async usage_not_reported() {
    const { accountId } = await its.charged()
    const subject = `${accountId} ai_credits unsealed`
    const seed = `INSERT INTO meter_outbox (account_id, plan_id, meter, mode, dimensions, hold_id,
        used_at, quantity, overage_micros, created_at)
      SELECT '${accountId}', 'payg', 'ai_credits', 'usage', '{}', gen_random_uuid(), at, 5000000, 0,
        at FROM (SELECT now() - interval '2 days' AS at) it`
    const undo = `DELETE FROM meter_outbox WHERE account_id = '${accountId}'`
    return byHand([review('usage_not_reported', subject, 0, 'unpaid_but_active')], seed, undo)
  },
  async overage_differs() {
    const { accountId } = await its.charged()
    const set = (micros: number) => `DELETE FROM meter_surplus WHERE account_id = '${accountId}';
      INSERT INTO meter_surplus VALUES ('${accountId}', 'ai_credits', ${micros})`
    const told = [urgent('overage_differs', accountId, 7, null)]
    return byHand(told, set(7), set(0))
  },
}

/** A pair that is compared where entries are summed anyway. */
const IN_THE_LEDGER = 'fields-lot-expiry'

/** A pair of fields, by the statements that set them apart and together again. */
const pair = (
  name: FieldPair | typeof IN_THE_LEDGER,
  of: (it: Awaited<ReturnType<DriftWorld['charged']>>, lot: string) => [string, string, string],
): Seed =>
  async function seed() {
    const it = await its.charged()
    const [lot] = await its.db.query('SELECT id FROM lots WHERE account_id = $1', [it.accountId])
    const [subject, apart, together] = of(it, String(lot?.id))
    return byHand(
      [review('fields_differ', `${name.replace('fields-', '')} ${subject}`)],
      apart,
      together,
    )
  }

const recharge = (account: string, id: string, month: string, state: string) =>
  `INSERT INTO recharges (account_id, state, reason, due_at, changed_at)
     VALUES ('${account}', 'off', 'test', now(), now());
   INSERT INTO recharge_attempts (id, account_id, month, pack_id, stripe_price, micros, return_url,
     state, idempotency_key, customer_id, payment_method, amount, currency, payment_intent, due_at,
     planned_at, called_at, last_call_at, changed_at)
   VALUES ('${id}', '${account}', '${month}', 'starter', 'p', 7, 'x', '${state}', '${id}', 'c', 'm',
     1, 'usd', '${id}', now(), '2026-01-31T23:59:00Z', now(), now(), now())`
const unrecharge = (account: string) =>
  `DELETE FROM recharge_attempts WHERE account_id = '${account}';
   DELETE FROM recharges WHERE account_id = '${account}'`

const FIELDS: Readonly<Record<FieldPair | typeof IN_THE_LEDGER, Seed>> = {
  // The engine is given what posting lets through: loaded anew, only the pair differs.
  'fields-plan-overage': async () => {
    const { accountId } = await its.charged()
    const set = async (micros: number) => {
      await its.db.query('UPDATE accounts SET plan_overage_limit_micros = $2 WHERE id = $1', [
        accountId,
        micros,
      ])
      await its.world.reload(accountId)
    }
    await set(5)
    const told = [review('fields_differ', `plan-overage ${accountId}`)]
    return { told, fixes: null, undo: () => set(0) }
  },
  'fields-meter-plan': pair('fields-meter-plan', ({ accountId }) => [
    accountId,
    `UPDATE accounts SET meter_plan = 'other' WHERE id = '${accountId}'`,
    `UPDATE accounts SET meter_plan = NULL WHERE id = '${accountId}'`,
  ]),
  'fields-next-change': pair('fields-next-change', ({ accountId }) => [
    accountId,
    `UPDATE lots SET expires_at = now() + interval '9 days' WHERE account_id = '${accountId}'`,
    `UPDATE lots SET expires_at = NULL WHERE account_id = '${accountId}'`,
  ]),
  'fields-lot-grant': pair('fields-lot-grant', (_, lot) => [
    lot,
    `UPDATE lots SET granted_micros = granted_micros + 1 WHERE id = '${lot}'`,
    `UPDATE lots SET granted_micros = granted_micros - 1 WHERE id = '${lot}'`,
  ]),
  'fields-lot-expiry': pair('fields-lot-expiry', (_, lot) => [
    lot,
    `UPDATE lots SET expired_micros = 3 WHERE id = '${lot}'`,
    `UPDATE lots SET expired_micros = 0 WHERE id = '${lot}'`,
  ]),
  'fields-answer': pair('fields-answer', ({ accountId }) => [
    `${accountId} key`,
    `INSERT INTO idempotent_requests (account_id, key, hold_id, body_hash, lease_until, state,
       expires_at) VALUES ('${accountId}', 'key', gen_random_uuid(), '\\x00', now(), 'charged',
       now() + interval '1 day')`,
    `DELETE FROM idempotent_requests WHERE account_id = '${accountId}'`,
  ]),
  'fields-work': pair('fields-work', ({ accountId, keyId, holdId }) => [
    holdId,
    `INSERT INTO work_holds (id, account_id, key_id, maker, state, micros, day, reserved_at, ttl_ms,
       lease_until, metadata, request_hash, draft, settled_micros, created_at, changed_at)
     VALUES ('${holdId}', '${accountId}', '${keyId}', 'client', 'settled', 5, 1, now(), 1, now(),
       '{}', 'x', '{}', 999, now(), now())`,
    `DELETE FROM work_holds WHERE id = '${holdId}'`,
  ]),
  'fields-checkout': async () => {
    const { accountId, customer } = await its.buyer()
    const id = await its.paid(customer)
    await its.side.mend('payment', id)
    const [row] = await its.db.query('SELECT key FROM stripe_sales WHERE payment_id = $1', [id])
    const session = String(row?.key).replace('checkout:', '')
    const told = [review('fields_differ', 'checkout co_2')]
    const undo = `DELETE FROM checkout_sessions WHERE id = 'co_2'`
    return byHand(told, checkout(accountId, 'co_2', session, 'granted'), undo)
  },
  'fields-sale': async () => {
    const { customer } = await its.buyer()
    const id = await its.paid(customer)
    await its.side.mend('payment', id)
    const [row] = await its.db.query('SELECT key FROM stripe_sales WHERE payment_id = $1', [id])
    const set = (to: string) => `UPDATE stripe_sales SET kind = '${to}' WHERE payment_id = '${id}'`
    const told = [review('fields_differ', `sale ${String(row?.key)}`)]
    return byHand(told, set('included'), set('paid'))
  },
  // With a sale that has no lot either.
  'fields-payment': async () => {
    const { accountId } = await its.charged()
    const told = [
      urgent('sale_without_lot', 'checkout:cs_free', 9),
      review('fields_differ', 'payment checkout:cs_free'),
    ]
    const undo = `DELETE FROM stripe_sales WHERE key = 'checkout:cs_free'`
    return byHand(told, sale(accountId, 'checkout:cs_free', 'cs_free', 9), undo)
  },
  'fields-dispute': async () => {
    const { accountId, customer } = await its.buyer()
    const id = await its.paid(customer)
    await its.side.mend('payment', id)
    const told = [review('fields_differ', `dispute ${id}`)]
    const seed = `INSERT INTO stripe_disputes (id, payment_id, account_id, status, amount, withdrawn,
      is_freezing, changed_at) VALUES ('dp_x', '${id}', '${accountId}', 'won', 5, 5, false, now())`
    return byHand(told, seed, `DELETE FROM stripe_disputes WHERE id = 'dp_x'`)
  },
  'fields-recharge': pair('fields-recharge', ({ accountId }) => [
    'pi_recharge',
    recharge(accountId, 'pi_recharge', '2026-01', 'succeeded'),
    unrecharge(accountId),
  ]),
  'fields-recharge-month': pair('fields-recharge-month', ({ accountId }) => [
    'pi_month',
    recharge(accountId, 'pi_month', '2026-02', 'failed'),
    unrecharge(accountId),
  ]),
  'fields-key-revoked': pair('fields-key-revoked', ({ keyId }) => [
    keyId,
    `UPDATE api_keys SET revoked_at = now() WHERE id = '${keyId}'`,
    `UPDATE api_keys SET revoked_at = NULL WHERE id = '${keyId}'`,
  ]),
  'fields-lot-state': pair('fields-lot-state', (_, lot) => [
    lot,
    `UPDATE lots SET expired_at = now() WHERE id = '${lot}'`,
    `UPDATE lots SET expired_at = NULL WHERE id = '${lot}'`,
  ]),
  // The engine is given the status: loaded anew, only the pair differs.
  'fields-freeze': async () => {
    const { accountId } = await its.charged()
    const set = async (status: string, reason: string | null) => {
      const text = 'UPDATE accounts SET status = $2, status_reason = $3 WHERE id = $1'
      await its.db.query(text, [accountId, status, reason])
      await its.world.reload(accountId)
    }
    await set('frozen', 'dispute dp_none')
    const told = [review('fields_differ', `freeze ${accountId}`)]
    return { told, fixes: null, undo: () => set('active', null) }
  },
  'fields-dispute-account': async () => {
    const [one, other] = [await its.buyer(), await its.charged()]
    const id = await its.paid(one.customer)
    await its.side.mend('payment', id)
    const seed = `INSERT INTO stripe_disputes (id, payment_id, account_id, status, amount, withdrawn,
      is_freezing, changed_at) VALUES ('dp_y', '${id}', '${other.accountId}', 'won', 5, 0, false,
      now())`
    const told = [review('fields_differ', 'dispute-account dp_y')]
    return byHand(told, seed, `DELETE FROM stripe_disputes WHERE id = 'dp_y'`)
  },
  'fields-sale-subscription': async () => {
    const [one, other] = [await its.buyer(), await its.buyer()]
    const paid = await its.paid(one.customer)
    await its.side.mend('payment', paid)
    const { id } = await its.subscribe(other.customer)
    await its.side.mend('subscription', id)
    const [row] = await its.db.query('SELECT key FROM stripe_sales WHERE payment_id = $1', [paid])
    const set = (to: string) =>
      `UPDATE stripe_sales SET subscription_id = ${to} WHERE payment_id = '${paid}'`
    const told = [review('fields_differ', `sale-subscription ${String(row?.key)}`)]
    return byHand(told, set(`'${id}'`), set('NULL'))
  },
  'fields-draft': pair('fields-draft', ({ accountId, holdId }) => [
    holdId,
    `INSERT INTO background_jobs (hold_id, account_id, response_id, micros, day, reserved_at, draft,
       job, due_at, created_at) VALUES ('${holdId}', '${accountId}', 'resp_x', 5, 1, now(),
       '{"accountId":"acct_other","holdId":"${holdId}"}', '{}', now() + interval '9 days', now())`,
    `DELETE FROM background_jobs WHERE hold_id = '${holdId}'`,
  ]),
  'fields-claim-sale': async () => {
    const [one, other] = [await its.buyer(), await its.charged()]
    const paid = await its.paid(one.customer)
    await its.side.mend('payment', paid)
    const [row] = await its.db.query('SELECT key FROM stripe_sales WHERE payment_id = $1', [paid])
    const id = its.world.ids.uuid()
    const seed = `INSERT INTO key_claims (id, purchase, account_id, item_kind, item_id, limits, state,
      created_at) VALUES ('${id}', '${String(row?.key)}', '${other.accountId}', 'pack', 'starter',
      '{}', 'open', now())`
    const told = [review('fields_differ', `claim-sale ${id}`)]
    return byHand(told, seed, `DELETE FROM key_claims WHERE id = '${id}'`)
  },
  'fields-claim': async () => {
    const [one, other] = [await its.charged(), await its.charged()]
    const id = its.world.ids.uuid()
    const seed = `INSERT INTO key_claims (id, purchase, account_id, item_kind, item_id, limits, state,
      key_id, claimed_by, claimed_at, created_at) VALUES ('${id}', 'checkout:x', '${one.accountId}',
      'pack', 'starter', '{}', 'claimed', '${other.keyId}', '\\x00', now(), now())`
    const told = [review('fields_differ', `claim ${id}`)]
    return byHand(told, seed, `DELETE FROM key_claims WHERE id = '${id}'`)
  },
}

const PROVIDER_DAY = Math.floor(Date.now() / DAY_MS) - 50

/** By a comparison of their own: seeds of the export and of the receipts. */
const COSTS: Readonly<
  Record<Extract<DriftKind, `provider_${string}`>, [bigint | null, bigint | null]>
> = {
  provider_cost_differs: [3_000_000_000_000n, 1_000_000_000_000n],
  provider_cost_unrecorded: [2_000_000_000_000n, null],
  provider_cost_unbilled: [null, 2_000_000_000_000n],
}

const run = async (fix = false) => {
  const done = await its.reconcile.begin({ kind: 'manual', since_ms: null, fix })
  for (let now = done; now?.check != null; now = await its.reconcile.step()) {
    // Carried on until it is done.
  }
  return its.reconcile.last()
}

/** One line each: differences read well. */
const lines = (all: readonly Told[]): string[] => all.map((one) => one.join(' | ')).toSorted()

const findings = async (state: string): Promise<string[]> =>
  lines(
    (
      await its.db.query(
        `SELECT kind, subject, severity, direction, at_stake_micros AS stake FROM findings
         WHERE state = $1 AND kind NOT LIKE 'stripe\\_%'`,
        [state],
      )
    ).map(
      (row) =>
        [...[row.kind, row.subject, row.severity, row.direction, row.stake]] as unknown as Told,
    ),
  )

test('every kind of drift has a seed', () => {
  const apart = ['fields_differ', 'reconcile_check_failed']
  const seeded = [...Object.keys(KINDS), ...Object.keys(COSTS), ...apart]
  expect(seeded.toSorted()).toEqual([...DRIFT_KINDS].toSorted())
  expect(Object.keys(FIELDS).toSorted()).toEqual([...FIELD_PAIRS, IN_THE_LEDGER].toSorted())
})

test('drift in every pair of books at once is found as it is; what may be is put right, and nothing else', async () => {
  expect(await run()).toMatchObject({ found: 0 })
  const seeded: Seeded[] = []
  for (const seed of [...Object.values(KINDS), ...Object.values(FIELDS)]) seeded.push(await seed())
  const told = lines(seeded.flatMap((one) => one.told))

  const moved = seeded.flatMap(({ fixes }) => fixes?.accounts ?? [])
  const ofOthers = async () =>
    [...(await its.kept())].map(([table, rows]) => [
      table,
      rows.filter((row) => !moved.some((account) => row.includes(account))),
    ])
  const before = await ofOthers()
  await run(true)
  expect(await ofOthers()).toEqual(before)
  expect([...(await findings('open')), ...(await findings('fixed'))].toSorted()).toEqual(told)
  const [fixed, left] = [true, false].map((is) =>
    lines(seeded.filter(({ fixes }) => (fixes !== null) === is).flatMap((one) => one.told)),
  )
  expect(await findings('fixed')).toEqual(fixed)
  expect(await findings('open')).toEqual(left)
  const audited = await its.db.query(
    `SELECT subject FROM audit_log WHERE actor = 'reconcile' AND action LIKE 'reconcile.%'`,
  )
  const subjects = new Set(audited.map(({ subject }) => String(subject)))
  expect([...subjects].toSorted()).toEqual(
    [...new Set((fixed ?? []).map((one) => one.split(' | ')[1]))].toSorted(),
  )
  for (const { fixes } of seeded) await fixes?.after()

  for (const one of seeded) await one.undo()
  expect(await run()).toMatchObject({ found: 0, fixed: 0 })
  expect(await findings('open')).toEqual([])
  expect(await findings('gone')).toEqual(left)
})

test.each(Object.entries(COSTS))(
  '%s is found, and gone with the next export that agrees',
  async (kind, [exported, receipts]) => {
    const model = kind.replaceAll('_', '-')
    const { holdId } = await its.charged()
    const at = (PROVIDER_DAY * DAY_MS + 43_200_000).toString(16).padStart(12, '0')
    if (receipts !== null) {
      await its.db.query(
        `INSERT INTO usage SELECT (jsonb_populate_record(u, jsonb_build_object('hold_id', $2::text,
         'day', $3::int, 'model', $4::text, 'provider_cost_pico_usd', $5::text))).*
       FROM usage u WHERE hold_id = $1`,
        [
          holdId,
          `${at.slice(0, 8)}-${at.slice(8)}${holdId.slice(13)}`,
          PROVIDER_DAY,
          model,
          String(receipts),
        ],
      )
    }
    const compare = (pico: bigint | null) =>
      its.world.costs.compare({
        ...{ provider: 'openai', fromDay: PROVIDER_DAY, toDay: PROVIDER_DAY, skipped: [] },
        lines: pico === null ? [] : [{ day: PROVIDER_DAY, model, pico }],
      })
    await compare(exported)
    const day = new Date(PROVIDER_DAY * DAY_MS).toISOString().slice(0, 10)
    expect(await findings('open')).toEqual([
      `${kind} | openai ${day} ${model} | review |  | ${200 * CREDIT}`,
    ])
    await compare(receipts)
    expect(await findings('open')).toEqual([])
    await its.db.query('DELETE FROM usage WHERE model = $1', [model])
  },
)

test('a comparison that fails is told, and gone when it works again', async () => {
  const rename = (from: string, to: string) => its.db.query(`ALTER TABLE ${from} RENAME TO ${to}`)
  const carriedOn = async () => {
    const begun = its.reconcile.begin({ kind: 'manual', since_ms: null, fix: false })
    await begun.catch(() => null)
    for (let n = 0; n < 20 && (await its.reconcile.last())?.finishedMs === null; n += 1) {
      await its.reconcile.step().catch(() => null)
    }
  }
  await rename('work_holds', 'work_holds_away')
  await carriedOn()
  expect(await findings('open')).toEqual(['reconcile_check_failed | fields | urgent |  | '])
  await rename('work_holds_away', 'work_holds')
  await carriedOn()
  expect(await findings('open')).toEqual([])
})
