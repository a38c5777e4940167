import { expect, test } from 'vitest'
import { micros } from '../../src/kernel/money.ts'
import type { LotState } from '../../src/ledger/sheet.ts'
import { makeMemoryAccount } from './memory.ts'
import { item, T0 } from './support.ts'

/** A sale of 100 beside a promo lot of 50 that burns first, of which `spent` is used. */
function sale(spent: number, fields: Partial<LotState> = {}) {
  const memory = makeMemoryAccount('acc', 0)
  const common = { effectiveAtMs: T0, expiresAtMs: null, reason: 'test', referenceType: 'test' }
  const sold = memory.grant(
    {
      ...common,
      kind: 'paid',
      priority: 2,
      grantedMicros: micros(100),
      referenceId: 's',
      ...fields,
    },
    T0,
  )
  const promo = memory.grant(
    { ...common, kind: 'promo', priority: 1, grantedMicros: micros(50), referenceId: 'p' },
    T0,
  )
  if (spent > 0) memory.post([item({ micros: spent })], T0)
  return { memory, sold, promo }
}

const moved = (memory: ReturnType<typeof makeMemoryAccount>, from: number) =>
  memory.entries.slice(from).map(({ lotId, line, type, micros: m }) => [lotId ?? line, type, m])

test('a clawback takes what is left of its own lot first', () => {
  const { memory, sold, promo } = sale(0)
  memory.refund(sold, micros(60), 'r', T0)
  expect(sold.remainingMicros).toBe(40)
  expect(promo.remainingMicros).toBe(50)
})

test('what its own lot no longer has comes from other lots, then is owed', () => {
  const { memory, sold, promo } = sale(130)
  memory.grant(
    {
      kind: 'paid',
      priority: 2,
      grantedMicros: micros(30),
      effectiveAtMs: T0,
      expiresAtMs: null,
      reason: 'test',
      referenceType: 'test',
      referenceId: 'other',
    },
    T0,
  )
  const from = memory.entries.length
  memory.refund(sold, micros(100), 'r', T0)
  expect(moved(memory, from)).toEqual([
    [sold.id, 'refund', -20],
    ['lot-000003', 'refund', -30],
    ['debt', 'refund', -50],
  ])
  expect(promo.remainingMicros).toBe(0)
  expect(memory.account).toMatchObject({ postedMicros: -50, debtMicros: 50 })
})

test('what expiry took from its lot counts as taken back, before other lots are touched', () => {
  const { memory, sold, promo } = sale(60, { expiresAtMs: T0 + 1_000 })
  memory.turn(T0 + 1_000)
  expect(sold).toMatchObject({ state: 'expired', expiredMicros: 90, remainingMicros: 0 })
  const from = memory.entries.length
  memory.refund(sold, micros(95), 'r', T0 + 2_000)
  expect(moved(memory, from)).toEqual([
    [sold.id, 'reinstatement', 90],
    [sold.id, 'refund', -90],
    ['debt', 'refund', -5],
  ])
  expect(sold.expiredMicros).toBe(0)
  expect(promo.remainingMicros).toBe(0)
})
