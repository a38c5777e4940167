import { randomBytes } from 'node:crypto'
import Stripe from 'stripe'
import { makeFindings } from '../../src/billing/findings.ts'
import { serveStripe } from '../../src/demo/stripe/server.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import { makeBooks } from '../../src/ledger/ledger-books.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import type { Receipt } from '../../src/ledger/receipt.ts'
import { compareMeters } from '../../src/reporting/compare.ts'
import { metersSchema, type MeterSettings } from '../../src/reporting/config.ts'
import { makeMeterOutbox, makeReporting } from '../../src/reporting/reporting.ts'
import type { Db } from '../../src/store/db.ts'
import { grant, ids, item } from '../ledger/support.ts'

/** A whole hour. */
const T0 = Date.UTC(2026, 10, 2, 12)
export const MINUTE = 60_000
export const HOUR = 3_600_000
export const DAY = 24 * HOUR
export const CREDIT = 1_000_000

export const settings = (
  plans: MeterSettings['plans'] = [
    { id: 'hybrid', overage: { meter: 'ai_credits', limit: micros(1_000 * CREDIT) } },
  ],
  meters: object = {},
): MeterSettings => ({ meters: metersSchema.parse(meters), plans })

async function all<T>(from: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const one of from) list.push(one)
  return list
}

/** As `makeReporting` takes it: wraps what a process uses, so that a test can end it anywhere. */
export interface Wraps {
  readonly db?: (db: Db) => Db
  readonly timeoutMs?: number
}

let seed = 0

/** Postgres, the simulator and a clock that both sides go by. */
export async function makeWorld(db: Db, given: MeterSettings = settings()) {
  const sim = await serveStripe({
    port: 0,
    seed: (seed += 1),
    frozenAtS: T0 / 1000,
    wallMs: Date.now,
  })
  const { world } = sim.simulator
  const { port } = new URL(world.base)
  const clientOf = (timeout: number) =>
    new Stripe('sk_test_x', {
      ...{ host: '127.0.0.1', port, protocol: 'http', telemetry: false, timeout },
    })
  const stripe = clientOf(5_000)
  const clock: Clock = { ...systemClock, now: () => world.now() * 1000 }
  const outbox = makeMeterOutbox(given)
  const findings = makeFindings({ db, ids, clock })
  const { book } = outbox
  const control = async (name: string, input: object = {}) => {
    const body = JSON.stringify(input)
    const answer = await fetch(`${world.base}/_control/${name}`, { method: 'POST', body })
    if (answer.status !== 200) throw new Error(await answer.text())
    return (await answer.json()) as Record<string, unknown>
  }

  const meters = (eventName: string) =>
    world.all('billing.meter').flatMap((one) => (one.event_name === eventName ? [one.id] : []))

  /** A process that seals and sends; several share a database. */
  function makeProcess({ db: wrap = (one) => one, timeoutMs = 1_000 }: Wraps = {}) {
    return makeReporting({
      db: wrap(db),
      stripe: clientOf(timeoutMs),
      book,
      note: (finding, tx) => findings.note(finding, tx),
      clock,
      ids,
      random: () => 0.5,
      log: silentLog,
      onCall: () => undefined,
    })
  }
  const process = makeProcess()
  const ledger = makePostingLedger({ db, ids, alongside: outbox.alongside })
  const books = makeBooks({ db, ids, reversed: outbox.reversed })

  async function meter(eventName = 'ai_credits', formula: 'sum' | 'last' = 'sum') {
    return stripe.billing.meters.create({
      display_name: eventName,
      event_name: eventName,
      default_aggregation: { formula },
    })
  }

  /** An account of a Stripe customer on a plan. */
  async function account(plan: string | null = 'hybrid', limit = 1_000 * CREDIT) {
    const id = `acc_${randomBytes(6).toString('hex')}`
    const customer = (await stripe.customers.create({ name: id })).id
    await db.query(
      `INSERT INTO accounts (id, name, stripe_customer_id, overage_limit_micros, meter_plan,
                             changed_at, created_at)
       VALUES ($1, $1, $2, $3, $4, $5, $5)`,
      [id, customer, limit, plan, new Date(clock.now())],
    )
    return { id, customer }
  }

  /** Posts one receipt, used now unless told otherwise. */
  async function use(
    of: { readonly id: string },
    amount: number,
    fields: Partial<Omit<Receipt, 'micros'>> = {},
  ) {
    const one = item({
      ...{ accountId: of.id, reservedAtMs: clock.now(), micros: amount },
      ...fields,
    })
    await ledger.post([one], clock.now())
    return one.receipt.holdId
  }

  return {
    ...{
      db,
      sim,
      stripe,
      clock,
      control,
      book,
      makeProcess,
      process,
      ledger,
      books,
      meter,
      account,
    },
    use,
    /** As a reload of the configuration does. */
    configure(other: MeterSettings) {
      outbox.configure(other)
      return {
        restore: () => {
          outbox.configure(given)
        },
      }
    },
    grant: (of: { readonly id: string }, amount: number, fields: object = {}) =>
      books.grant(grant(of.id, amount, fields), clock.now()),
    advance: (ms: number) => control('advance', { seconds: Math.ceil(ms / 1000) }),
    /** To two minutes and more after the end of this hour, so that it can be sealed. */
    nextHour: () => control('advance', { to: Math.floor(clock.now() / HOUR + 1) * 3_600 + 180 }),
    /** What Stripe has taken of a customer, all hours, without any lag. */
    taken: (customer: string, eventName = 'ai_credits') =>
      world
        .all('usage')
        .filter((one) => one.customer === customer && one.canceled === false)
        .filter((one) => meters(eventName).includes(one.meter))
        .reduce((sum, one) => sum + Number(one.value), 0),
    reports: async (of: { readonly id: string }) =>
      db.query(
        `SELECT identifier, kind, value, overage_micros, state, note, rev, at, billed_by
         FROM meter_reports WHERE account_id = $1 ORDER BY seq`,
        [of.id],
      ),
    findings: async (subject?: string) =>
      (
        await db.query(
          'SELECT kind, subject, evidence FROM findings WHERE $1::text IS NULL OR subject = $1',
          [subject ?? null],
        )
      ).map(({ kind }) => String(kind)),
    compare: (of: { readonly id: string }) =>
      all(
        compareMeters(
          { db, directory: process.directory, nowMs: clock.now() },
          { fromMs: T0 - 40 * DAY, toMs: clock.now(), accountId: of.id, eventName: null },
        ),
      ),
    calls: async () => {
      const { calls } = await control('calls')
      return (calls as { operation: string; status: number }[]).filter(
        ({ operation }) => operation === 'POST /v1/billing/meter_events',
      )
    },
    stop: () => sim.stop(),
  }
}

export type MeterWorld = Awaited<ReturnType<typeof makeWorld>>
