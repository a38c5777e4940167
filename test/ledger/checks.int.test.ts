import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { checkLedger, type CheckedPage } from '../../src/ledger/checks.ts'
import type { Db } from '../../src/store/db.ts'
import { snapshot } from '../../src/store/read-only.ts'
import { textOf } from '../../src/store/rows.ts'
import { checkOfKeySpend } from '../../src/reconcile/check-key-spend.ts'
import { testDb } from '../store/databases.ts'
import { addAccount, DAY_MS, grant, item, makeLedgerOn, T0 } from './support.ts'

type World = ReturnType<typeof makeLedgerOn>

const KEYS = `INSERT INTO api_keys (id, account_id, kind, name, prefix, hash, changed_at, created_at)`

/** Accounts with lots, debt, an expiry and receipts of two revs; nothing is wrong with them. */
async function populate({ db, ledger, books }: World): Promise<void> {
  for (const [at, account] of ['a', 'b', 'c', 'd'].entries()) {
    await addAccount(db, account, at === 2 ? 1_000 : 0)
    await db.query(
      `${KEYS} VALUES ($1, $2, 'client', 'k', 'fb', decode(md5($1), 'hex'), now(), now())`,
      [`key-${account}`, account],
    )
    if (account === 'd') continue
    const ends = { expiresAtMs: T0 + DAY_MS, priority: 1 }
    await books.grant(grant(account, 20, ends), T0)
    await books.grant(grant(account, 50), T0)
    const keyId = `key-${account}`
    for (let n = 0; n < 9; n += 1) {
      const one = item({ accountId: account, keyId, micros: n * 3, rev: 1, day: 20_468 + (n % 3) })
      await ledger.post([one], T0 + n)
      if (n % 4 === 0) await ledger.post([item({ ...one.receipt, rev: 2, micros: n * 2 })], T0 + n)
    }
    await books.turn(T0 + 2 * DAY_MS, 10)
  }
}

async function all(db: Db, limit: number, rows: number): Promise<Omit<CheckedPage, 'cursor'>> {
  const pages: CheckedPage[] = []
  let cursor: string | null = null
  do {
    const page: CheckedPage = await checkLedger(db, cursor, limit, rows)
    pages.push(page)
    cursor = page.cursor
  } while (cursor !== null)
  const key = (one: object) => JSON.stringify(one)
  return {
    breaches: pages.flatMap((page) => page.breaches).toSorted((a, b) => (key(a) < key(b) ? -1 : 1)),
    lines: pages.flatMap((page) => page.lines),
    expiries: pages.flatMap((page) => page.expiries),
    accounts: pages.reduce((sum, page) => sum + page.accounts, 0),
  }
}

