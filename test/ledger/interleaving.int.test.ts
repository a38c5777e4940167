import { expect, test } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { UnknownOutcomeError } from '../../src/kernel/errors.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros } from '../../src/kernel/money.ts'
import { makePoster } from '../../src/ledger/group-commit.ts'
import { takeBack } from '../../src/ledger/burn.ts'
import type { PostItem } from '../../src/ledger/receipt.ts'
import { openSheet, writeChange } from '../../src/ledger/sheets.ts'
import type { Db } from '../../src/store/db.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { migrate } from '../../src/store/migrate.ts'
import { cuttingProxy } from '../store/cutting-proxy.ts'
import { testDb } from '../store/databases.ts'
import { startPostgres } from '../support/stores.ts'
import { addAccount, done, expectSound, grant, ids, item, makeLedgerOn, T0 } from './support.ts'

/** Many wait for few connections and for locks here, however slow the machine is. */
const openPool = (url: string, poolMax: number): Db =>
  openPostgres({ url, poolMax, connectMs: 60_000, statementMs: 60_000, log: silentLog })

/** Processes of one deployment: each with a pool of its own on the same database. */
async function deployment(count: number) {
  const own = await testDb('postgres')
  const url = own.url ?? ''
  const dbs = Array.from({ length: count }, () => openPool(url, 4))
  const processes = dbs.map(makeLedgerOn)
  const [first] = processes
  if (first === undefined) throw new Error('no process')
  return {
    ...first,
    processes,
    /** Work is dealt out to the processes in turn. */
    at: (i: number) => processes[i % count] ?? first,
    async [Symbol.asyncDispose]() {
      await Promise.all(dbs.map((db) => db.close()))
      await own[Symbol.asyncDispose]()
    },
  }
}

const posterOn = (process: ReturnType<typeof makeLedgerOn>) =>
  makePoster({ ledger: process.ledger, clock: systemClock, log: silentLog, postWaitMs: 2_000 })

const shuffle = <T>(list: readonly T[]): T[] =>
  list
    .map((value) => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)

const posted = async (db: Db, id: string) =>
  (await db.query('SELECT posted_micros AS n FROM accounts WHERE id = $1', [id]))[0]?.n

test('posters with overlapping accounts and the same receipts charge each exactly once', async () => {
  await using own = await deployment(3)
  const accounts = ['a', 'b', 'c', 'd', 'e']
  for (const id of accounts) {
    await addAccount(own.db, id)
    await own.books.grant(grant(id, 100_000), T0)
  }
  const items = Array.from({ length: 300 }, (_, i) =>
    item({ accountId: accounts[i % 5] ?? '', keyId: `k${i % 5}`, micros: 7 }),
  )
  const outcomes = await Promise.all(
    own.processes.flatMap((process) => {
      const poster = posterOn(process)
      return shuffle(items).map((one) => poster.submit(one).outcome)
    }),
  )
  const created = outcomes.filter(({ kind }) => kind === 'new').map(({ holdId }) => holdId)
  expect(created).toHaveLength(300)
  expect(new Set(created).size).toBe(300)
  expect(outcomes.some(({ kind }) => kind === 'parked')).toBe(false)
  for (const id of accounts) expect(await posted(own.db, id)).toBe(100_000 - 60 * 7)
  const spend = await own.db.query('SELECT sum(micros)::bigint AS n FROM key_spend', [])
  expect(spend).toEqual([{ n: 2_100 }])
  await expectSound(own.db)
})

