import { expect, test } from 'vitest'
import { decideAccess, type AccessFacts } from '../../src/access/check/decide.ts'
import { resolve } from '../../src/access/plans/resolve.ts'
import { micros, ZERO } from '../../src/kernel/money.ts'
import { bookOf, subscription, END, HOUR } from './plan-support.ts'

const CREDIT = micros(1_000_000)
const asked = { feature: null, model: null, creditsMicros: null }

function facts(
  fields: Partial<AccessFacts> = {},
  after: 'allow' | 'refuse' = 'allow',
): AccessFacts {
  const entitlements = resolve({
    subscriptions: [subscription()],
    overrides: [],
    book: bookOf({ after_plan: after }),
    nowMs: END + 6 * HOUR,
  })
  return {
    status: 'active',
    ...{ entitlements, spendableMicros: ZERO, isPaymentPending: false },
    ...fields,
  }
}

test('credits that outlived the plan are let through, not what only the plan gave', () => {
  const bought = facts({ spendableMicros: CREDIT })
  expect(decideAccess(asked, bought)).toBe('ok')
  expect(decideAccess({ ...asked, creditsMicros: CREDIT }, bought)).toBe('ok')
  expect(decideAccess({ ...asked, feature: 'exports' }, bought)).toBe('no_plan')
  const more = { ...asked, creditsMicros: micros(CREDIT + 1) }
  expect(decideAccess(more, bought)).toBe('insufficient_credits')
})

test('a plan that is over, without credits, is no access', () => {
  expect(decideAccess(asked, facts())).toBe('no_plan')
  expect(decideAccess(asked, facts({ isPaymentPending: true }))).toBe('payment_pending')
})

test('by policy nothing outlives the plan', () => {
  expect(decideAccess(asked, facts({ spendableMicros: CREDIT }, 'refuse'))).toBe('no_plan')
})
