import { describe, expect, test } from 'vitest'
import type { Override } from '../../src/access/plans/overrides.ts'
import { resolve } from '../../src/access/plans/resolve.ts'
import type { SubscriptionState } from '../../src/access/plans/standing.ts'
import { bookOf, DAY, END, HOUR, START, subscription } from './plan-support.ts'

const MINUTE = 60_000
const book = bookOf()
const at = (subscriptions: readonly SubscriptionState[], nowMs: number, of = book) => {
  const { state, planId, blocked, rung } = resolve({
    ...{ subscriptions, overrides: [], book: of, nowMs },
  })
  return [state, planId, blocked, rung]
}

const exception = (patch: Override['patch'], expiresAtMs = END, createdAtMs = START): Override => ({
  id: `o_${createdAtMs}`,
  ...{ patch, expiresAtMs, createdAtMs, reason: 'test', actor: 'test' },
  ...{ removedAtMs: null, removedBy: null },
})

test.each<[Partial<SubscriptionState>, string, string | null, string | null]>([
  [{ status: 'active' }, 'active', 'pro', null],
  [{ status: 'trialing' }, 'trialing', 'pro', null],
  [{ status: 'a_status_of_tomorrow' }, 'active', 'pro', null],
  [{ status: 'past_due', owedSinceMs: START }, 'grace', 'pro', null],
  [{ status: 'unpaid', owedSinceMs: START }, 'downgraded', 'free', null],
  [{ status: 'unpaid', owedSinceMs: START - 14 * DAY }, 'suspended', 'pro', 'suspended'],
  [{ status: 'paused' }, 'suspended', 'pro', 'suspended'],
  [{ status: 'incomplete' }, 'pending', null, null],
  [{ status: 'incomplete_expired' }, 'none', null, null],
  [{ status: 'canceled', endedAtMs: START }, 'none', null, null],
  [{ invoiceStatus: 'void' }, 'downgraded', 'free', null],
  [{ invoiceStatus: 'uncollectible' }, 'downgraded', 'free', null],
  [{ invoiceStatus: 'open' }, 'active', 'pro', null],
  [{ cancelAtMs: START + DAY }, 'active', 'pro', null],
])('a subscription that is %j: %s, plan %s, blocked %s', (fields, state, plan, blocked) => {
  expect(at([subscription(fields)], START + HOUR).slice(0, 3)).toEqual([state, plan, blocked])
})

describe('the grace ladder', () => {
  const owed = (since: number) => subscription({ status: 'past_due', owedSinceMs: since })
  test.each([
    [0, 'grace', 'pro', 'warned'],
    [3 * DAY - 1, 'grace', 'pro', 'warned'],
    [3 * DAY, 'grace', 'pro', 'reminded'],
    [7 * DAY - 1, 'grace', 'pro', 'reminded'],
    [7 * DAY, 'downgraded', 'free', 'downgraded'],
    [14 * DAY - 1, 'downgraded', 'free', 'downgraded'],
    [14 * DAY, 'suspended', 'pro', 'suspended'],
    [400 * DAY, 'suspended', 'pro', 'suspended'],
  ])('%i ms after the invoice was due', (after, state, plan, rung) => {
    for (const since of [START, END, Date.UTC(2028, 1, 29)]) {
      const blocked = state === 'suspended' ? 'suspended' : null
      expect(at([owed(since)], since + after)).toEqual([state, plan, blocked, rung])
    }
  })
  test('takes days of the configuration, none too', () => {
    const grace = { remind_days: 0, downgrade_days: 1, suspend_days: 1 }
    const quick = bookOf({ grace })
    expect(at([owed(START)], START, quick)).toEqual(['grace', 'pro', null, 'reminded'])
    expect(at([owed(START)], START + DAY, quick)[0]).toBe('suspended')
  })
  test('is not upset by a clock ten minutes behind or ahead', () => {
    expect(at([owed(START)], START - 10 * MINUTE)).toEqual(['grace', 'pro', null, 'warned'])
    const renewed = subscription({ periodEndMs: END })
    expect(at([renewed], END + 10 * MINUTE)[0]).toBe('active')
    expect(at([subscription({ cancelAtMs: END })], END + 10 * MINUTE)[0]).toBe('active')
  })
})

test('what was paid ends by itself where no event ever comes; bought credits go on, by policy', () => {
  const lapse = END + 6 * HOUR
  const refuse = bookOf({ after_plan: 'refuse' })
  for (const fields of [{}, { status: 'trialing' }, { status: 'odd' }, { cancelAtMs: END }]) {
    const it = subscription(fields)
    expect(at([it], lapse - 1)[1]).toBe('pro')
    expect(at([it], lapse)).toEqual(['none', null, null, null])
    expect(at([it], lapse, refuse)).toEqual(['none', null, 'no_plan', null])
  }
  const early = subscription({ cancelAtMs: START + DAY })
  expect(at([early], START + DAY + 6 * HOUR)[1]).toBe(null)
  expect(at([subscription()], lapse, bookOf({ default_plan: 'free' }))[1]).toBe('free')
  expect(at([subscription()], END + 10 * MINUTE, bookOf({ slack_minutes: 10 }))[1]).toBe(null)
})

