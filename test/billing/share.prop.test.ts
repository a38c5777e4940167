import fc from 'fast-check'
import { expect, test } from 'vitest'
import { takenBack } from '../../src/billing/effects/share.ts'
import { micros } from '../../src/kernel/money.ts'

const grant = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(micros)
const amount = fc.integer({ min: 0, max: 99_999_999_999 })

test('credits taken back: never more than the grant, all of it at all of the money', () => {
  fc.assert(
    fc.property(grant, amount, amount, amount, (given, paid, refunded, withdrawn) => {
      const { refundMicros, disputeMicros } = takenBack(given, { paid, refunded, withdrawn })
      expect(refundMicros).toBeGreaterThanOrEqual(0)
      expect(disputeMicros).toBeGreaterThanOrEqual(0)
      expect(refundMicros + disputeMicros).toBeLessThanOrEqual(given)
      const isAll = paid > 0 && refunded + withdrawn >= paid
      if (isAll) expect(refundMicros + disputeMicros).toBe(given)
      if (paid === 0 || refunded + withdrawn === 0) expect(refundMicros + disputeMicros).toBe(0)
    }),
  )
})

test('the sum is rounded once, to the nearest, and depends on the sum only', () => {
  fc.assert(
    fc.property(
      grant,
      fc.integer({ min: 1, max: 10_000_000 }),
      amount,
      amount,
      (given, paid, a, b) => {
        const both = takenBack(given, { paid, refunded: a, withdrawn: b })
        const turned = takenBack(given, { paid, refunded: b, withdrawn: a })
        const total = BigInt(both.refundMicros + both.disputeMicros)
        expect(BigInt(turned.refundMicros + turned.disputeMicros)).toBe(total)
        const exactTimes2 = 2n * BigInt(given) * BigInt(Math.min(a + b, paid))
        const error = 2n * total * BigInt(paid) - exactTimes2
        expect((error < 0n ? -error : error) <= BigInt(paid)).toBe(true)
      },
    ),
  )
})

test('a third of ten credits', () => {
  const third = takenBack(micros(10_000_000), { paid: 300, refunded: 100, withdrawn: 0 })
  expect(third).toEqual({ refundMicros: 3_333_333, disputeMicros: 0 })
})
