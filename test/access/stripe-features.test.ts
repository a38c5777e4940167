import { expect, test } from 'vitest'
import { resolve } from '../../src/access/plans/resolve.ts'
import { withMore } from '../../src/access/plans/stripe-features.ts'
import { bookOf, END, HOUR, START, subscription } from './plan-support.ts'

const book = bookOf({
  default_plan: 'free',
  stripe_features: { sso: { sso: true }, seats: { seats: 3, exports: 10 }, more: { seats: 9 } },
})
const at = (fields: object, nowMs = START, overrides = []) =>
  resolve({
    ...{ subscriptions: [subscription(fields)], overrides, book, nowMs },
    stripeFeatures: ['sso', 'seats', 'more', 'unmapped', 'constructor'],
  }).features

test('what gives more wins, whoever gives it', () => {
  expect(withMore({ a: 5, b: true, c: 1 }, { a: 3, b: 9, c: true, d: 0 })).toEqual({
    ...{ a: 5, b: true, c: true, d: 0 },
  })
  expect(at({})).toEqual({ exports: true, seats: 9, sso: true })
})

test.each([
  ['trialing', { status: 'trialing' }, START, true],
  ['in grace', { status: 'past_due', owedSinceMs: START }, START, true],
  ['downgraded', { status: 'unpaid', owedSinceMs: START }, START, false],
  ['suspended', { status: 'paused' }, START, false],
  ['not paid yet', { status: 'incomplete' }, START, false],
  ['over', { status: 'canceled', endedAtMs: START }, START, false],
  ['outlived', {}, END + 6 * HOUR, false],
] as const)('of a subscription that is %s', (_name, fields, nowMs, has) => {
  expect(Object.hasOwn(at(fields, nowMs), 'sso')).toBe(has)
})
