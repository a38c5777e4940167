import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { KEPT_BACK_MS } from '../../src/kernel/limits/posting.ts'
import { micros } from '../../src/kernel/money.ts'
import { makePostingLedger, type Posted } from '../../src/ledger/posting-ledger.ts'
import type { PostItem } from '../../src/ledger/receipt.ts'
import type { Db } from '../../src/store/db.ts'
import { testDb } from '../store/databases.ts'
import { addAccount, expectSound, grant, ids, item, makeLedgerOn, T0 } from './support.ts'

/** Names the statements that go through it. */
function watched(db: Db): { db: Db; sent: string[]; transactions: () => number } {
  const sent: string[] = []
  let transactions = 0
  const nameOf = (sql: string): string => {
    if (sql.includes('was_version')) return 'write'
    if (sql.includes('FOR NO KEY UPDATE')) return 'lock'
    return /FROM (\w+)/.exec(sql)?.[1] ?? 'beside'
  }
  const watch =
    (query: Db['query']): Db['query'] =>
    (sql, params) => {
      sent.push(nameOf(sql))
      return query(sql, params)
    }
  const tx: Db['tx'] = (run, options) => {
    transactions += 1
    return db.tx((one) => run({ query: watch((...sql) => one.query(...sql)) }), options)
  }
  const query = watch((...sql) => db.query(...sql))
  return { db: { ...db, query, tx }, sent, transactions: () => transactions }
}

