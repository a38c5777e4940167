import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { micros } from '../../src/kernel/money.ts'
import { settleSales, type Sale } from '../../src/ledger/sale.ts'
import { testDb } from '../store/databases.ts'
import { addAccount, DAY_MS, expectSound, grant, ids, item, makeLedgerOn, T0 } from './support.ts'

const sale = (
  key: string,
  amount: number,
  refund = 0,
  dispute = 0,
  fields: Partial<Sale['lot']> = {},
): Sale => ({
  key,
  lot: {
    micros: micros(amount),
    kind: 'paid',
    priority: 0,
    expiresAtMs: null,
    reason: 'bought',
    ...fields,
  },
  refundMicros: micros(refund),
  disputeMicros: micros(dispute),
})

describe.each(['postgres', 'pglite'] as const)('on %s', async (kind) => {
  const own = await testDb(kind)
  const { db, ledger, books } = makeLedgerOn(own.db)
  afterAll(() => own[Symbol.asyncDispose]())

  const settle = (accountId: string, sales: readonly Sale[], nowMs = T0) =>
    db.tx((tx) => settleSales(tx, accountId, sales, { nowMs, newId: () => ids.uuid() }))
  const spend = (accountId: string, amount: number) =>
    ledger.post([item({ accountId, micros: amount })], T0)
  const state = async (accountId: string) => {
    const balance = await books.balance(accountId)
    return {
      posted: balance?.postedMicros,
      debt: balance?.debtMicros,
      lots: balance?.lots.map((lot) => lot.remainingMicros),
    }
  }

  test('a sale is granted once, and the same call again writes nothing', async () => {
    await addAccount(db, 'once')
    expect(await settle('once', [sale('k:1', 500)])).toMatchObject([{ granted: true }])
    expect(await settle('once', [sale('k:1', 500)])).toMatchObject([
      { granted: false, takenMicros: 0 },
    ])
    expect((await ledger.snapshotAccount('once'))?.changeSeq).toBe(1)
    expect(await state('once')).toEqual({ posted: 500, debt: 0, lots: [500] })
    expect(await settle('nobody', [sale('k:2', 500)])).toBeNull()
  })

  test('a sale that cannot be counted any more fails whole, also beside lots that wait', async () => {
    await addAccount(db, 'full')
    await books.grant(grant('full', 10, { effectiveAtMs: T0 + 1_000 }), T0)
    const most = Number.MAX_SAFE_INTEGER
    const past = settle('full', [sale('f:1', 5), sale('f:2', most - 14)])
    await expect(past).rejects.toThrow('f:2: the account has no room for what was sold')
    expect(await state('full')).toEqual({ posted: 0, debt: 0, lots: [] })
    await settle('full', [sale('f:1', 5), sale('f:2', most - 15)])
    await books.turn(T0 + 2_000, 10)
    expect(await state('full')).toMatchObject({ posted: most })
  })

  test('a refund that came before its grant nets to zero', async () => {
    await addAccount(db, 'net')
    await settle('net', [sale('n:1', 500, 500)])
    expect(await state('net')).toEqual({ posted: 0, debt: 0, lots: [] })
    const types = (await books.entries('net', null, 10)).map(({ movementType }) => movementType)
    expect(types).toEqual(['refund', 'grant'])
  })

  test('credits that are spent become debt when they are refunded, and come back', async () => {
    await addAccount(db, 'debt')
    await settle('debt', [sale('d:1', 500)])
    await spend('debt', 400)
    await settle('debt', [sale('d:1', 500, 250)])
    expect(await state('debt')).toEqual({ posted: -150, debt: 150, lots: [] })
    await settle('debt', [sale('d:1', 500, 250, 250)])
    expect(await state('debt')).toEqual({ posted: -400, debt: 400, lots: [] })
    await settle('debt', [sale('d:1', 500, 250)])
    expect(await state('debt')).toEqual({ posted: -150, debt: 150, lots: [] })
    await settle('debt', [sale('d:1', 500)])
    expect(await state('debt')).toEqual({ posted: 100, debt: 0, lots: [100] })
    const types = (await books.entries('debt', null, 20)).map(({ movementType }) => movementType)
    expect(new Set(types)).toEqual(
      new Set(['grant', 'usage', 'refund', 'dispute', 'reinstatement']),
    )
  })

  test('what was taken from other lots goes back to them, what was repaid to its own', async () => {
    await addAccount(db, 'lots')
    await settle('lots', [sale('l:1', 500)])
    await spend('lots', 500)
    await books.grant(grant('lots', 200), T0)
    await settle('lots', [sale('l:1', 500, 500)])
    expect(await state('lots')).toEqual({ posted: -300, debt: 300, lots: [] })
    await books.grant(grant('lots', 300), T0)
    expect(await state('lots')).toEqual({ posted: 0, debt: 0, lots: [] })
    await settle('lots', [sale('l:1', 500)])
    expect(await state('lots')).toMatchObject({ posted: 500, debt: 0 })
    expect((await state('lots')).lots?.toSorted()).toEqual([200, 300])
  })

  test('a lot that expired is taken back from what its expiry took, and expires again', async () => {
    await addAccount(db, 'old')
    const bought = (refund: number) =>
      sale('o:1', 500, refund, 0, { expiresAtMs: T0 + DAY_MS, kind: 'included' })
    await settle('old', [bought(0)])
    await books.turn(T0 + 2 * DAY_MS, 10)
    expect(await state('old')).toEqual({ posted: 0, debt: 0, lots: [] })
    await settle('old', [bought(500)], T0 + 3 * DAY_MS)
    expect(await state('old')).toEqual({ posted: 0, debt: 0, lots: [] })
    await settle('old', [bought(100)], T0 + 3 * DAY_MS)
    expect(await state('old')).toEqual({ posted: 0, debt: 0, lots: [] })
  })

  test.each(['restored first', 'repaid first'] as const)(
    'debt that a clawback left, %s, costs once, though the lot is long over',
    async (order) => {
      const name = order.replace(' ', '-')
      await addAccount(db, name)
      const at = (days: number) => T0 + days * DAY_MS
      const bought = (dispute: number) =>
        sale(`e:${name}`, 1_000, 0, dispute, { expiresAtMs: at(30) })
      await settle(name, [bought(0)])
      await spend(name, 700)
      await settle(name, [bought(1_000)], at(1))
      expect(await state(name)).toEqual({ posted: -700, debt: 700, lots: [] })
      const topUp = () => books.grant(grant(name, 1_000), at(2))
      if (order === 'repaid first') await topUp()
      await books.turn(at(31), 10)
      // In parts, as a dispute may be: what the debt was comes first, and what had been left last.
      for (const dispute of [600, 200, 0]) await settle(name, [bought(dispute)], at(60))
      if (order === 'restored first') await topUp()
      await books.turn(at(400), 10)
      const { posted, debt, lots } = await state(name)
      expect({ posted, debt }).toEqual({ posted: 1_000, debt: 0 })
      expect(lots?.reduce((sum, micros) => sum + micros, 0)).toBe(1_000)
    },
  )

  test('what came back and is taken and given again is the same amount', async () => {
    await addAccount(db, 'again')
    const bought = (dispute: number) =>
      sale('g:1', 500, 0, dispute, { expiresAtMs: T0 + DAY_MS, kind: 'included', priority: -10 })
    await settle('again', [bought(0)])
    await spend('again', 500)
    await settle('again', [bought(500)])
    await books.grant(grant('again', 500), T0)
    await books.turn(T0 + 2 * DAY_MS, 10)
    const later = T0 + 3 * DAY_MS
    for (const [dispute, posted] of [
      ...[
        [0, 500],
        [500, 0],
        [250, 250],
        [0, 500],
        [300, 200],
        [0, 500],
      ],
    ] as const) {
      await settle('again', [bought(dispute)], later)
      expect(await state('again')).toMatchObject({ posted, debt: 0 })
    }
    const { lots } = (await books.balance('again')) ?? { lots: [] }
    expect(new Set(lots.map(({ kind, expiresAtMs }) => [kind, expiresAtMs].join()))).toEqual(
      new Set(['paid,']),
    )
  })

  test('keys that begin alike do not mix', async () => {
    await addAccount(db, 'keys')
    const two = (a: number, b: number) => [sale('x:1', 100, a), sale('x:1:2', 200, b)]
    await settle('keys', two(50, 0))
    await settle('keys', two(50, 20))
    await settle('keys', two(50, 20))
    expect((await state('keys')).posted).toBe(230)
  })

  test('two writers at once post a difference once', async () => {
    await addAccount(db, 'race')
    await Promise.all([1, 2, 3, 4].map(() => settle('race', [sale('r:1', 500, 100, 50)])))
    expect((await state('race')).posted).toBe(350)
  })

  test('whatever the way, the balance is grant − what is to be taken + everything else', async () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ refund: fc.nat(60), dispute: fc.nat(40) }),
        fc.record({ spend: fc.integer({ min: 1, max: 80 }) }),
        fc.record({ topUp: fc.integer({ min: 1, max: 80 }) }),
      ),
      { maxLength: 12 },
    )
    let count = 0
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        count += 1
        const [accountId, key] = [`p${count}`, `p:${count}`]
        await addAccount(db, accountId)
        let [expected, taken] = [100, 0]
        await settle(accountId, [sale(key, 100)])
        for (const step of history) {
          if ('spend' in step) {
            await spend(accountId, step.spend)
            expected -= step.spend
          } else if ('topUp' in step) {
            await books.grant(grant(accountId, step.topUp), T0)
            expected += step.topUp
          } else {
            await settle(accountId, [sale(key, 100, step.refund, step.dispute)])
            taken = step.refund + step.dispute
          }
          expect((await state(accountId)).posted).toBe(expected - taken)
        }
      }),
      { numRuns: kind === 'postgres' ? 40 : 10 },
    )
    await expectSound(db)
  })
})
