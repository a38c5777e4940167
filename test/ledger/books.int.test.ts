import { afterAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { micros } from '../../src/kernel/money.ts'
import { checkLedger } from '../../src/ledger/checks.ts'
import { testDb } from '../store/databases.ts'
import { addAccount, DAY_MS, done, expectSound, grant, ids, item } from './support.ts'
import { makeLedgerOn, T0 } from './support.ts'

const MOST = Number.MAX_SAFE_INTEGER
const idAt = (ms: number) => makeIds({ ...systemClock, now: () => ms }).uuid()

describe.each(['postgres', 'pglite'] as const)('%s', async (kind) => {
  const own = await testDb(kind)
  const { db, ledger, books } = makeLedgerOn(own.db)
  afterAll(() => own[Symbol.asyncDispose]())
  const changeSeq = async (id: string) => (await ledger.snapshotAccount(id))?.changeSeq

  test("an account that cannot be turned keeps no other one's lots from expiring", async () => {
    await addAccount(db, 'too much')
    await books.grant(grant('too much', 5), T0)
    await books.grant(grant('too much', 7, { effectiveAtMs: T0 + 1_000 }), T0)
    const tamper = 'UPDATE lots SET granted_micros = $1 WHERE granted_micros = 7'
    await db.query(tamper, [MOST])
    await addAccount(db, 'beside')
    await books.grant(grant('beside', 500, { expiresAtMs: T0 + 2_000 }), T0)
    const { accountIds, fault } = await books.turn(T0 + 3_000, 10)
    expect(fault?.message).toContain('not a safe integer')
    expect(accountIds).toEqual(['beside'])
    expect(await books.balance('beside')).toMatchObject({ postedMicros: 0, lots: [] })
    expect(await books.balance('too much')).toMatchObject({ postedMicros: 5 })
    await db.query("UPDATE accounts SET next_change_at = NULL WHERE id = 'too much'", [])
  })

  test('a grant with the same reference is the same lot', async () => {
    await addAccount(db, 'g')
    const input = grant('g', 500)
    const first = done(await books.grant(input, T0))
    expect(first).toMatchObject({ created: true, lot: { remainingMicros: 500, state: 'active' } })
    expect(await books.grant(input, T0 + 1)).toEqual({ lot: first.lot, created: false })
    expect(await changeSeq('g')).toBe(1)
    expect(await books.grant(grant('nobody', 1), T0)).toBeNull()
  })

  test('nothing is added or taken that could not be counted, now or when lots begin', async () => {
    await addAccount(db, 'full', 30)
    const state = async () => ({
      rows: await db.query(
        `SELECT a.*, (SELECT count(*) FROM lots WHERE account_id = a.id) AS lots
         FROM accounts a WHERE id = 'full'`,
      ),
      entries: await books.entries('full', null, 100),
    })
    const adjust = (amount: number) => {
      const change = { accountId: 'full', micros: micros(amount), reason: '' }
      return books.adjust({ ...change, referenceId: ids.uuid() }, T0)
    }
    const past = async (what: () => Promise<unknown>, roomMicros: number) => {
      const before = await state()
      expect(await what()).toEqual({ ok: false, roomMicros })
      expect(await state()).toEqual(before)
    }
    // 30 of overage are on no lot: what closes them later adds them to the balance.
    const used = item({ accountId: 'full', micros: 130 })
    await ledger.post([used], T0)
    await past(() => adjust(-MOST), MOST - 130)
    expect(done(await adjust(-(MOST - 130))).created).toBe(true)
    await past(() => adjust(-1), 0)
    expect(done(await adjust(MOST)).created).toBe(true)
    await past(() => books.grant(grant('full', MOST), T0), MOST - 30)
    const soon = grant('full', 1_000, { effectiveAtMs: T0 + 1_000 })
    expect(done(await books.grant(soon, T0)).created).toBe(true)
    await past(() => books.grant(grant('full', MOST - 1_029), T0), MOST - 1_030)
    expect(done(await books.grant(grant('full', MOST - 1_030), T0)).created).toBe(true)
    expect(done(await books.grant(soon, T0)).created).toBe(false)
    await past(() => books.reverse(used.receipt.holdId, '', T0), 0)
    await books.turn(T0 + 2_000, 10)
    expect(await books.balance('full')).toMatchObject({ overageMicros: 30, debtMicros: 0 })
    expect((await ledger.snapshotAccount('full'))?.postedMicros).toBe(MOST - 30)
    await past(() => adjust(1), 0)
  })

  test('grants with one reference made at the same time make one lot', async () => {
    await addAccount(db, 'race')
    const input = grant('race', 500)
    const all = await Promise.all(
      Array.from({ length: 6 }, () => books.grant(input, T0).then(done)),
    )
    expect(all.filter((one) => one.created)).toHaveLength(1)
    expect(new Set(all.map((one) => one.lot.id)).size).toBe(1)
    expect(await books.balance('race')).toMatchObject({ postedMicros: 500 })
  })

  test('a future grant counts when its time has come, and expires when that is over', async () => {
    await addAccount(db, 'time')
    const input = grant('time', 500, {
      effectiveAtMs: T0 + DAY_MS,
      expiresAtMs: T0 + 3 * DAY_MS,
    })
    expect(await books.grant(input, T0)).toMatchObject({
      lot: { state: 'pending', remainingMicros: 0 },
    })
    expect(await books.turn(T0 + DAY_MS - 1, 10)).toEqual({ accountIds: [], fault: null })
    expect(await books.balance('time')).toMatchObject({ postedMicros: 0, lots: [] })
    expect(await books.turn(T0 + DAY_MS, 10)).toEqual({ accountIds: ['time'], fault: null })
    expect(await books.turn(T0 + DAY_MS, 10)).toEqual({ accountIds: [], fault: null })
    expect(await books.balance('time')).toMatchObject({ postedMicros: 500 })
    await ledger.post([item({ accountId: 'time', micros: 120 })], T0 + DAY_MS)
    expect(await books.turn(T0 + 3 * DAY_MS, 10)).toEqual({ accountIds: ['time'], fault: null })
    expect(await books.balance('time')).toMatchObject({ postedMicros: 0, lots: [] })
    const [expired] = await db.query(
      "SELECT state, expired_micros FROM lots WHERE account_id = 'time'",
      [],
    )
    expect(expired).toEqual({ state: 'expired', expired_micros: 380 })
    expect(await changeSeq('time')).toBe(3)
    await expectSound(db)
  })

  test('adjustments go up as a lot and down through lots into debt, once by reference', async () => {
    await addAccount(db, 'adj')
    const adjust = (amount: number, referenceId: string) =>
      books.adjust({ accountId: 'adj', micros: micros(amount), reason: 'by hand', referenceId }, T0)
    expect(await adjust(70, 'up')).toEqual({ micros: 70, created: true })
    expect(await adjust(70, 'up')).toEqual({ micros: 70, created: false })
    expect(await adjust(-100, 'down')).toEqual({ micros: -100, created: true })
    expect(await adjust(-100, 'down')).toEqual({ micros: -100, created: false })
    expect(await books.balance('adj')).toMatchObject({ postedMicros: -30, debtMicros: 30 })
    expect(
      await books.adjust(
        { accountId: 'nobody', micros: micros(1), reason: '', referenceId: 'x' },
        T0,
      ),
    ).toBeNull()
    await expectSound(db)
  })

  test('a reversal gives back what was taken to where it came from, once', async () => {
    await addAccount(db, 'rev')
    const short = { kind: 'promo', expiresAtMs: T0 + 1_000 } as const
    const soon = done(await books.grant(grant('rev', 40, short), T0))
    const late = done(await books.grant(grant('rev', 40), T0))
    const charged = item({ accountId: 'rev', micros: 100 })
    await ledger.post([charged], T0)
    const before = await books.receipt(charged.receipt.holdId, 'rev')
    expect(before?.reversedMicros).toBe(0)
    expect(before?.entries).toEqual([
      { lotId: soon.lot.id, line: 'lot', micros: -40 },
      { lotId: late.lot.id, line: 'lot', micros: -40 },
      { lotId: null, line: 'debt', micros: -20 },
    ])
    await books.turn(T0 + 2_000, 10)
    const { holdId } = charged.receipt
    expect(await books.reverse(holdId, 'bad answer', T0 + 3_000)).toEqual({
      micros: 100,
      created: true,
    })
    expect(await books.reverse(holdId, 'again', T0 + 3_000)).toEqual({
      micros: 100,
      created: false,
    })
    expect(await books.balance('rev')).toMatchObject({
      postedMicros: 40,
      debtMicros: 0,
      lots: [{ id: late.lot.id, remainingMicros: 40 }],
    })
    expect(await books.receipt(holdId, 'rev')).toMatchObject({
      ...{ micros: 100, reversedMicros: 100, entries: [] },
    })
    expect(await books.reverse(ids.uuid(), 'none', T0)).toBeNull()
    await expectSound(db)
  })

  test('a reversed hold whose last receipt comes late stays reversed', async () => {
    await addAccount(db, 'rev2')
    await books.grant(grant('rev2', 100), T0)
    const first = item({ accountId: 'rev2', rev: 1, micros: 10 })
    await ledger.post([first], T0)
    await books.reverse(first.receipt.holdId, 'gone', T0)
    await ledger.post([item({ ...first.receipt, rev: 2, micros: 25 })], T0)
    expect(await books.balance('rev2')).toMatchObject({ postedMicros: 100, debtMicros: 0 })
    const receipt = await books.receipt(first.receipt.holdId, 'rev2')
    expect(receipt).toMatchObject({ micros: 25, reversedMicros: 25, entries: [] })
    await expectSound(db)
  })

  test('debt that was repaid meanwhile comes back as a lot', async () => {
    await addAccount(db, 'repaid')
    const charged = item({ accountId: 'repaid', micros: 30 })
    await ledger.post([charged], T0)
    await books.grant(grant('repaid', 100), T0)
    expect(await books.balance('repaid')).toMatchObject({ postedMicros: 70, debtMicros: 0 })
    await books.reverse(charged.receipt.holdId, 'sorry', T0)
    expect(await books.balance('repaid')).toMatchObject({
      postedMicros: 100,
      lots: [
        { kind: 'promo', remainingMicros: 30 },
        { kind: 'paid', remainingMicros: 70 },
      ],
    })
    await expectSound(db)
  })

  test('entries and usage are paged newest first', async () => {
    await addAccount(db, 'page')
    const items = Array.from({ length: 5 }, (_, i) =>
      item({ accountId: 'page', holdId: idAt(T0 + i), micros: i + 1 }),
    )
    for (const one of items) await ledger.post([one], T0)
    const first = await books.entries('page', null, 3)
    expect(first.map(({ seq }) => seq)).toEqual([5, 4, 3])
    expect((await books.entries('page', 3, 3)).map(({ seq }) => seq)).toEqual([2, 1])
    const query = { accountId: 'page', fromMs: null, toMs: null, limit: 3 }
    const page = await books.usage({ ...query, cursor: null })
    expect(page.map((row) => row.micros)).toEqual([5, 4, 3])
    const rest = await books.usage({ ...query, cursor: page[2]?.holdId ?? null })
    expect(rest.map((row) => row.micros)).toEqual([2, 1])
    const range = { ...query, cursor: null, limit: 10 }
    expect(await books.usage({ ...range, fromMs: T0, toMs: T0 + 60_000 })).toHaveLength(5)
    expect(await books.usage({ ...range, fromMs: T0 + 60_000 })).toEqual([])
    expect(await books.usage({ ...range, toMs: T0 })).toEqual([])
    expect(page[0]).toMatchObject({
      providerCostPicoUsd: '123456789012345678901',
      usage: { input_tokens: 10, output_tokens: 5 },
      entries: [{ lotId: null, line: 'debt', micros: -5 }],
    })
  })

  test('of several revs usage shows the ruling one', async () => {
    await addAccount(db, 'revs')
    const one = item({ accountId: 'revs', rev: 1, micros: 1 })
    await ledger.post([one], T0)
    const query = { accountId: 'revs', fromMs: null, toMs: null, cursor: null, limit: 10 }
    expect(await books.usage(query)).toMatchObject([{ rev: 1, micros: 1 }])
    await ledger.post([item({ ...one.receipt, rev: 2, micros: 2 })], T0)
    expect(await books.usage(query)).toMatchObject([{ rev: 2, micros: 2 }])
  })

  test('the checks find what was tampered with', async () => {
    await addAccount(db, 'zz-tampered')
    const granted = done(await books.grant(grant('zz-tampered', 100), T0))
    const charged = item({ accountId: 'zz-tampered', micros: 10 })
    await ledger.post([charged], T0)
    await expectSound(db)
    await db.query('UPDATE lots SET remaining_micros = 91 WHERE id = $1', [granted.lot.id])
    await db.query('UPDATE usage SET micros = 11 WHERE hold_id = $1', [charged.receipt.holdId])
    const { breaches } = await checkLedger(db, 'zz', 10)
    const accountId = 'zz-tampered'
    expect(breaches).toEqual([
      expect.objectContaining({ invariant: 'I1', accountId, subject: accountId }),
      expect.objectContaining({ invariant: 'I1', accountId, subject: granted.lot.id }),
      expect.objectContaining({ invariant: 'I9', accountId, subject: charged.receipt.holdId }),
    ])
  })
})
