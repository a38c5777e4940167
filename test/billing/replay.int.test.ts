import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { configSchema } from '../../src/config-schema.ts'
import { micros } from '../../src/kernel/money.ts'
import { emptyDatabase, testDb, type TestDb } from '../store/databases.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { judgeClosed } from '../../src/reconcile/replay/compare-billed.ts'
import { runSql } from '../support/stores.ts'
import { act } from './histories.ts'
import { makeRechargeWorld } from './recharge-world.ts'
import { breaking, replayOf } from './replay-support.ts'
import { makeSimWorld, SOLD, type SimWorld } from './sim-world.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const PACK = SOLD.pack * 1_000_000

let source: TestDb
let sim: SimWorld
let buyer: string

beforeAll(async () => {
  source = await testDb('postgres', 12)
  sim = await makeSimWorld(source.db)
  buyer = (await sim.account()).id
  const card = 'pm_card_visa'
  for (let at = 0; at < 6; at += 1) {
    await act(sim, [buyer], { do: 'buy', who: 0, card })
    await sim.stripe.control('advance', { seconds: 1 })
  }
  await act(sim, [buyer], { do: 'refund', which: 0, part: 2 })
  await act(sim, [buyer], { do: 'subscribe', who: 0, plan: 'large', card })
  await sim.rest()
  await storeEventOf('in_gone')
  const now = sim.clock.now()
  const by = { accountId: buyer, reason: 'by hand' }
  await sim.books.grant(
    {
      ...{ ...by, micros: micros(5_000_000), kind: 'promo', priority: 0, expiresAtMs: null },
      ...{ effectiveAtMs: now, referenceType: 'admin', referenceId: 'gift' },
    },
    now,
  )
  await sim.books.adjust({ ...by, micros: micros(-2_000_000), referenceId: 'less' }, now)
})
afterAll(async () => {
  await sim.stop()
  await source[Symbol.asyncDispose]()
})

/** An event that names what Stripe has no more, as a draft that was deleted. */
async function storeEventOf(id: string): Promise<void> {
  const event = { id: 'evt_gone', object: 'event', type: 'invoice.created', livemode: false }
  const payload = { ...event, created: 1_800_000_000, data: { object: { id } } }
  await source.db.query(
    `INSERT INTO stripe_events (id, type, object_id, is_thin, source, payload, state,
                                occurred_at, due_at, received_at)
     VALUES ('evt_gone', 'invoice.created', $2, false, 'sync', $1, 'dead', $3, $3, $3)`,
    [JSON.stringify(payload), id, new Date()],
  )
}

/** Names of the packs that were bought, the one that was refunded first. */
async function keysOf(): Promise<string[]> {
  const rows = await source.db.query(
    `SELECT reference_id FROM ledger_entries WHERE reference_id LIKE 'checkout:%'
     GROUP BY reference_id ORDER BY min(micros)`,
    [],
  )
  return rows.map((row) => String(row.reference_id))
}

