import fc from 'fast-check'
import { expect, test } from 'vitest'
import { micros } from '../../src/kernel/money.ts'
import type { NewLot } from '../../src/ledger/burn.ts'
import { byBurnOrder, type Entry, type LotState } from '../../src/ledger/sheet.ts'
import { makeMemoryAccount, type MemoryAccount } from './memory.ts'
import { item, T0 } from './support.ts'

const amount = fc.integer({ min: 1, max: 200 })
const hold = fc.integer({ min: 0, max: 5 }).map((n) => `hold-${n}`)

/** One thing that happens, and how much time (ms) has passed since the last. */
const step = fc.record({
  passMs: fc.integer({ min: 0, max: 20 }),
  turns: fc.boolean(),
  what: fc.oneof(
    fc.record({
      act: fc.constant('grant' as const),
      amount,
      kind: fc.constantFrom('promo' as const, 'included' as const, 'paid' as const),
      priority: fc.integer({ min: 0, max: 2 }),
      startsMs: fc.constantFrom(0, 0, 15),
      lastsMs: fc.option(fc.integer({ min: 1, max: 60 }), { nil: null }),
    }),
    fc.record({
      act: fc.constant('post' as const),
      amount: fc.integer({ min: 0, max: 200 }),
      hold,
      rev: fc.constantFrom(1 as const, 2 as const),
      agoMs: fc.integer({ min: 0, max: 40 }),
      unbacked: fc.boolean(),
    }),
    fc.record({ act: fc.constant('adjust' as const), amount: fc.integer({ min: -150, max: 150 }) }),
    fc.record({ act: fc.constant('reverse' as const), hold }),
    fc.record({ act: fc.constant('refund' as const), amount, lot: fc.nat(5) }),
  ),
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

function play(memory: MemoryAccount, { what }: Step, nowMs: number, n: number): void {
  switch (what.act) {
    case 'grant': {
      const fields: NewLot = {
        kind: what.kind,
        priority: what.priority,
        grantedMicros: micros(what.amount),
        effectiveAtMs: nowMs + what.startsMs,
        expiresAtMs: what.lastsMs === null ? null : nowMs + what.startsMs + what.lastsMs,
        reason: 'test',
        referenceType: 'test',
        referenceId: String(n),
      }
      memory.grant(fields, nowMs)
      return
    }
    case 'post': {
      const fields = { holdId: what.hold, rev: what.rev, accountId: 'acc', micros: what.amount }
      const { unbacked } = what
      memory.post([item({ ...fields, reservedAtMs: nowMs - what.agoMs }, { unbacked })], nowMs)
      return
    }
    case 'adjust':
      if (what.amount !== 0) memory.adjust(what.amount, String(n), nowMs)
      return
    case 'reverse':
      memory.reverse(what.hold, nowMs)
      return
    case 'refund': {
      const lot = memory.lots[what.lot]
      if (lot !== undefined) memory.refund(lot, micros(what.amount), String(n), nowMs)
    }
  }
}

const sum = (entries: readonly Entry[]) => entries.reduce((total, { micros: m }) => total + m, 0)

function expectSound({ account, lots, entries, posted }: MemoryAccount): void {
  const onLots = lots.reduce((total, lot) => total + lot.remainingMicros, 0)
  expect(account.postedMicros).toBe(sum(entries))
  expect(account.postedMicros).toBe(onLots - account.debtMicros - account.overageMicros)
  expect(account.overageMicros).toBeLessThanOrEqual(account.overageLimitMicros)
  for (const lot of lots) {
    expect(sum(entries.filter(({ lotId }) => lotId === lot.id))).toBe(lot.remainingMicros)
    expect(lot.remainingMicros + lot.expiredMicros).toBeLessThanOrEqual(lot.grantedMicros)
    if (lot.state !== 'active') expect(lot.remainingMicros).toBe(0)
  }
  for (const [holdId, { micros: total }] of posted) {
    const own = entries.filter(
      ({ op, type }) =>
        (op.id === `${holdId}:1` || op.id === `${holdId}:2`) &&
        (type === 'usage' || type === 'reversal'),
    )
    expect(0 - sum(own)).toBe(total)
  }
  expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => i + 1))
  const names = entries.map(({ op, lotId, line }) => `${op.id} ${lotId ?? ''} ${line}`)
  expect(new Set(names).size).toBe(names.length)
}