describe.each(['postgres', 'pglite'] as const)('%s', async (kind) => {
  const own = await testDb(kind)
  const { db } = own
  const other = makeLedgerOn(db)
  afterAll(() => own[Symbol.asyncDispose]())

  /** A process that has just posted to an account with 1 000 on it. */
  async function warm(id: string, options: { besides?: (posted: readonly Posted[]) => void } = {}) {
    await addAccount(db, id)
    await other.books.grant(grant(id, 1_000), T0)
    const eye = watched(db)
    const ledger = makePostingLedger({
      db: eye.db,
      ids,
      alongside(postings) {
        options.besides?.(postings)
        return []
      },
    })
    await ledger.post([item({ accountId: id, micros: 100 })], T0)
    eye.sent.length = 0
    return { ledger, sent: eye.sent, transactions: eye.transactions }
  }
  const balance = async (id: string) => other.books.balance(id)

  test('accounts it posted to before are written without being read', async () => {
    const { ledger, sent, transactions } = await warm('again')
    for (let i = 0; i < 3; i++) {
      const items = [item({ accountId: 'again' }), item({ accountId: 'again', micros: 7 })]
      const outcomes = await ledger.post(items, T0)
      expect(outcomes.map((one) => [one.kind, one.version])).toEqual([
        ['new', 3 + i],
        ['new', 3 + i],
      ])
    }
    expect(sent).toEqual(['write', 'write', 'write'])
    expect(transactions()).toBe(1) // the first, which read
    expect(await balance('again')).toMatchObject({ postedMicros: 900 - 3 * 107 })
    await expectSound(db)
  })

  const changes: Record<string, (id: string) => Promise<unknown>> = {
    'another process posted': (id) => other.ledger.post([item({ accountId: id })], T0),
    'credits were granted': (id) => other.books.grant(grant(id, 5, { priority: 1 }), T0),
    'credits were adjusted': (id) =>
      other.books.adjust({ accountId: id, micros: micros(-5), reason: '', referenceId: id }, T0),
    'its plan changed': (id) =>
      db.query('UPDATE accounts SET change_seq = change_seq + 1, meter_plan = $2 WHERE id = $1', [
        id,
        'pro',
      ]),
  }
  test.each(Object.entries(changes))('reads again after %s', async (what, change) => {
    const plans: (string | null)[] = []
    const { ledger, sent } = await warm(what, {
      besides: (posted) => plans.push(posted[0]?.account.meterPlan ?? null),
    })
    await change(what)
    const before = (await balance(what))?.postedMicros
    const outcomes = await ledger.post([item({ accountId: what, micros: 10 })], T0)
    expect(outcomes).toMatchObject([{ kind: 'new' }])
    expect(sent).toEqual(['write', 'lock', 'unnest', 'unnest', 'write'])
    expect((await balance(what))?.postedMicros).toBe(Number(before) - 10)
    expect(plans.at(-1)).toBe(what === 'its plan changed' ? 'pro' : null)
    await expectSound(db)
  })

  test('a raised limit lets what is beyond the lots be overage', async () => {
    const { ledger } = await warm('limit')
    await db.query(
      `UPDATE accounts SET change_seq = change_seq + 1, plan_overage_limit_micros = 30
       WHERE id = 'limit'`,
      [],
    )
    await ledger.post([item({ accountId: 'limit', micros: 950 })], T0)
    expect(await balance('limit')).toMatchObject({ overageMicros: 30, debtMicros: 20 })
    await ledger.post([item({ accountId: 'limit', micros: 50 })], T0)
    expect(await balance('limit')).toMatchObject({ overageMicros: 30, debtMicros: 70 })
  })

  test('a hold that has a receipt is corrected or left alone', async () => {
    const { ledger, sent } = await warm('hold')
    const first = item({ accountId: 'hold', rev: 1, micros: 30 })
    await ledger.post([first], T0)
    const last = item({ ...first.receipt, rev: 2, micros: 40 })
    expect(await ledger.post([last], T0)).toMatchObject([{ kind: 'new', isCorrection: true }])
    await ledger.post([item({ accountId: 'hold', micros: 0 })], T0) // the pause after a miss
    expect(await ledger.post([first, last], T0)).toMatchObject([{ kind: 'noop' }, { kind: 'noop' }])
    expect(await balance('hold')).toMatchObject({ postedMicros: 860 })
    expect(sent.filter((name) => name === 'lock')).toHaveLength(3)
    await expectSound(db)
  })

  test('of several accounts none is written when one has changed', async () => {
    const { ledger } = await warm('many-a')
    for (const id of ['many-b', 'many-c']) {
      await addAccount(db, id)
      await ledger.post([item({ accountId: id })], T0)
    }
    await other.ledger.post([item({ accountId: 'many-b' })], T0)
    const batch = ['many-a', 'many-b', 'many-c'].map((accountId) => item({ accountId }))
    expect(await ledger.post(batch, T0)).toMatchObject([
      { kind: 'new', version: 3 },
      { kind: 'new', version: 3 },
      { kind: 'new', version: 2 },
    ])
    await expectSound(db)
  })

  test('a lot that expired paid for what was reserved before, however long ago', async () => {
    await addAccount(db, 'old')
    const soon = grant('old', 100, { kind: 'promo', priority: 1, expiresAtMs: T0 + 1_000 })
    await other.books.grant(soon, T0)
    await other.books.grant(grant('old', 1_000), T0)
    await other.books.turn(T0 + 2_000, 1_000)
    const nowMs = T0 + 2 * KEPT_BACK_MS
    const ledger = makePostingLedger({ db, ids })
    await ledger.post([item({ accountId: 'old', micros: 1, reservedAtMs: nowMs })], nowMs)
    await ledger.post([item({ accountId: 'old', micros: 30, reservedAtMs: T0 })], nowMs)
    expect(await balance('old')).toMatchObject({ lots: [{ remainingMicros: 999 }] })
    const types = (await other.books.entries('old', null, 2)).map((e) => e.movementType)
    expect(types).toEqual(['usage', 'reinstatement'])
    await expectSound(db)
  })

  test('where misses follow each other, ever more batches are read at once', async () => {
    const { ledger, sent } = await warm('shared')
    for (let i = 0; i < 40; i++) {
      await other.ledger.post([item({ accountId: 'shared', micros: 1 })], T0)
      await ledger.post([item({ accountId: 'shared', micros: 1 })], T0)
    }
    const writes = sent.filter((name) => name === 'write').length
    expect(writes - 40).toBe(5) // after 0, 1, 3, 7 and 15 that were read
    sent.length = 0
    for (let i = 0; i < 40; i++) await ledger.post([item({ accountId: 'shared' })], T0)
    expect(sent.filter((name) => name === 'lock').length).toBeLessThan(31)
    expect(sent.slice(-5)).toEqual(Array.from({ length: 5 }, () => 'write'))
    await expectSound(db)
  })

  test('what others write beside it is written with it, or not at all', async () => {
    await addAccount(db, 'aside')
    const eye = watched(db)
    const ledger = makePostingLedger({
      db: eye.db,
      ids,
      alongside: (postings) =>
        postings.map(({ receipt, account }) => ({
          sql: 'INSERT INTO settings (name, value) VALUES ($1, $2)',
          params: [`aside-${receipt.holdId}`, String(account.postedMicros)],
        })),
    })
    const posts: PostItem[] = Array.from({ length: 3 }, () => item({ accountId: 'aside' }))
    const [first, second, third] = posts
    if (!first || !second || !third) throw new Error('items')
    await ledger.post([first], T0)
    await ledger.post([second], T0)
    await other.ledger.post([item({ accountId: 'aside', micros: 1 })], T0)
    await ledger.post([third], T0)
    expect(eye.sent.filter((name) => name === 'beside')).toHaveLength(3)
    const rows = await db.query("SELECT value FROM settings WHERE name LIKE 'aside-%'", [])
    expect(rows.map(({ value }) => value).sort()).toEqual(['-100', '-200', '-301'])
    await expect(ledger.post([item({ accountId: 'aside' }), third], T0)).resolves.toMatchObject([
      { kind: 'new' },
      { kind: 'noop' },
    ])
    await expectSound(db)
  })
})

test('whoever changes an account or its lots raises its version or change_seq', () => {
  const root = join(import.meta.dirname, '../..')
  const files = ['src', 'migrations']
    .flatMap((dir) =>
      readdirSync(join(root, dir), { recursive: true, encoding: 'utf8' }).map((path) =>
        join(dir, path),
      ),
    )
    .filter((path) => path.endsWith('.sql'))
    .map((path) => ({
      path,
      sql: readFileSync(join(root, path), 'utf8').replaceAll(/--.*$/gm, ''),
    }))
  const matching = (pattern: RegExp) => files.filter(({ sql }) => pattern.test(sql))
  const accounts = matching(/UPDATE\s+accounts\b/).filter(
    ({ sql }) => !/\b(?:change_seq|version) = /.test(sql),
  )
  // The first is of before anything was kept, the second touches nothing that is.
  expect(accounts.map(({ path }) => path).sort()).toEqual([
    'migrations/0013-meters/up.sql',
    'src/billing/sql/note-email.sql',
  ])
  expect(matching(/UPDATE\s+lots\b/).map(({ path }) => path)).toEqual([
    'src/ledger/sql/write-sheets.sql',
  ])
})
