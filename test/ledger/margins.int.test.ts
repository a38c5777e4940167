import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { makeIds } from '../../src/kernel/ids.ts'
import { micros } from '../../src/kernel/money.ts'
import {
  makeMargins,
  partsOf,
  type MarginGroup,
  type MarginSums,
} from '../../src/ledger/margins/margins.ts'
import { marginPercent, rankMargins } from '../../src/ledger/margins/rank.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import type { PostItem } from '../../src/ledger/receipt.ts'
import { testDb } from '../store/databases.ts'
import { addAccount, DAY_MS, grant, ids, item, makeLedgerOn, T0 } from './support.ts'

const GROUPS: readonly MarginGroup[] = ['account', 'model', 'key', 'day', 'upstream']
const MIDNIGHT = Date.UTC(2026, 0, 16)
const WEEK = { sinceMs: MIDNIGHT - 7 * DAY_MS, untilMs: MIDNIGHT + 7 * DAY_MS }

/** An id as a gateway makes it at that moment. */
const idAt = (atMs: number): string => makeIds({ now: () => atMs }).uuid()

describe.each(['postgres', 'pglite'] as const)('%s', async (kind) => {
  const own = await testDb(kind)
  const { db, ledger, books } = makeLedgerOn(own.db)
  const margins = makeMargins({ db, perUsd: () => '100' })
  afterAll(() => own[Symbol.asyncDispose]())

  const read = async (by: MarginGroup, time = WEEK) => {
    const report = await margins.read({ by, ...time })
    if (report === 'too_many') throw new Error('too many')
    return report
  }
  const rowOf = async (by: MarginGroup, name: string, time = WEEK) =>
    (await read(by, time)).rows.find((row) => row.name === name)
  let count = 0
  const anAccount = async (overageLimit = 0): Promise<string> => {
    count += 1
    await addAccount(db, `margin-${count}`, overageLimit)
    return `margin-${count}`
  }
  const charge = async (
    accountId: string,
    micros: number,
    more: Parameters<typeof item>[0] = {},
  ) => {
    const one = item({
      ...{ accountId, micros, providerCostPicoUsd: '1000000000', holdId: idAt(MIDNIGHT) },
      ...more,
    })
    await ledger.post([one], MIDNIGHT)
    return one
  }

  test('a request is a dollar a hundred credits, at what its own price version says', async () => {
    await db.query(
      `INSERT INTO prices (version, source, upstream, model, document, created_at)
       VALUES ('config:250', 'config', 'openai', 'm', '{"credits_per_usd": "250"}', $1)`,
      [new Date(T0)],
    )
    const accountId = await anAccount()
    await books.grant(grant(accountId, 10_000_000), T0)
    await charge(accountId, 2_000_000)
    await charge(accountId, 2_000_000, { priceVersion: 'config:250' })
    expect(await rowOf('account', accountId)).toMatchObject({
      requests: 2,
      chargedMicros: 4_000_000,
      revenuePicoUsd: 20_000_000_000n + 8_000_000_000n,
      costPicoUsd: 2_000_000_000n,
    })
  })

  test('promo credits and debt are no revenue, included credits and overage are', async () => {
    const accountId = await anAccount(5_000_000)
    await books.grant(grant(accountId, 1_000_000, { kind: 'promo', priority: 1 }), T0)
    await books.grant(grant(accountId, 2_000_000, { kind: 'included', priority: 2 }), T0)
    await books.grant(grant(accountId, 3_000_000, { kind: 'paid', priority: 3 }), T0)
    await charge(accountId, 15_000_000)
    expect(await rowOf('account', accountId)).toMatchObject({
      promoMicros: 1_000_000,
      includedMicros: 2_000_000,
      paidMicros: 3_000_000,
      overageMicros: 5_000_000,
      debtMicros: 4_000_000,
      revenuePicoUsd: 100_000_000_000n,
      promoPicoUsd: 10_000_000_000n,
      debtPicoUsd: 40_000_000_000n,
    })
  })

  test('a reversed request brings nothing and still cost what it cost', async () => {
    const accountId = await anAccount()
    await books.grant(grant(accountId, 1_000_000), T0)
    const { receipt } = await charge(accountId, 700_000)
    await charge(accountId, 100_000)
    await books.reverse(receipt.holdId, 'wrong', MIDNIGHT)
    expect(await rowOf('account', accountId)).toMatchObject({
      requests: 2,
      chargedMicros: 100_000,
      reversedMicros: 700_000,
      revenuePicoUsd: 1_000_000_000n,
      costPicoUsd: 2_000_000_000n,
    })
  })

  test('of two revs the last one counts, in charge and in cost, also after its reversal', async () => {
    const accountId = await anAccount()
    await books.grant(grant(accountId, 1_000_000), T0)
    const { receipt } = await charge(accountId, 300, { rev: 1, estimated: true })
    const last = { rev: 2, micros: 500, providerCostPicoUsd: '77', estimated: false } as const
    await ledger.post([item({ ...receipt, ...last })], MIDNIGHT)
    const expected = { requests: 1, estimated: 0, chargedMicros: 500, costPicoUsd: 77n }
    expect(await rowOf('account', accountId)).toMatchObject(expected)
    await books.reverse(receipt.holdId, 'wrong', MIDNIGHT)
    expect(await rowOf('account', accountId)).toMatchObject({ chargedMicros: 0, costPicoUsd: 77n })
  })

  test('work whose cost nobody told is apart, not free', async () => {
    const accountId = await anAccount()
    await books.grant(grant(accountId, 1_000_000), T0)
    await charge(accountId, 400_000, { priceVersion: 'credits', providerCostPicoUsd: '0' })
    await charge(accountId, 100_000)
    expect(await rowOf('account', accountId)).toMatchObject({
      requests: 2,
      chargedMicros: 500_000,
      revenuePicoUsd: 1_000_000_000n,
      costPicoUsd: 1_000_000_000n,
      uncostedRequests: 1,
      uncostedPicoUsd: 4_000_000_000n,
    })
  })

  test('a free request and an estimated one count', async () => {
    const accountId = await anAccount()
    await charge(accountId, 0, { estimated: true })
    expect(await rowOf('account', accountId)).toMatchObject({
      ...{ requests: 1, estimated: 1, chargedMicros: 0, costPicoUsd: 1_000_000_000n },
    })
  })

  test('a day begins and ends at midnight UTC, and the time asked for is kept to the ms', async () => {
    const accountId = await anAccount()
    const upstream = `edge-${kind}`
    for (const atMs of [MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + DAY_MS - 1, MIDNIGHT + DAY_MS]) {
      await charge(accountId, 0, { holdId: idAt(atMs), upstream, model: upstream })
    }
    const days = async (sinceMs: number, untilMs: number) => {
      const { rows } = await read('upstream', { sinceMs, untilMs })
      return rows.find(({ name }) => name === upstream)?.requests ?? 0
    }
    expect(await days(MIDNIGHT, MIDNIGHT + DAY_MS)).toBe(2)
    expect(await days(MIDNIGHT - 1, MIDNIGHT + DAY_MS + 1)).toBe(4)
    expect(await days(MIDNIGHT, MIDNIGHT + 1)).toBe(1)
    expect(await days(MIDNIGHT + 1, MIDNIGHT + DAY_MS - 1)).toBe(0)
    const names = (await read('day')).rows.map(({ name }) => name)
    expect(names.filter((name) => name >= '2026-01-15' && name <= '2026-01-17')).toHaveLength(3)
  })

  test('whoever counts as it is posted is told what of a charge is earned', async () => {
    const accountId = await anAccount(30)
    await books.grant(grant(accountId, 10, { kind: 'promo', priority: 1 }), T0)
    await books.grant(grant(accountId, 20, { kind: 'paid', priority: 2 }), T0)
    const told: unknown[] = []
    const posting = makePostingLedger({
      ...{ db, ids },
      posted: (postings) => {
        for (const { deltaMicros, unearnedMicros, isFirst } of postings) {
          told.push([deltaMicros, unearnedMicros, isFirst])
        }
      },
    })
    const one = item({ accountId, rev: 1, micros: 100 })
    await posting.post([one], T0)
    await posting.post([one], T0)
    const less = item({ ...one.receipt, rev: 2, micros: 25 })
    await posting.post([less], T0)
    expect(told).toEqual([
      [100, 50, true],
      [-75, -40, false],
    ])
  })

  test('more days than a report may have are refused', async () => {
    expect(await margins.read({ by: 'day', sinceMs: 0, untilMs: MIDNIGHT })).toBe('too_many')
  })

  const anyRequest = fc.record({
    account: fc.nat({ max: 2 }),
    key: fc.nat({ max: 3 }),
    model: fc.constantFrom('a', 'b', 'c'),
    upstream: fc.constantFrom('x', 'y'),
    micros: fc.nat({ max: 3_000_000 }),
    cost: fc.bigInt({ min: 0n, max: 10n ** 22n }),
    atMs: fc.integer({ min: -2 * DAY_MS, max: 2 * DAY_MS }),
    version: fc.constantFrom('v1', 'config:3', 'credits'),
    reversed: fc.boolean(),
    corrected: fc.option(fc.nat({ max: 3_000_000 }), { nil: null }),
  })

  type AnyRequest = typeof anyRequest extends fc.Arbitrary<infer One> ? One : never

  test('however requests are grouped, the sums are those of the receipts', async () => {
    await db.query(
      `INSERT INTO prices (version, source, document, created_at)
       VALUES ('config:3', 'config', '{"credits_per_usd": "3"}', $1)`,
      [new Date(T0)],
    )
    let run = 0
    const history = async (requests: AnyRequest[]) => {
      run += 1
      // A time of its own, so that runs do not see one another.
      const midnight = MIDNIGHT + run * 30 * DAY_MS
      const accounts = await Promise.all([0, 1, 2].map((n) => anAccount(n * 1_000_000)))
      for (const [n, id] of accounts.entries()) {
        for (const lot of ['promo', 'included', 'paid'] as const) {
          await books.grant(grant(id, (n + 1) * 700_000, { kind: lot }), T0)
        }
      }
      const posted: PostItem[] = []
      for (const one of requests) {
        const first = item({
          holdId: idAt(midnight + one.atMs),
          accountId: accounts[one.account] ?? '',
          keyId: `key-${one.account}-${one.key}`,
          model: one.model,
          upstream: one.upstream,
          micros: one.micros,
          rev: one.corrected === null ? 2 : 1,
          providerCostPicoUsd: one.version === 'credits' ? '0' : String(one.cost),
          priceVersion: one.version,
        })
        const last = item({ ...first.receipt, rev: 2, micros: one.corrected ?? 0 })
        await ledger.post([first], midnight)
        if (one.reversed) await books.reverse(first.receipt.holdId, 'wrong', midnight)
        if (one.corrected !== null) await ledger.post([last], midnight)
        posted.push(one.corrected === null ? first : last)
      }
      const time = { sinceMs: midnight - 3 * DAY_MS, untilMs: midnight + 3 * DAY_MS }
      const costs = posted.reduce(
        (sum, { receipt }) => sum + BigInt(receipt.providerCostPicoUsd),
        0n,
      )
      const charged = requests.reduce(
        (sum, one) => sum + (one.reversed ? 0 : (one.corrected ?? one.micros)),
        0,
      )
      const totals: MarginSums[] = []
      for (const by of GROUPS) {
        const report = await read(by, time)
        for (const losing of [false, true]) {
          const { shown, others, total } = rankMargins(report, { by, losing, limit: 2 })
          const parts = [...shown, others]
          expect(parts.reduce((sum, one) => sum + one.revenuePicoUsd, 0n)).toBe(
            total.revenuePicoUsd,
          )
          expect(parts.reduce((sum, one) => sum + one.costPicoUsd, 0n)).toBe(total.costPicoUsd)
          expect(parts.reduce((sum, one) => sum + one.requests, 0)).toBe(total.requests)
        }
        totals.push(report.total)
      }
      expect(totals).toEqual(GROUPS.map(() => totals[0]))
      expect(totals[0]).toMatchObject({
        requests: requests.length,
        chargedMicros: charged,
        costPicoUsd: costs,
        ...(await expectedRevenue(posted)),
      })
    }
    /** From each receipt as the API shows it, and the lots it names. */
    const expectedRevenue = async (posted: readonly PostItem[]) => {
      let [revenuePicoUsd, uncostedPicoUsd] = [0n, 0n]
      for (const { receipt } of posted) {
        const shown = await books.receipt(receipt.holdId, null)
        let brought = 0n
        for (const { lotId, line, micros: moved } of shown?.entries ?? []) {
          const [lot] = await db.query('SELECT kind FROM lots WHERE id = $1', [lotId])
          const counts = line === 'overage' || (line === 'lot' && lot?.kind !== 'promo')
          if (counts) brought -= BigInt(moved)
        }
        const perUsd = receipt.priceVersion === 'config:3' ? 3n : 100n
        const worth = (brought * 1_000_000n) / perUsd
        if (receipt.priceVersion === 'credits') uncostedPicoUsd += worth
        else revenuePicoUsd += worth
      }
      return { revenuePicoUsd, uncostedPicoUsd }
    }
    const numRuns = Number(process.env.MARGIN_RUNS ?? 2)
    const histories = fc.array(anyRequest, { minLength: 1, maxLength: 10 })
    await fc.assert(fc.asyncProperty(histories, history), { numRuns })
  }, 300_000)
})