test('recovery against the owner: the total is the owner’s, in whatever order they post', async () => {
  await using own = await deployment(3)
  await addAccount(own.db, 'acc')
  await own.books.grant(grant('acc', 1_000_000), T0)
  const holds = Array.from({ length: 60 }, (_, i) => {
    const recovered = item({ rev: 1, micros: 10 + (i % 7) })
    return { recovered, final: item({ ...recovered.receipt, rev: 2, micros: 5 + (i % 20) }) }
  })
  const work: (readonly PostItem[])[] = [
    ...holds.map(({ recovered }) => [recovered]),
    ...holds.map(({ recovered }) => [recovered]),
    ...holds.map(({ final }) => [final]),
  ]
  await Promise.all(shuffle(work).map((items, i) => own.at(i).ledger.post(items, T0)))
  const total = holds.reduce((sum, { final }) => sum + final.receipt.micros, 0)
  expect(await posted(own.db, 'acc')).toBe(1_000_000 - total)
  const spend = await own.db.query('SELECT sum(micros)::bigint AS n FROM key_spend', [])
  expect(spend).toEqual([{ n: total }])
  await expectSound(own.db)
})

test('a posting waits for who changes what it does not look at, and is written over it', async () => {
  await using own = await deployment(2)
  const accounts = ['a', 'b', 'c']
  for (const id of accounts) {
    await addAccount(own.db, id)
    await own.books.grant(grant(id, 1_000), T0)
  }
  const [poster, other] = own.processes
  if (!poster || !other) throw new Error('processes')
  const batch = () => accounts.map((accountId) => item({ accountId, micros: 10 }))
  await poster.ledger.post(batch(), T0)
  const isWaiting = async () =>
    (
      await own.db.query(
        `SELECT count(*) AS n FROM pg_stat_activity
         WHERE wait_event_type = 'Lock' AND datname = current_database()`,
        [],
      )
    )[0]?.n === 1
  const posting = await other.db.tx(async (tx) => {
    await tx.query("UPDATE accounts SET email = 'e' WHERE id = 'b'", [])
    const outcomes = poster.ledger.post(batch(), T0)
    await expect.poll(isWaiting).toBe(true)
    return { outcomes }
  })
  expect(await posting.outcomes).toMatchObject(accounts.map(() => ({ kind: 'new', version: 3 })))
  const rows = await own.db.query(
    'SELECT posted_micros AS n, entry_seq AS seq, email FROM accounts ORDER BY id',
    [],
  )
  expect(rows).toEqual(
    ['a', 'b', 'c'].map((id) => ({ n: 980, seq: 3, email: id === 'b' ? 'e' : null })),
  )
  await expectSound(own.db)
})

test('posting against refunds, adjustments, reversals and expiry keeps every account sound', async () => {
  await using own = await deployment(3)
  const accounts = ['a', 'b', 'c']
  const lots = new Map<string, string>()
  for (const id of accounts) {
    await addAccount(own.db, id, 300)
    const sold = done(await own.books.grant(grant(id, 3_000, { referenceId: 'sale' }), T0))
    lots.set(id, sold.lot.id)
    for (let i = 0; i < 10; i++) {
      const expiresAtMs = T0 + i
      await own.books.grant(grant(id, 200, { kind: 'promo', priority: 1, expiresAtMs }), T0 - 50)
    }
  }
  const refund = (process: (typeof own.processes)[number], id: string, n: number) =>
    process.db.tx(async (tx) => {
      const lotId = lots.get(id) ?? ''
      const sheet = await openSheet(tx, id, [lotId], { nowMs: T0, newId: () => ids.uuid() })
      const lot = sheet?.lots.find((one) => one.id === lotId)
      if (!sheet || !lot) throw new Error('lot')
      const op = { id: `refund:${id}:${n}`, referenceType: 'refund', referenceId: id, reason: null }
      takeBack(sheet, lot, 'refund', micros(150), op)
      await writeChange(tx, sheet)
    })
  const charges = accounts.flatMap((accountId) =>
    Array.from({ length: 40 }, () => item({ accountId, micros: 45, reservedAtMs: T0 - 10 })),
  )
  const work = [
    ...charges.map((one) => (i: number) => own.at(i).ledger.post([one, one], T0)),
    ...charges.slice(0, 60).map(
      ({ receipt }) =>
        (i: number) =>
          own.at(i).books.reverse(receipt.holdId, 'test', T0),
    ),
    ...accounts.flatMap((id) =>
      Array.from({ length: 8 }, (_, n) => (i: number) => {
        const process = own.at(i)
        if (n % 2 === 0) return refund(process, id, n)
        const referenceId = String(Math.floor(n / 4))
        const amount = micros(n < 4 ? 90 : -90)
        return process.books.adjust({ accountId: id, micros: amount, reason: '', referenceId }, T0)
      }),
    ),
    ...Array.from({ length: 12 }, (_, n) => (i: number) => own.at(i).books.turn(T0 + n, 10)),
  ]
  await Promise.all(shuffle(work).map((run, i) => run(i)))
  await expectSound(own.db)
  const [usage] = await own.db.query('SELECT count(*) AS n FROM usage', [])
  expect(usage).toEqual({ n: charges.length })
  const moved = await own.db.query(
    `SELECT account_id, sum(micros)::bigint AS n FROM ledger_entries
     WHERE movement_type = 'refund' GROUP BY account_id ORDER BY account_id`,
    [],
  )
  expect(moved).toEqual(accounts.map((id) => ({ account_id: id, n: -600 })))
})