/** What a lot could pay before the step, for a request reserved at `asOfMs`. */
const couldPay = (lot: LotState, asOfMs: number) =>
  lot.state === 'expired' && (lot.expiredAtMs ?? 0) > asOfMs
    ? lot.expiredMicros
    : lot.remainingMicros

test('whatever happens, the ledger adds up and every hold is charged its highest rev', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(0, 50), (steps, limit) => {
      const memory = makeMemoryAccount('acc', limit)
      let nowMs = T0
      steps.forEach((each, n) => {
        nowMs += each.passMs
        if (each.turns) memory.turn(nowMs)
        play(memory, each, nowMs, n)
        expectSound(memory)
      })
    }),
    { numRuns: 600 },
  )
})

test('a charge takes from lots in the total order, then overage, then debt', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), amount, fc.nat(40), (steps, cost, agoMs) => {
      const memory = makeMemoryAccount('acc', 50)
      let nowMs = T0
      steps.forEach((each, n) => {
        nowMs += each.passMs
        if (each.turns) memory.turn(nowMs)
        play(memory, each, nowMs, n)
      })
      const asOfMs = nowMs - agoMs
      const payers = memory.lots.toSorted(byBurnOrder).map((lot) => ({
        id: lot.id,
        most: couldPay(lot, asOfMs),
      }))
      const room = 50 - memory.account.overageMicros
      const before = memory.entries.length
      memory.post([item({ holdId: 'last', micros: cost, reservedAtMs: asOfMs })], nowMs)
      let left = cost
      const expected: { where: string; micros: number }[] = []
      const take = (where: string, most: number) => {
        const some = Math.min(left, most)
        left -= some
        if (some > 0) expected.push({ where, micros: -some })
      }
      for (const { id, most } of payers) take(id, most)
      take('overage', room)
      take('debt', left)
      const taken = memory.entries.slice(before).filter(({ type }) => type === 'usage')
      expect(
        taken.map(({ lotId, line, micros: m }) => ({ where: lotId ?? line, micros: m })),
      ).toEqual(expected)
    }),
    { numRuns: 400 },
  )
})

test('a reversal returns to each lot exactly what the receipt took from it', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 20 }),
      amount,
      fc.option(amount, { nil: null }),
      (steps, first, second) => {
        const memory = makeMemoryAccount('acc', 50)
        let nowMs = T0
        steps.forEach((each, n) => {
          nowMs += each.passMs
          if (each.turns) memory.turn(nowMs)
          play(memory, each, nowMs, n)
        })
        const lotsBefore = new Map(memory.lots.map((lot) => [lot.id, lot.remainingMicros]))
        const { debtMicros, overageMicros } = memory.account
        memory.post([item({ holdId: 'last', rev: 1, micros: first, reservedAtMs: nowMs })], nowMs)
        if (second !== null) {
          memory.post([item({ holdId: 'last', micros: second, reservedAtMs: nowMs })], nowMs)
        }
        expect(memory.reverse('last', nowMs)).toBe(second ?? first)
        expect(memory.reverse('last', nowMs)).toBe(0)
        expect(new Map(memory.lots.map((lot) => [lot.id, lot.remainingMicros]))).toEqual(lotsBefore)
        expect(memory.account).toMatchObject({ debtMicros, overageMicros })
        expectSound(memory)
      },
    ),
    { numRuns: 400 },
  )
})

test('the order of burning is total, whatever order the lots were read in', () => {
  const lot = fc.record({
    id: fc.uuid(),
    kind: fc.constantFrom('promo' as const, 'included' as const, 'paid' as const),
    priority: fc.integer({ min: 0, max: 1 }),
    expiresAtMs: fc.option(fc.integer({ min: 0, max: 2 }), { nil: null }),
    createdAtMs: fc.integer({ min: 0, max: 2 }),
  })
  fc.assert(
    fc.property(fc.uniqueArray(lot, { selector: ({ id }) => id, maxLength: 12 }), (lots) => {
      const sorted = lots.toSorted(byBurnOrder)
      expect(lots.toReversed().sort(byBurnOrder)).toEqual(sorted)
      for (const [i, one] of sorted.entries()) {
        for (const other of sorted.slice(i + 1)) expect(byBurnOrder(one, other)).toBeLessThan(0)
      }
    }),
  )
})