describe.each(['postgres', 'pglite'] as const)('%s', async (kind) => {
  const own = await testDb(kind)
  const { db } = own
  const world = makeLedgerOn(db)
  await populate(world)
  afterAll(() => own[Symbol.asyncDispose]())

  test('nothing is found where nothing is wrong, however few rows a statement reads', async () => {
    for (const rows of [1, 2, 3, 7, 20_000]) {
      for (const limit of [1, 3, 100]) {
        const found = await all(db, limit, rows)
        expect(found, `${limit} ${rows}`).toEqual({
          ...{ breaches: [], lines: [], expiries: [], accounts: 4 },
        })
      }
    }
  })

  test('what is wrong is found alike, however few rows a statement reads', async () => {
    await db.query(
      `UPDATE lots SET remaining_micros = remaining_micros + 1 WHERE account_id = 'a';
       UPDATE lots SET expired_micros = expired_micros + 2 WHERE account_id = 'b';
       UPDATE accounts SET version = 0, entry_seq = entry_seq - 1, debt_micros = debt_micros + 5
         WHERE id = 'c';
       UPDATE usage SET micros = micros + 7
         WHERE hold_id = (SELECT hold_id FROM usage WHERE account_id = 'b' AND micros > 0 LIMIT 1);
       DELETE FROM usage
         WHERE hold_id = (SELECT hold_id FROM usage WHERE account_id = 'a' AND micros > 0 LIMIT 1);
       INSERT INTO ledger_entries (account_id, seq, lot_id, line, movement_type, micros,
         reference_type, reference_id, op_id, created_at)
       VALUES ('d', 1, (SELECT min(id::text) FROM lots WHERE account_id = 'b')::uuid, 'lot', 'grant',
                4, 'x', 'x', 'x', now()),
              ('d', 2, NULL, 'debt', 'usage', -4, 'usage', 'no hold', 'y', now())`,
    )
    const whole = await all(db, 100, 20_000)
    const told = whole.breaches.map(({ invariant, accountId }) => `${invariant} ${accountId}`)
    // d has an entry on a lot of b, which has none of it.
    // The account itself, its two lots and the charge without a receipt; and so on.
    expect(told).toEqual([
      ...['I1 a', 'I1 a', 'I1 a', 'I1 c', 'I1 c', 'I1 d', 'I1 d', 'I9 a', 'I9 b', 'I9 d'],
    ])
    expect(whole.lines.map(({ accountId }) => accountId)).toEqual(['c', 'd'])
    expect(whole.expiries.map(({ accountId }) => accountId)).toEqual(['b', 'b'])
    for (const rows of [1, 2, 3, 7]) expect(await all(db, 3, rows)).toEqual(whole)
  })

  test('spend by key and day is summed alike, however few holds a statement reads', async () => {
    await db.query(
      `UPDATE key_spend SET micros = micros + 1 WHERE key_id = 'key-c' AND day = 20469`,
    )
    const subjects = async (rows: number, sinceMs: number | null) => {
      const page = await checkOfKeySpend(db, rows).page(null, { sinceMs, untilMs: 0 })
      return page.drifts.map(({ subject }) => subject)
    }
    const found = await subjects(20_000, null)
    expect(found).toContain('key-c day 20469')
    expect(found).toHaveLength(3) // and those of the receipts that were changed
    for (const rows of [1, 2, 5]) expect(await subjects(rows, null)).toEqual(found)
    expect(await subjects(3, 20_469 * DAY_MS)).toContain('key-c day 20469')
    expect(await subjects(3, 20_470 * DAY_MS)).not.toContain('key-c day 20469')
  })

  test('a snapshot sees one moment, and Postgres lets it write nothing', async () => {
    const count = async (tx: Pick<Db, 'query'>) =>
      (await tx.query(`SELECT count(*) AS n FROM accounts WHERE name = 'late'`))[0]?.n
    if (kind === 'postgres') {
      await snapshot(db, 10_000, async (tx) => {
        expect(await count(tx)).toBe(0)
        await db.query(
          `INSERT INTO accounts (id, name, changed_at, created_at) VALUES ('l', 'late', now(), now())`,
        )
        expect(await count(tx)).toBe(0)
      })
      expect(await count(db)).toBe(1)
      const slow = snapshot(db, 20, (tx) => tx.query('SELECT pg_sleep(60)'))
      await expect(slow).rejects.toMatchObject({ code: '57014' })
    }
    const writing = snapshot(db, 10_000, (tx) => tx.query(`DELETE FROM settings`))
    await expect(writing).rejects.toMatchObject({ code: '25006' })
  })

  test('receipts find their entries by op id, also where nothing is known of the tables', async () => {
    await db.query(
      `INSERT INTO ledger_entries (account_id, seq, line, movement_type, micros, reference_type,
         reference_id, op_id, created_at)
       SELECT 'many', g, 'debt', 'usage', -1, 'usage', g::text, 'many:' || g, $1
       FROM generate_series(1, 5000) g`,
      [new Date(0)],
    )
    const text = readFileSync(
      new URL('../../src/ledger/sql/check-holds.sql', import.meta.url),
      'utf8',
    )
    const least = '00000000-0000-0000-0000-000000000000'
    const values = ['many', least, 'many', least.replaceAll('0', 'f')]
    const named = text.replace(/\$(\d)/g, (_, n: string) => `'${values[Number(n) - 1] ?? ''}'`)
    const plan = (await db.query(`EXPLAIN ${named}`)).map((row) => textOf(row, 'QUERY PLAN'))
    // By the account each hold would read all of its entries.
    expect(plan.join('\n')).not.toMatch(/Index Cond: \(?\(account_id = |ledger_entries_pkey/)
  })
})