test('a snapshot taken while posting never shows a version without its money', async () => {
  await using own = await deployment(2)
  await addAccount(own.db, 'acc')
  await own.books.grant(grant('acc', 1_000_000), T0)
  await own.db.query(
    `INSERT INTO api_keys (id, account_id, kind, name, prefix, hash, budget_micros, budget_period,
       changed_at, created_at) VALUES ('key', 'acc', 'client', '', '', $1, 1, 'total', $2, $2)`,
    [new Uint8Array([1]), new Date(T0)],
  )
  const [writer, reader] = own.processes
  if (!writer || !reader) throw new Error('processes')
  const state = { running: true }
  const posting = (async () => {
    for (let i = 0; i < 150; i++) await writer.ledger.post([item({ micros: 3 })], T0)
    state.running = false
  })()
  let seen = 0
  while (state.running) {
    const account = await reader.ledger.snapshotAccount('acc')
    const key = await reader.ledger.snapshotKey('acc', 'key', 20_468)
    if (!account || !key) throw new Error('snapshot')
    // Version 1 is the grant; each later one took 3.
    expect(account.postedMicros).toBe(1_000_000 - 3 * (account.version - 1))
    expect(key.spendMicros).toBe(3 * (key.version - 1))
    seen = Math.max(seen, account.version)
  }
  await posting
  expect(seen).toBeGreaterThan(1)
})

test('a batch whose backend dies in mid-commit is repeated and charged once', async () => {
  await using own = await deployment(2)
  await addAccount(own.db, 'acc')
  const [victim, observer] = own.processes
  if (!victim || !observer) throw new Error('processes')
  // A deferred trigger makes COMMIT slow while a setting says so, to be met while it runs.
  await own.db.query(`
    INSERT INTO settings VALUES ('slow', 'yes');
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF EXISTS (SELECT FROM settings WHERE name = 'slow') THEN PERFORM pg_sleep(120); END IF;
      RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON usage
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()`)
  const sleeping = async () =>
    (
      await observer.db.query(
        `SELECT pid FROM pg_stat_activity
         WHERE query = 'COMMIT' AND wait_event = 'PgSleep' AND datname = current_database()`,
        [],
      )
    )[0]?.pid
  const kill = async () =>
    observer.db.query('SELECT pg_terminate_backend($1)', [Number(await sleeping())])
  const slow = item({})
  const direct = victim.ledger.post([slow], T0).catch((error: unknown) => error)
  await expect.poll(sleeping).toBeTypeOf('number')
  await kill()
  expect(await direct).toBeInstanceOf(UnknownOutcomeError)

  const poster = posterOn(victim)
  const { outcome } = poster.submit(slow)
  await expect.poll(sleeping).toBeTypeOf('number')
  const pid = await sleeping()
  await observer.db.query("DELETE FROM settings WHERE name = 'slow'", [])
  await observer.db.query('SELECT pg_terminate_backend($1)', [Number(pid)])
  expect(await outcome).toMatchObject({ kind: 'new', version: 1 })
  expect(await victim.ledger.post([slow], T0)).toMatchObject([{ kind: 'noop', version: 1 }])
  expect(await posted(own.db, 'acc')).toBe(-100)
})