test('a span is cut at midnights UTC, without a gap or an overlap', () => {
  const moment = fc.integer({ min: 0, max: 4_000_000_000_000 })
  fc.assert(
    fc.property(moment, fc.integer({ min: 1, max: 40 * DAY_MS }), (sinceMs, length) => {
      const parts = partsOf(sinceMs, sinceMs + length)
      expect(parts[0]?.fromMs).toBe(sinceMs)
      expect(parts.at(-1)?.toMs).toBe(sinceMs + length)
      for (const [at, { fromMs, toMs }] of parts.entries()) {
        expect(Math.floor((toMs - 1) / DAY_MS)).toBe(Math.floor(fromMs / DAY_MS))
        if (at > 0) expect(parts[at - 1]?.toMs).toBe(fromMs)
      }
    }),
  )
})

test('a margin is told in hundredths of a percent, exactly rounded', () => {
  const percent = (revenue: bigint, cost: bigint) =>
    marginPercent({ ...EMPTY, revenuePicoUsd: revenue, costPicoUsd: cost })
  expect(percent(0n, 5n)).toBeNull()
  expect(percent(120n, 100n)).toBe('16.67')
  expect(percent(100n, 120n)).toBe('-20.00')
  expect(percent(3n, 3n)).toBe('0.00')
  expect(percent(1_000_000n, 1_000_001n)).toBe('0.00')
  expect(percent(10n ** 30n, 1n)).toBe('100.00')
  expect(percent(20_000n, 19_999n)).toBe('0.01')
})

const EMPTY = {
  ...{ requests: 0, estimated: 0, uncostedRequests: 0, uncostedPicoUsd: 0n },
  ...{ revenuePicoUsd: 0n, costPicoUsd: 0n, promoPicoUsd: 0n, debtPicoUsd: 0n },
  ...{ chargedMicros: micros(0), paidMicros: micros(0), includedMicros: micros(0) },
  ...{ overageMicros: micros(0), promoMicros: micros(0), debtMicros: micros(0) },
  reversedMicros: micros(0),
}