test('without any plan credits alone decide, or nothing is let through, by policy', () => {
  expect(at([], START)).toEqual(['none', null, null, null])
  expect(at([], START, bookOf({ without_plan: 'refuse' }))[2]).toBe('no_plan')
  expect(at([], START, bookOf({ default_plan: 'free' }))[1]).toBe('free')
  const pending = [subscription({ status: 'incomplete' })]
  expect(at(pending, START, bookOf({ without_plan: 'refuse' }))[2]).toBe('no_plan')
})

describe('a paused collection', () => {
  const paused = { isCollectionPaused: true }
  test('keeps the plan until the paid period ends, then suspends', () => {
    expect(at([subscription(paused)], END)).toEqual(['active', 'pro', null, null])
    expect(at([subscription(paused)], END + 6 * HOUR)[2]).toBe('suspended')
    for (const invoiceStatus of ['draft', 'void', 'uncollectible']) {
      const next = { ...paused, invoiceStatus, periodStartMs: END, periodEndMs: END + 31 * DAY }
      expect(at([subscription(next)], END + HOUR)).toEqual(['active', 'pro', null, null])
      expect(at([subscription(next)], END + 6 * HOUR)[2]).toBe('suspended')
    }
  })
  test('suspends at once where the policy says so', () => {
    const strict = bookOf({}, 'suspend')
    expect(at([subscription(paused)], START, strict)[2]).toBe('suspended')
    expect(at([subscription()], START, strict)[2]).toBe(null)
  })
})

describe('several subscriptions', () => {
  const team = subscription({ id: 'sub_2', planId: 'team' })
  test('rank by status, then by plan', () => {
    expect(at([subscription(), team], START)[1]).toBe('team')
    const owing = subscription({ id: 'sub_2', planId: 'team', status: 'past_due' })
    expect(at([owing, subscription()], START)).toEqual(['active', 'pro', null, null])
    const over = subscription({ id: 'sub_0', status: 'canceled', endedAtMs: START })
    expect(at([over, owing], START)[1]).toBe('team')
    const paused = subscription({ status: 'paused' })
    expect(at([over, paused], START)[2]).toBe('suspended')
  })
  test('a new one that is not paid yet takes nothing away and gives nothing', () => {
    const bought = subscription({ id: 'sub_3', planId: 'team', status: 'incomplete' })
    expect(at([bought, subscription()], START)[1]).toBe('pro')
    const over = subscription({ status: 'canceled', endedAtMs: START })
    expect(at([bought, over], START)).toEqual(['pending', null, null, null])
    const refuse = bookOf({ after_plan: 'refuse' })
    expect(at([bought, over], START, refuse)).toEqual(['pending', null, 'no_plan', null])
  })
})

describe('an exception', () => {
  const of = (subscriptions: SubscriptionState[], overrides: Override[], nowMs = START) =>
    resolve({ subscriptions, overrides, book, nowMs })
  test('comps a plan until it expires', () => {
    const comp = [exception({ plan: 'team' })]
    expect(of([], comp)).toMatchObject({ state: 'comped', planId: 'team', nextChangeAtMs: END })
    expect(of([], comp, END)).toMatchObject({ state: 'none', planId: null, nextChangeAtMs: null })
  })
  test('lifts a suspension and a downgrade, or suspends', () => {
    const owing = [subscription({ status: 'unpaid', owedSinceMs: START - 20 * DAY })]
    const lift = exception({ access: 'allow' })
    expect(of(owing, [lift])).toMatchObject({ planId: 'pro', blocked: null, state: 'comped' })
    const down = [subscription({ invoiceStatus: 'void' })]
    expect(of(down, [lift])).toMatchObject({ planId: 'pro', features: { exports: true } })
    expect(of([subscription()], [exception({ access: 'suspend' })]).blocked).toBe('suspended')
    const later = exception({ access: 'suspend' }, END, START + 1)
    expect(of(owing, [later, lift]).blocked).toBe('suspended')
  })
  test('changes single limits; null takes one away', () => {
    const patch = { features: { seats: 9 }, models: null, rates: { max_concurrency: 2 } }
    expect(of([subscription()], [exception(patch)])).toMatchObject({
      ...{ features: { exports: true, seats: 9 }, models: null, maxConcurrency: 2 },
      ...{ planId: 'pro', overageLimitMicros: 10_000_000, state: 'active' },
    })
  })
})

test('a plan that is not configured any more stays with who has it', () => {
  const { plans } = book
  expect(plans.get('pro')).toMatchObject({ is_retired: false })
  const gone = { ...subscription(), planId: 'unheard' }
  expect(at([gone], START)).toEqual(['active', 'unheard', null, null])
})