describe('a replay', () => {
  test('rebuilds grants and clawbacks, writes nothing to Stripe and tells nobody', async () => {
    await using target = await testDb('postgres', 12)
    await sim.stripe.control('clear-faults')
    const before = sim.stripe.sim.simulator.world.all('event').length
    const report = await replayOf(sim, source.db, target.db)
    expect(report).toMatchObject({
      ok: true,
      copied: { accounts: 1, checkouts: 7, attempts: 0 },
      events: { unfinished: [] },
      compared: { accounts: 1, sales: 7, differences: [], differencesTotal: 0 },
    })
    expect(report.events.looked).toBeLessThan(report.events.stored)
    expect(report.compared.apart).toEqual(
      expect.arrayContaining([
        { referenceType: 'admin', movementType: 'grant', entries: 1, micros: 5_000_000 },
        { referenceType: 'adjustment', movementType: 'adjustment', entries: 1, micros: -2_000_000 },
      ]),
    )
    expect(sim.stripe.sim.simulator.world.all('event')).toHaveLength(before)
    const [found] = await target.db.query(
      `SELECT (SELECT count(*) FROM key_claims) AS claims,
         (SELECT count(*) FROM api_keys) AS keys, (SELECT count(*) FROM notifications) AS told,
         (SELECT plan_id FROM entitlements) AS plan, (SELECT count(*) FROM subscriptions) AS subs,
         (SELECT count(*) FROM checkout_sessions WHERE state = 'granted') AS granted`,
      [],
    )
    const gone = "SELECT state, outcome FROM stripe_events WHERE id = 'evt_gone'"
    const [done] = await target.db.query(gone, [])
    expect(done).toEqual({ state: 'done', outcome: 'Stripe has it no more' })
    expect(found).toEqual({ claims: 0, keys: 0, told: 0, plan: 'large', subs: 1, granted: 7 })
  })

  test('finds everything by Stripe’s objects where no event was stored', async () => {
    await using target = await testDb('postgres', 12)
    const events = await source.db.query('DELETE FROM stripe_events RETURNING *', [])
    try {
      const report = await replayOf(sim, source.db, target.db)
      expect(report).toMatchObject({ ok: true, events: { stored: 0 }, compared: { sales: 7 } })
      expect(report.walked.looked).toBeGreaterThanOrEqual(7)
    } finally {
      await source.db.query(
        `INSERT INTO stripe_events OVERRIDING SYSTEM VALUE
         SELECT * FROM json_populate_recordset(null::stripe_events, $1::json)`,
        [JSON.stringify(events.map((row) => ({ ...row, ...times(row) })))],
      )
    }
  })

  test('ends the same however often it was interrupted', async () => {
    await using target = await testDb('postgres', 12)
    let kills = 0
    for (let after = 3; ; after *= 2) {
      const report = await replayOf(sim, source.db, breaking(target.db, after)).catch(() => null)
      if (report?.ok === true && report.events.unfinished.length === 0) {
        expect(report).toMatchObject({ compared: { sales: 7, differences: [] } })
        break
      }
      kills += 1
    }
    expect(kills).toBeGreaterThan(4)
    expect(await replayOf(sim, source.db, target.db)).toMatchObject({ ok: true })
  })

  test('is a command of its own', async () => {
    await using target = await testDb('postgres', 2)
    const { prices, environment } = sim
    const folder = await mkdtemp(join(tmpdir(), 'farebox-replay-'))
    const plan = { id: 'large', stripe_prices: [prices.large], rollover: 1 }
    const sold = {
      packs: [{ id: 'pack', stripe_price: prices.pack, credits: SOLD.pack }],
      plans: [
        { id: 'free', models: ['gpt-small'], rates: { requests_per_minute: 3 } },
        {
          ...{ ...plan, included_credits: SOLD.large, rank: 2, fallback: 'free' },
          ...{ models: ['gpt-*'], credit_limit: 5 },
        },
      ],
    }
    await writeFile(join(folder, 'farebox.yaml'), JSON.stringify(sold))
    const args = ['--json', 'replay', '--from-zero', '--into', target.url ?? '']
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: folder,
      env: {
        ...{ PATH: process.env.PATH, FAREBOX_CONFIG: join(folder, 'farebox.yaml') },
        ...{ DATABASE_URL: source.url ?? '', STRIPE_SECRET_KEY: environment.stripe.secretKey },
        STRIPE_API_BASE: environment.stripe.apiBase,
      },
    })
    try {
      const [out] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
      expect(JSON.parse(out)).toMatchObject({ ok: true, sales: 7, differences: [] })
      expect(child.exitCode).toBe(0)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('a source that hears of a refund only now is no difference', async () => {
    await using target = await testDb('postgres', 12)
    await using own = await testDb('postgres', 12)
    const world = await makeSimWorld(own.db)
    try {
      const account = (await world.account()).id
      await act(world, [account], { do: 'buy', who: 0, card: 'pm_card_visa' })
      await world.rest()
      await act(world, [account], { do: 'refund', which: 0, part: 1 })
      const late = replayOf(world, own.db, target.db, () => world.rest())
      expect(await late).toMatchObject({ ok: true, compared: { sales: 1 } })
      await act(world, [account], { do: 'buy', who: 0, card: 'pm_card_visa' })
      const never = await replayOf(world, own.db, target.db)
      expect(never.compared.differences).toMatchObject([
        { what: 'grant', direction: 'only_in_replay', source: null, replay: PACK },
      ])
    } finally {
      await world.stop()
    }
  })

  test('grants recharges as they were asked for', async () => {
    await using target = await testDb('postgres', 12)
    await using own = await testDb('postgres', 12)
    const world = await makeRechargeWorld(own.db)
    try {
      const one = await world.account('pm_card_visa')
      expect(await world.posted(one.id)).toBe(0)
      await world.one.recharges.drain()
      await world.deliver(one.customer)
      const apiBase = world.sim.simulator.world.base
      const key = { secretKey: 'sk_test_x', webhookSecrets: [], apiBase }
      const packs = [{ id: 'starter', stripe_price: world.price.id, credits: 100 }]
      const parts = {
        ...{ environment: { stripe: key, mode: 'test' } as const, clock: world.clock },
        config: configSchema.parse({ packs }),
      }
      const report = await replayOf(parts, own.db, target.db)
      expect(report).toMatchObject({ ok: true, copied: { attempts: 1 }, compared: { sales: 1 } })
      const [state] = await target.db.query('SELECT state FROM recharges', [])
      expect(state).toEqual({ state: 'off' })
    } finally {
      await world.stop()
    }
  })
})

const times = (row: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(
    Object.entries(row)
      .filter(([name]) => name.endsWith('_at'))
      .map(([name, ms]) => [name, typeof ms === 'number' ? new Date(ms) : null]),
  )

describe('access and overage that differ', () => {
  test('are told: what is stored is not what follows from Stripe, invoices that closed nothing', async () => {
    await using target = await testDb('postgres', 12)
    const { db } = source
    await db.query('CREATE TABLE kept_access AS SELECT * FROM entitlements')
    await db.query(
      `INSERT INTO accounts (id, name, stripe_customer_id, changed_at, created_at)
       VALUES ('acct_none', 'n', 'cus_none', now(), now())`,
    )
    const [customer] = await db.query(
      'SELECT stripe_customer_id AS id FROM accounts WHERE id = $1',
      [buyer],
    )
    const paid = await sim.stripe.stripe.invoices.list({ customer: String(customer?.id) })
    const invoice = paid.data[0]?.id ?? ''
    const billed = (account: string, id: string, micros: number) =>
      `INSERT INTO ledger_entries (account_id, seq, line, movement_type, micros, reference_type,
         reference_id, op_id, created_at)
       VALUES ('${account}', ${9_000 + micros}, 'overage', 'billed', ${micros}, 'invoice', '${id}',
         'billed:${id}:${account}', now());`
    const edit = (text: string) =>
      runSql(source.url ?? '', ['SET session_replication_role = replica', text])
    try {
      await edit(`${billed(buyer, invoice, 1)} ${billed(buyer, 'in_invented', 2)}
        ${billed('acct_none', invoice, 3)}
        UPDATE entitlements SET models = '["gpt-*", "o9"]';
        INSERT INTO entitlements SELECT (jsonb_populate_record(e, '{"account_id":"acct_none"}')).*
        FROM entitlements e;`)
      const { ok, compared } = await replayOf(sim, db, target.db)
      expect(ok).toBe(false)
      expect(compared.billed).toEqual({ invoices: 3, entries: 3, micros: 6 })
      expect(compared.apart.map(({ movementType }) => movementType)).not.toContain('billed')
      const told = compared.differences.map(({ accountId, op, direction, source: one, replay }) => {
        return { who: accountId === buyer ? 'buyer' : accountId, op, direction, one, replay }
      })
      expect(told.toSorted((a, b) => (`${a.who}${a.op}` < `${b.who}${b.op}` ? -1 : 1))).toEqual([
        {
          ...{ who: 'acct_none', op: 'access', direction: 'only_in_source' },
          one: expect.stringContaining('state "active", planId "large"') as string,
          replay: expect.stringContaining('state "none", planId null') as string,
        },
        {
          ...{ who: 'acct_none', op: `billed:${invoice}`, direction: 'differs', one: 3 },
          replay: `of ${String(customer?.id)}`,
        },
        {
          ...{ who: 'buyer', op: 'access', direction: 'differs' },
          ...{ one: 'models ["gpt-*","o9"]', replay: 'models ["gpt-*"]' },
        },
        {
          ...{ who: 'buyer', op: 'billed:in_invented', direction: 'only_in_source' },
          ...{ one: 2, replay: null },
        },
      ])
    } finally {
      await edit(`DELETE FROM ledger_entries WHERE movement_type = 'billed';
        DELETE FROM entitlements; INSERT INTO entitlements SELECT * FROM kept_access;
        DELETE FROM accounts WHERE id = 'acct_none'; DROP TABLE kept_access`)
    }
  })

  test.each([
    ['draft', 'draft'],
    ['void', undefined],
    ['open', undefined],
    ['uncollectible', undefined],
  ])('an invoice that is %s', (status, replay) => {
    const closed = { accountId: 'a', customer: 'cus_1', invoice: 'in_1', micros: micros(5) }
    const found = judgeClosed(closed, { customer: 'cus_1', status })
    expect(found?.replay).toBe(replay)
  })
})

describe('a difference made by hand', () => {
  test('is printed exactly, in both directions', async () => {
    await using target = await testDb('postgres', 12)
    const [refunded, deleted, changed, later, promo] = await keysOf()
    const lot = (key = '') => `account_id = '${buyer}' AND reference_id = '${key}'`
    await source.db.query('CREATE TABLE kept_entries AS SELECT * FROM ledger_entries')
    await source.db.query('CREATE TABLE kept_lots AS SELECT * FROM lots')
    const edit = (text: string) =>
      runSql(source.url ?? '', ['SET session_replication_role = replica', text])
    try {
      await edit(`
        DELETE FROM ledger_entries WHERE ${lot(deleted)}; DELETE FROM lots WHERE ${lot(deleted)};
        UPDATE ledger_entries SET micros = micros + 7 WHERE ${lot(changed)};
        UPDATE ledger_entries SET micros = micros - 3 WHERE ${lot(refunded)} AND micros < 0;
        UPDATE lots SET expires_at = '2030-01-01Z' WHERE ${lot(later)};
        UPDATE lots SET kind = 'promo' WHERE ${lot(promo)};
        INSERT INTO ledger_entries SELECT account_id, 9999, lot_id, line, movement_type, 11, reason,
          reference_type, 'checkout:cs_invented', 'grant:invented', created_at
        FROM ledger_entries WHERE ${lot(later)};`)
      const report = await replayOf(sim, source.db, target.db)
      const half = Math.ceil(PACK / 2)
      const told = report.compared.differences.map(({ accountId, ...one }) => {
        expect(accountId).toBe(buyer)
        return one
      })
      const grant = (key = '') => ({ key, op: `grant:${key}`, what: 'grant' })
      const differs = 'differs'
      expect(told.toSorted((a, b) => (a.key < b.key ? -1 : 1))).toEqual(
        [
          { ...grant(deleted), direction: 'only_in_replay', source: null, replay: PACK },
          { ...grant(changed), direction: differs, source: PACK + 7, replay: PACK },
          {
            ...{ key: refunded, op: `clawback:${refunded}`, what: 'clawback' },
            ...{ direction: differs, source: half + 3, replay: half },
          },
          {
            ...{ ...grant(later), what: 'lot_expiry', direction: differs },
            ...{ source: '2030-01-01T00:00:00.000Z', replay: 'never' },
          },
          {
            ...{ ...grant(promo), what: 'lot_kind', direction: differs },
            ...{ source: 'promo', replay: 'paid' },
          },
          {
            ...{ ...grant('checkout:cs_invented'), direction: 'only_in_source' },
            ...{ source: 11, replay: null },
          },
        ].toSorted((a, b) => ((a.key ?? '') < (b.key ?? '') ? -1 : 1)),
      )
      expect(report).toMatchObject({ ok: false, compared: { differencesTotal: 6, sales: 8 } })
    } finally {
      await edit(`
        DELETE FROM ledger_entries; INSERT INTO ledger_entries SELECT * FROM kept_entries;
        UPDATE lots l SET kind = k.kind, expires_at = k.expires_at
        FROM kept_lots k WHERE k.id = l.id;
        INSERT INTO lots (id, account_id, kind, priority, state, granted_micros, remaining_micros,
          effective_at, expires_at, reason, reference_type, reference_id, created_at)
        SELECT id, account_id, kind, priority, state, granted_micros, remaining_micros,
          effective_at, expires_at, reason, reference_type, reference_id, created_at
        FROM kept_lots WHERE ${lot(deleted)};
        DROP TABLE kept_entries, kept_lots`)
    }
  })
})

describe('a replay refuses', () => {
  const failure = (target: TestDb['db']) => expect(replayOf(sim, source.db, target)).rejects

  test('the database that it replays, by whatever name', async () => {
    const url = new URL(source.url ?? '')
    url.searchParams.set('application_name', 'another')
    const again = openPostgres({ url: url.href, poolMax: 2, log: silentLog })
    await failure(again).toThrow('itself')
    await again.close()
  })

  test('a database with tables of something else, and leaves it as it is', async () => {
    await using other = await emptyDatabase()
    const db = openPostgres({ url: other.url, poolMax: 2, log: silentLog })
    await db.query('CREATE TABLE accounts (id text)')
    await failure(db).toThrow('tables of something else')
    const tables = await db.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", [])
    expect(tables).toEqual([{ tablename: 'accounts' }])
    await db.close()
  })

  test('a Farebox that is in use, and the replay of another one', async () => {
    await using target = await testDb('postgres', 2)
    const mark = JSON.stringify({ source: 'elsewhere/1', events: 0 })
    await target.db.query("INSERT INTO settings VALUES ('replay', $1)", [mark])
    await failure(target.db).toThrow('a replay of elsewhere/1')
    await target.db.query('DELETE FROM settings', [])
    await target.db.query(
      "INSERT INTO accounts (id, name, changed_at, created_at) VALUES ('acct_1', 'x', $1, $1)",
      [new Date()],
    )
    await failure(target.db).toThrow('in use')
    expect(await target.db.query('SELECT * FROM settings', [])).toEqual([])
  })

  test('nothing that is empty: it makes the tables itself', async () => {
    await using empty = await emptyDatabase()
    const db = openPostgres({ url: empty.url, poolMax: 12, log: silentLog })
    expect(await replayOf(sim, source.db, db)).toMatchObject({ ok: true, compared: { sales: 7 } })
    await db.close()
  })
})
