import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { micros } from '../../src/kernel/money.ts'
import { byBurnOrder, type LotState } from '../../src/ledger/sheet.ts'
import type { Db } from '../../src/store/db.ts'
import { testDb } from '../store/databases.ts'
import { makeMemoryAccount } from './memory.ts'
import { addAccount, done, expectSound, grant, item, makeLedgerOn } from './support.ts'
import { T0, withoutGuard } from './support.ts'

const amount = fc.integer({ min: 1, max: 200 })
const step = fc.record({
  passMs: fc.integer({ min: 1, max: 20 }),
  what: fc.oneof(
    fc.record({
      act: fc.constant('grant' as const),
      amount,
      priority: fc.integer({ min: 0, max: 2 }),
      lastsMs: fc.option(fc.integer({ min: 1, max: 60 }), { nil: null }),
    }),
    fc.record({
      act: fc.constant('post' as const),
      // Which of two processes.
      by: fc.constantFrom(0 as const, 1 as const),
      // Hold, amount, rev and age of each receipt in the batch.
      receipts: fc.array(
        fc.tuple(fc.nat(5), fc.nat(200), fc.constantFrom(1 as const, 2 as const), fc.nat(40)),
        { minLength: 1, maxLength: 4 },
      ),
    }),
    fc.record({ act: fc.constant('adjust' as const), amount: fc.integer({ min: -150, max: 150 }) }),
    fc.record({ act: fc.constant('reverse' as const), hold: fc.nat(5) }),
    fc.record({ act: fc.constant('turn' as const) }),
  ),
})

const visible = (lots: readonly LotState[]) =>
  lots
    .filter(({ remainingMicros }) => remainingMicros > 0)
    .toSorted(byBurnOrder)
    .map(({ kind, priority, remainingMicros }) => ({ kind, priority, remainingMicros }))

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** The same account, moved by two processes in the database and in memory. Throws where they part. */
async function runHistory(db: Db, id: string, steps: readonly Step[]): Promise<void> {
  const processes = [makeLedgerOn(db), makeLedgerOn(db)] as const
  const [{ books }] = processes
  await addAccount(db, id, 50)
  const memory = makeMemoryAccount(id, 50)
  const holdIds = Array.from({ length: 6 }, () => item({}).receipt.holdId)
  let nowMs = T0
  for (const [n, { passMs, what }] of steps.entries()) {
    nowMs += passMs
    if (what.act === 'grant') {
      const expiresAtMs = what.lastsMs === null ? null : nowMs + what.lastsMs
      const input = grant(id, what.amount, { priority: what.priority, expiresAtMs })
      await books.grant(input, nowMs)
      const lot = { ...input, grantedMicros: input.micros, effectiveAtMs: nowMs }
      memory.grant(lot, nowMs)
    } else if (what.act === 'post') {
      const items = what.receipts.map(([hold, cost, rev, agoMs]) =>
        item({
          holdId: holdIds[hold] ?? '',
          accountId: id,
          rev,
          micros: cost,
          reservedAtMs: nowMs - agoMs,
        }),
      )
      const kinds = (list: readonly { kind: string }[]) => list.map((one) => one.kind)
      const outcomes = await processes[what.by].ledger.post(items, nowMs)
      expect(kinds(outcomes)).toEqual(kinds(memory.post(items, nowMs)))
    } else if (what.act === 'adjust') {
      if (what.amount === 0) continue
      const change = { accountId: id, micros: micros(what.amount), reason: 'test' }
      await books.adjust({ ...change, referenceId: String(n) }, nowMs)
      memory.adjust(what.amount, String(n), nowMs)
    } else if (what.act === 'reverse') {
      const holdId = holdIds[what.hold] ?? ''
      const outcome = await books.reverse(holdId, 'test', nowMs)
      const reversed = outcome === null ? null : done(outcome)
      const expected = memory.reverse(holdId, nowMs)
      if (reversed?.created === true) expect(reversed.micros).toBe(expected)
      else expect(expected).toBe(0)
    } else {
      await books.turn(nowMs, 1_000)
      memory.turn(nowMs)
    }
    const balance = await books.balance(id)
    expect(balance).toMatchObject({
      postedMicros: memory.account.postedMicros,
      debtMicros: memory.account.debtMicros,
      overageMicros: memory.account.overageMicros,
      lots: visible(memory.lots),
    })
  }
}

describe.each(['postgres', 'pglite'] as const)('%s', async (kind) => {
  const { db, ...own } = await testDb(kind)
  afterAll(() => own[Symbol.asyncDispose]())
  let runs = 0
  const histories = (on: Db) =>
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), (steps) =>
      runHistory(on, `acc-${runs++}`, steps),
    )

  test('random histories leave the same balances in the database as in memory', async () => {
    await fc.assert(histories(db), { numRuns: kind === 'postgres' ? 40 : 25 })
    await expectSound(db)
  })

  test.runIf(kind === 'pglite').each([
    ['its accounts as they were', 'accounts'],
    ['no receipt of its holds', 'unposted'],
  ] as const)('they would not, did a posting not make sure of %s', async (_, part) => {
    const found = await fc.check(histories(withoutGuard(db, part)), {
      numRuns: 200,
      endOnFailure: true,
    })
    expect(found.failed).toBe(true)
  })
})