test('a commit whose answer is lost is repeated and charged once', async () => {
  await using own = await testDb('postgres')
  await addAccount(own.db, 'acc')
  await using proxy = await cuttingProxy(own.url ?? '')
  const db = openPool(proxy.url, 2)
  const { ledger } = makeLedgerOn(db)
  proxy.cutNextCommit()
  await expect(ledger.post([item({})], T0)).rejects.toBeInstanceOf(UnknownOutcomeError)
  expect(await posted(own.db, 'acc')).toBe(-100)
  const poster = posterOn({ ...makeLedgerOn(db), ledger })
  proxy.cutNextCommit()
  const outcomes = [item({}), item({})].map((one) => poster.submit(one).outcome)
  expect(await Promise.all(outcomes)).toMatchObject([
    { kind: 'noop', version: 2 },
    { kind: 'noop', version: 2 },
  ])
  expect(await posted(own.db, 'acc')).toBe(-300)
  await expectSound(own.db)
  await db.close()
})

test('so is a batch sent alone, from what was kept', async () => {
  await using own = await testDb('postgres')
  await addAccount(own.db, 'acc')
  await using proxy = await cuttingProxy(own.url ?? '')
  const db = openPool(proxy.url, 2)
  const { ledger } = makeLedgerOn(db)
  await ledger.post([item({})], T0)
  const lost = item({})
  proxy.cutNext('UPDATE 1')
  await expect(ledger.post([lost], T0)).rejects.toBeInstanceOf(UnknownOutcomeError)
  expect(await posted(own.db, 'acc')).toBe(-200)
  expect(await ledger.post([lost, item({})], T0)).toMatchObject([
    { kind: 'noop', version: 2 },
    { kind: 'new', version: 3 },
  ])
  expect(await posted(own.db, 'acc')).toBe(-300)
  await expectSound(own.db)
  await db.close()
})

test('Postgres away for a while: receipts wait, then all are posted', async () => {
  const server = await startPostgres()
  const db = openPool(server.url, 2)
  await migrate(db, { clock: systemClock, log: silentLog })
  await addAccount(db, 'acc')
  const process = makeLedgerOn(db)
  const poster = posterOn(process)
  await poster.submit(item({})).outcome
  await server.down('QUIT')
  const waiting = Array.from({ length: 20 }, () => poster.submit(item({})).outcome)
  expect(await poster.drain(300)).toBe(20)
  await server.restart()
  const kinds = (await Promise.all(waiting)).map(({ kind }) => kind)
  expect(kinds).toEqual(kinds.map(() => 'new'))
  expect(await posted(db, 'acc')).toBe(-2_100)
  await expectSound(db)
  await db.close()
  await server.stop()
})

test('bad rows among good ones are parked by the poster and found by a person', async () => {
  await using own = await deployment(1)
  await addAccount(own.db, 'acc')
  const poster = posterOn(own)
  const items = Array.from({ length: 40 }, (_, i) =>
    i % 13 === 5 ? item({ accountId: 'nobody' }) : item({}),
  )
  const outcomes = await Promise.all(items.map((one) => poster.submit(one).outcome))
  const parked = items.filter((_, i) => outcomes[i]?.kind === 'parked')
  expect(parked.map(({ receipt }) => receipt.accountId)).toEqual(['nobody', 'nobody', 'nobody'])
  const findings = await own.db.query('SELECT subject FROM findings ORDER BY subject', [])
  expect(findings).toEqual(
    parked.map(({ receipt }) => ({ subject: `${receipt.holdId}:2` })).sort(bySubject),
  )
  expect(await posted(own.db, 'acc')).toBe(-3_700)
})

const bySubject = (a: { subject: string }, b: { subject: string }) =>
  a.subject < b.subject ? -1 : 1
