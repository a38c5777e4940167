import { checkOfUsageOut } from '../../src/reconcile/check-usage-out.ts'
import { textOf, numberOf } from '../../src/store/rows.ts'
import { EndedError, endingAt } from './ending.ts'
import { CREDIT, HOUR, type MeterWorld } from './world.ts'
import type { Act } from './acts.ts'

/** One customer's life, driven act by act; what became of it is read from both sides. */
export async function startHistory(world: MeterWorld, price: string) {
  const { db, stripe, books } = world
  const account = await world.account('hybrid', 100_000 * CREDIT)
  const { id, customer } = account
  const method = await stripe.paymentMethods.attach('pm_card_visa', { customer })
  const { id: sub } = await stripe.subscriptions.create({
    ...{ customer, items: [{ price }], default_payment_method: method.id },
  })
  /** Holds, and whether all of their usage is billed or what no lot covered. */
  const holds = new Map<string, 'overage' | 'usage'>()
  const read = new Set<unknown>()
  let plan = 'hybrid'
  let isGone = false

  async function write(
    seen:
      ((tx: Parameters<Parameters<typeof db.tx>[0]>[0], nowMs: number) => Promise<unknown>) | null,
  ): Promise<void> {
    await db.tx(async (tx) => seen?.(tx, world.clock.now()))
  }
  async function noteSubscription(): Promise<void> {
    const { items, status } = await stripe.subscriptions.retrieve(sub)
    const [item] = items.data
    const at = (s = 0): Date => new Date(s * 1000)
    await db.query(
      `INSERT INTO subscriptions (id, account_id, customer_id, quantity, status,
         current_period_start, current_period_end, cancel_at_period_end, is_collection_paused,
         started_at, changed_at)
       VALUES ($1, $2, $3, 1, $4, $5, $6, false, false, $5, $5)
       ON CONFLICT (id) DO UPDATE SET status = excluded.status,
         current_period_start = excluded.current_period_start,
         current_period_end = excluded.current_period_end`,
      [sub, id, customer, status, at(item?.current_period_start), at(item?.current_period_end)],
    )
  }
  const invoices = () =>
    stripe.invoices.list({ subscription: sub, limit: 100 }).autoPagingToArray({ limit: 1_000 })
  async function readNews(): Promise<void> {
    for (const event of world.sim.simulator.world.all('v2.core.event')) {
      const { id, type } = event
      if (read.has(id) || typeof id !== 'string' || typeof type !== 'string') continue
      read.add(id)
      const found = { id, type, objectId: null }
      await write(await world.process.news(found))
    }
  }
  async function look(): Promise<void> {
    await noteSubscription()
    for (const one of await invoices()) await write(await world.process.watch('invoice', one.id))
    if (isGone) await write(await world.process.watch('customer', customer))
    await readNews()
    await world.process.check()
  }
  async function run(process = world.makeProcess()): Promise<void> {
    await process.seal()
    await process.reporter.drain()
  }
  async function crash(at: number, when: 'before' | 'after'): Promise<void> {
    const { wrap } = endingAt(at, when)
    const dying = world.makeProcess({ db: wrap })
    try {
      await run(dying)
      for (const one of await invoices()) await write(await dying.watch('invoice', one.id))
      await dying.check()
    } catch (error) {
      if (!(error instanceof EndedError)) throw error
    }
  }
  async function use(amount: number, reservedAtMs = world.clock.now()): Promise<void> {
    const hold = await world.use(account, amount, { reservedAtMs })
    holds.set(hold, plan === 'hybrid' ? 'overage' : 'usage')
  }
  async function correct(amount: number): Promise<void> {
    const reservedAtMs = world.clock.now()
    const holdId = await world.use(account, 5 * CREDIT, { rev: 1 })
    await world.use(account, amount, { holdId, reservedAtMs })
    holds.set(holdId, plan === 'hybrid' ? 'overage' : 'usage')
  }
  async function toEnd(ms: number): Promise<void> {
    const { items } = await stripe.subscriptions.retrieve(sub)
    const end = items.data[0]?.current_period_end ?? 0
    await world.control('advance', { to: end + ms / 1000 })
  }
  async function turnMeter(to: 'deactivate' | 'reactivate'): Promise<void> {
    const { data } = await stripe.billing.meters.list()
    const meter = data[0]?.id ?? ''
    const isActive = data[0]?.status === 'active'
    if (isActive === (to === 'reactivate')) return
    await stripe.billing.meters[to](meter)
    const type = `billing.meter.${to}d`
    await write(await world.process.news({ id: 'evt', type, objectId: meter }))
  }
  /** What Stripe does not have, or took when the invoice was final and not before. */
  async function resend(): Promise<void> {
    const [row] = await db.query(
      `SELECT identifier FROM meter_reports r WHERE account_id = $1 AND (state IN ('late', 'refused')
         OR state = 'sent' AND billed_by IS NULL AND successor IS NULL AND EXISTS (
           SELECT FROM meter_periods p WHERE p.account_id = r.account_id
             AND p.start_at <= r.at AND r.at < p.end_at
             AND r.first_tried_at >= p.finalized_at + interval '1 second'))
       ORDER BY seq LIMIT 1`,
      [id],
    )
    if (row !== undefined) await world.process.resend(textOf(row, 'identifier'), true)
  }

  async function act(one: Act): Promise<void> {
    switch (one.kind) {
      case 'use':
        return use(one.amount)
      case 'late':
        return use(one.amount, world.clock.now() - one.hours * HOUR)
      case 'grant':
        await world.grant(account, one.amount)
        return
      case 'correct':
        return correct(one.amount)
      case 'reverse': {
        const hold = [...holds.keys()][one.which % Math.max(1, holds.size)]
        if (hold !== undefined) await books.reverse(hold, 'wrong', world.clock.now())
        return
      }
      case 'run':
        return run()
      case 'run twice':
        await Promise.all([run(), run()])
        return
      case 'crash':
        return crash(one.at, one.when)
      case 'pass':
        await world.advance(one.ms)
        return
      case 'to end':
        return toEnd(one.ms)
      case 'look':
        return look()
      case 'fault': {
        // The client tries what was reset once more by itself.
        const times = one.fault === 'reset' ? one.times * 2 : one.times
        const operation = 'POST /v1/billing/meter_event'
        const after = one.after && one.fault !== 'rate_limit'
        await world.control('api-fault', { kind: one.fault, operation, after, times })
        return
      }
      case 'resend':
        return resend()
      case 'plan':
        plan = one.plan
        await db.query(
          'UPDATE accounts SET meter_plan = $2, change_seq = change_seq + 1 WHERE id = $1',
          [id, plan],
        )
        return
      case 'customer gone':
        isGone = true
        await stripe.customers.del(customer)
        return
      case 'meter off':
        return turnMeter('deactivate')
    }
  }

  async function sum(query: string, params: (string | string[])[]): Promise<number> {
    const [row] = await db.query(query, params)
    return row === undefined ? 0 : numberOf(row, 'sum')
  }
  const ofModes = (mode: string): string[] =>
    [...holds].flatMap(([hold, of]) => (of === mode ? [hold] : []))

  return {
    ...{ id, customer, act, run, look },
    /** Faults end, and what was off is on. */
    async calm(): Promise<void> {
      await world.control('clear-faults')
      await turnMeter('reactivate')
    },
    /** By the ledger: what went on the overage line, or all that a hold took. */
    owedMicros: async (): Promise<number> => {
      const line = `SELECT -coalesce(sum(e.micros), 0)::bigint AS sum FROM ledger_entries e
        WHERE e.account_id = $1 AND EXISTS (
          SELECT FROM unnest($2::text[]) h WHERE e.op_id LIKE '%' || h || '%')`
      const overage = `${line} AND e.line = 'overage'`
      return (
        (await sum(overage, [id, ofModes('overage')])) + (await sum(line, [id, ofModes('usage')]))
      )
    },
    /** What reconciliation says of the overage line and all that is told of it. */
    async differences() {
      const scope = { sinceMs: null, untilMs: 0 }
      // No other account's id lies between.
      const { drifts } = await checkOfUsageOut(db, 1).page(id.slice(0, -1), scope)
      return drifts.filter(({ subject }) => subject === id)
    },
    reports: async () =>
      (
        await db.query(
          'SELECT identifier, state, value, billed_by FROM meter_reports WHERE account_id = $1',
          [id],
        )
      ).map((row) => ({
        identifier: textOf(row, 'identifier'),
        state: textOf(row, 'state'),
        value: numberOf(row, 'value'),
        billed_by: row.billed_by,
      })),
    unsealed: () =>
      sum('SELECT count(*) AS sum FROM meter_outbox WHERE account_id = $1 AND sealing_id IS NULL', [
        id,
      ]),
    /** All that findings say, as one text. */
    findings: async (): Promise<string> =>
      JSON.stringify(await db.query('SELECT kind, subject, evidence FROM findings')),
    /** Final invoices with what Stripe bills of the meter. */
    finals: async () =>
      (await invoices())
        .filter(({ status }) => status === 'paid' || status === 'open')
        .map((one) => ({
          id: one.id,
          quantity: one.lines.data.reduce((total, { quantity }) => total + (quantity ?? 0), 0),
        })),
    async [Symbol.asyncDispose]() {
      await world.control('clear-faults')
      await turnMeter('reactivate')
      if (!isGone) await stripe.subscriptions.cancel(sub)
    },
  }
}

export type History = Awaited<ReturnType<typeof startHistory>>
