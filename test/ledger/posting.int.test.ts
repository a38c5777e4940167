import { afterAll, describe, expect, test } from 'vitest'
import { IDEMPOTENT_ANSWER_BYTES_MAX } from '../../src/kernel/limits/idempotency.ts'
import { micros } from '../../src/kernel/money.ts'
import { changesFrom, type ChangedPage, type ChangePlace } from '../../src/ledger/ledger.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import type { Db } from '../../src/store/db.ts'
import { testDb } from '../store/databases.ts'
import { addAccount, DAY_MS, expectSound, grant, ids, item, makeLedgerOn, T0 } from './support.ts'

describe.each(['postgres', 'pglite'] as const)('%s', async (kind) => {
  const own = await testDb(kind)
  const { db, ledger, books } = makeLedgerOn(own.db)
  afterAll(() => own[Symbol.asyncDispose]())

  const state = async (id: string) => {
    const [row] = await db.query(
      `SELECT posted_micros AS posted, debt_micros AS debt, overage_micros AS overage,
              version, change_seq FROM accounts WHERE id = $1`,
      [id],
    )
    return row
  }
  const spend = (keyId: string) =>
    db.query('SELECT day, micros FROM key_spend WHERE key_id = $1 ORDER BY day', [keyId])

  test('a batch charges each account once and raises its version once', async () => {
    await addAccount(db, 'a1')
    await addAccount(db, 'a2')
    await books.grant(grant('a1', 1_000), T0)
    const items = [
      item({ accountId: 'a1', keyId: 'k1', micros: 30, day: 1 }),
      item({ accountId: 'a2', keyId: 'k2', micros: 5 }),
      item({ accountId: 'a1', keyId: 'k1', micros: 40, day: 1 }),
      item({ accountId: 'a1', keyId: 'k1', micros: 2, day: 2 }),
    ]
    const outcomes = await ledger.post(items, T0)
    expect(outcomes).toEqual(
      items.map(({ receipt }) => ({
        holdId: receipt.holdId,
        kind: 'new',
        version: receipt.accountId === 'a1' ? 2 : 1,
      })),
    )
    expect(await state('a1')).toEqual({
      posted: 928,
      debt: 0,
      overage: 0,
      version: 2,
      change_seq: 1,
    })
    expect(await state('a2')).toMatchObject({ posted: -5, debt: 5, version: 1, change_seq: 0 })
    expect(await spend('k1')).toEqual([
      { day: 1, micros: 70 },
      { day: 2, micros: 2 },
    ])
    await expectSound(db)
  })

  test('the same batch again changes nothing and answers the version that rules', async () => {
    await addAccount(db, 'again')
    const items = [item({ accountId: 'again' }), item({ accountId: 'again', micros: 0 })]
    await ledger.post(items, T0)
    await ledger.post([item({ accountId: 'again' })], T0)
    const before = await state('again')
    expect(await ledger.post(items, T0)).toEqual(
      items.map(({ receipt }) => ({ holdId: receipt.holdId, kind: 'noop', version: 1 })),
    )
    expect(await state('again')).toEqual(before)
  })

  test('a charge of nothing leaves a receipt and no entry', async () => {
    await addAccount(db, 'zero')
    const free = item({ accountId: 'zero', keyId: 'zero', micros: 0 })
    expect(await ledger.post([free], T0)).toMatchObject([{ kind: 'new', version: 1 }])
    expect(await books.receipt(free.receipt.holdId, 'zero')).toMatchObject({
      micros: 0,
      entries: [],
    })
    expect(await books.entries('zero', null, 10)).toEqual([])
    expect(await spend('zero')).toEqual([])
  })

  test('rev 2 brings the total of a recovered hold to its own amount, up or down, once', async () => {
    await addAccount(db, 'late')
    await books.grant(grant('late', 1_000), T0)
    const up = item({ accountId: 'late', keyId: 'late', rev: 1, micros: 10 })
    const down = item({ accountId: 'late', keyId: 'late', rev: 1, micros: 10 })
    await ledger.post([up, down], T0)
    const { change_seq: before } = (await state('late')) ?? {}
    const finals = [
      item({ ...up.receipt, rev: 2, micros: 25 }),
      item({ ...down.receipt, rev: 2, micros: 4 }),
    ]
    expect(await ledger.post(finals, T0)).toMatchObject([{ kind: 'new' }, { kind: 'new' }])
    expect(await ledger.post([...finals, up], T0)).toMatchObject([
      { kind: 'noop' },
      { kind: 'noop' },
      { kind: 'noop' },
    ])
    expect(await state('late')).toMatchObject({ posted: 971, change_seq: Number(before) + 1 })
    expect(await books.receipt(up.receipt.holdId, null)).toMatchObject({ rev: 2, late: true })
    expect(await spend('late')).toEqual([{ day: 20_468, micros: 29 }])
    await expectSound(db)
  })

  test('both revs of a hold in one batch: the higher one rules', async () => {
    await addAccount(db, 'both')
    const one = item({ accountId: 'both', rev: 1, micros: 10 })
    const two = item({ ...one.receipt, rev: 2, micros: 30 })
    expect(await ledger.post([one, two, two], T0)).toMatchObject([
      { kind: 'noop', version: 1 },
      { kind: 'new', version: 1 },
      { kind: 'noop', version: 1 },
    ])
    expect(await state('both')).toMatchObject({ posted: -30 })
  })

  test('an unconfirmed settle bumps change_seq and changed_at, a confirmed one neither', async () => {
    await addAccount(db, 'unbacked')
    await ledger.post([item({ accountId: 'unbacked' })], T0 + 5_000)
    const changed = async () =>
      (await ledger.changedSince(changesFrom(T0 + 1), 100)).changed.filter(
        ({ id }) => id === 'unbacked',
      )
    expect(await changed()).toEqual([])
    await ledger.post([item({ accountId: 'unbacked' }, { unbacked: true })], T0 + 6_000)
    const entry = { kind: 'account', id: 'unbacked', accountId: 'unbacked', changeSeq: 1 }
    expect(await changed()).toEqual([entry])
  })

  test('what lots cannot pay is overage as far as the plan lets, then debt', async () => {
    await addAccount(db, 'over', 50)
    await books.grant(grant('over', 10), T0)
    await ledger.post([item({ accountId: 'over', micros: 100 })], T0)
    expect(await state('over')).toMatchObject({ posted: -90, overage: 50, debt: 40 })
    await books.grant(grant('over', 60), T0)
    expect(await state('over')).toMatchObject({ posted: -30, overage: 50, debt: 0 })
    expect(await books.balance('over')).toMatchObject({ lots: [{ remainingMicros: 20 }] })
    await expectSound(db)
  })

  test('a lot that expired after the reserve pays, one that expired before does not', async () => {
    await addAccount(db, 'expired')
    const soon = grant('expired', 100, { kind: 'promo', expiresAtMs: T0 + 1_000 })
    await books.grant(soon, T0)
    await books.grant(grant('expired', 100), T0)
    expect(await books.turn(T0 + 2_000, 1000)).toEqual({ accountIds: ['expired'], fault: null })
    const early = item({ accountId: 'expired', micros: 30, reservedAtMs: T0 + 500 })
    const later = item({ accountId: 'expired', micros: 30, reservedAtMs: T0 + 3_000 })
    await ledger.post([early, later], T0 + 3_500)
    expect(await state('expired')).toMatchObject({ posted: 70 })
    const types = (await books.entries('expired', null, 3)).map((e) => [e.movementType, e.micros])
    expect(types).toEqual([
      ['usage', -30],
      ['usage', -30],
      ['reinstatement', 30],
    ])
    await expectSound(db)
  })

  test('the answer of an idempotent request is kept with its charge; a large one is not', async () => {
    await addAccount(db, 'idem')
    const small = item({ accountId: 'idem' })
    const large = item({ accountId: 'idem' })
    for (const [key, holdId] of [
      ['small', small.receipt.holdId],
      ['large', large.receipt.holdId],
      ['taken', ids.uuid()],
    ] as const) {
      await db.query(
        `INSERT INTO idempotent_requests (account_id, key, hold_id, body_hash, lease_until, state,
           expires_at) VALUES ('idem', $1, $2, '\\x00', $3, 'open', $3)`,
        [key, holdId, new Date(T0)],
      )
    }
    const answer = (idempotencyKey: string, body: Uint8Array) => ({
      idempotencyKey,
      status: 200,
      headers: { 'content-type': 'text/plain' },
      body,
    })
    await ledger.post(
      [
        { ...small, answer: answer('small', new TextEncoder().encode('{"ok":"✓"}')) },
        { ...large, answer: answer('large', new Uint8Array(IDEMPOTENT_ANSWER_BYTES_MAX + 1)) },
        item({ accountId: 'idem' }, { answer: answer('taken', new Uint8Array(1)) }),
      ],
      T0,
    )
    const rows = await db.query(
      `SELECT key, state, status, headers, convert_from(body, 'UTF8') AS body, expires_at
       FROM idempotent_requests WHERE account_id = 'idem' ORDER BY key`,
      [],
    )
    const kept = {
      state: 'charged',
      status: 200,
      headers: { 'content-type': 'text/plain' },
      expires_at: T0 + DAY_MS,
    }
    expect(rows).toEqual([
      { ...kept, key: 'large', body: null },
      { ...kept, key: 'small', body: '{"ok":"✓"}' },
      { key: 'taken', state: 'open', status: null, headers: null, body: null, expires_at: T0 },
    ])
  })

  test('what others write beside it is in the same transaction', async () => {
    await addAccount(db, 'beside')
    const beside = (fail: boolean) =>
      makePostingLedger({
        db,
        ids,
        alongside: (postings) => [
          {
            sql: 'INSERT INTO settings (name, value) VALUES ($1, $2)',
            params: [
              fail ? null : `beside-${postings[0]?.receipt.holdId ?? ''}`,
              String(postings[0]?.account.postedMicros),
            ],
          },
        ],
      })
    const lost = item({ accountId: 'beside' })
    await expect(beside(true).post([lost], T0)).rejects.toMatchObject({ code: '23502' })
    expect(await books.receipt(lost.receipt.holdId, null)).toBeNull()
    await beside(false).post([lost], T0)
    expect(await db.query("SELECT value FROM settings WHERE name LIKE 'beside-%'", [])).toEqual([
      { value: '-100' },
    ])
  })

  test('one impossible row refuses the batch, and parking it notes it once', async () => {
    await addAccount(db, 'bad')
    const good = item({ accountId: 'bad' })
    const impossible = [
      item({ accountId: 'nobody' }),
      item({ accountId: 'bad', holdId: 'not-a-uuid' }),
      item({ accountId: 'bad', micros: -1 }),
      item({ accountId: 'bad', model: 'nul\0' }),
      item({ accountId: 'bad', startedAtMs: Number.NaN }),
    ]
    for (const [i, bad] of impossible.entries()) {
      await expect(ledger.post([good, bad], T0)).rejects.toThrow()
      const reason = `try ${i}`
      const parked = { holdId: bad.receipt.holdId, kind: 'parked', version: 0 }
      expect(await ledger.park(bad, reason, T0)).toEqual(parked)
      expect(await ledger.park(bad, reason, T0 + 1)).toEqual(parked)
    }
    expect(await books.receipt(good.receipt.holdId, null)).toBeNull()
    const findings = await db.query(
      "SELECT severity, last_seen FROM findings WHERE kind = 'unpostable_receipt'",
      [],
    )
    expect(findings).toEqual(impossible.map(() => ({ severity: 'urgent', last_seen: T0 + 1 })))
  })

  test('entries can be neither changed nor removed', async () => {
    for (const statement of [
      'UPDATE ledger_entries SET micros = 1',
      'DELETE FROM ledger_entries',
      'TRUNCATE ledger_entries',
    ]) {
      await expect(db.query(statement, [])).rejects.toThrow(/ledger_entries is insert-only/)
    }
  })

  test('snapshots tell what an engine must know', async () => {
    await addAccount(db, 'snap', 500)
    await db.query("UPDATE accounts SET credit_limit_micros = 100 WHERE id = 'snap'", [])
    await db.query(
      `INSERT INTO entitlements (account_id, state, features, credit_limit_micros,
         overage_limit_micros, requests_per_minute, plans_version, resolved_at)
       VALUES ('snap', 'none', '{}', 0, 0, 7, '', $1)`,
      [new Date(T0)],
    )
    await addKey(db, 'week-key', 'snap')
    const monday = 20_465
    for (const day of [monday - 1, monday, monday + 3]) {
      await ledger.post([item({ accountId: 'snap', keyId: 'week-key', micros: 10, day })], T0)
    }
    expect(await ledger.snapshotAccount('snap')).toEqual({
      accountId: 'snap',
      postedMicros: -30,
      creditLimitMicros: 600,
      status: 'active',
      requestsPerMinute: 7,
      tokensPerMinute: null,
      maxConcurrency: null,
      version: 3,
      changeSeq: 0,
    })
    expect(await ledger.snapshotKey('snap', 'week-key', monday + 3)).toEqual({
      keyId: 'week-key',
      accountId: 'snap',
      status: 'active',
      expiresAtMs: null,
      budgetMicros: micros(1_000),
      budgetPeriod: 'week',
      periodStartDay: monday,
      spendMicros: 20,
      lastDay: monday + 3,
      requestsPerMinute: 60,
      tokensPerMinute: null,
      maxConcurrency: null,
      version: 3,
      changeSeq: 7,
    })
    expect(await ledger.snapshotAccount('nobody')).toBeNull()
    expect(await ledger.snapshotKey('nobody', 'nobody', 1)).toBeNull()
    expect(await ledger.changedSince(changesFrom(T0 + 9_000), 10)).toEqual({
      changed: [{ kind: 'key', id: 'week-key', accountId: 'snap', changeSeq: 7 }],
      next: null,
    })
  })

  test('what changed at one moment is read page by page, each once', async () => {
    for (const id of ['page-a', 'page-b', 'page-c']) await addAccount(db, id)
    await addKey(db, 'page-key', 'page-a')
    await addKey(db, 'page-key-2', 'page-a')
    const all = (await ledger.changedSince(changesFrom(0), 1_000)).changed
    const paged: unknown[] = []
    let place: ChangePlace | null = changesFrom(0)
    while (place !== null) {
      const page: ChangedPage = await ledger.changedSince(place, 2)
      paged.push(...page.changed)
      place = page.next
    }
    expect(all.length).toBeGreaterThanOrEqual(5)
    expect(paged).toEqual(all)
  })
})

async function addKey(db: Db, id: string, accountId: string): Promise<void> {
  await db.query(
    `INSERT INTO api_keys (id, account_id, kind, name, prefix, hash, budget_micros, budget_period,
       requests_per_minute, change_seq, changed_at, created_at)
     VALUES ($1, $2, 'client', 'k', 'fb', $3, 1000, 'week', 60, 7, $4, $4)`,
    [id, accountId, new TextEncoder().encode(id), new Date(T0 + 9_000)],
  )
}
