import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Override } from '../../src/access/plans/overrides.ts'
import { resolve } from '../../src/access/plans/resolve.ts'
import { bookOf, DAY, HOUR, START, subscription } from './plan-support.ts'

const moment = fc.integer({ min: -40, max: 80 }).map((days) => START + days * DAY)
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null })

const STATUSES = [
  ...['active', 'trialing', 'past_due', 'unpaid', 'paused', 'canceled', 'incomplete'],
  ...['incomplete_expired', 'something_new'],
]
const subscriptions = fc.array(
  fc
    .record({
      planId: fc.constantFrom('free', 'pro', 'team', 'gone'),
      status: fc.constantFrom(...STATUSES),
      periodStartMs: maybe(moment),
      periodEndMs: maybe(moment),
      cancelAtMs: maybe(moment),
      endedAtMs: fc.option(moment, { nil: null, freq: 6 }),
      isCollectionPaused: fc.boolean(),
      invoiceStatus: maybe(fc.constantFrom('paid', 'open', 'draft', 'void', 'uncollectible')),
      owedSinceMs: maybe(moment),
      startedAtMs: moment,
    })
    .map((fields) => subscription(fields)),
  { maxLength: 4 },
)
const patch: fc.Arbitrary<Override['patch']> = fc.oneof(
  fc.record({ plan: fc.constantFrom('free', 'team') }),
  fc.record({ access: fc.constantFrom('allow' as const, 'suspend' as const) }),
  fc.record({ rates: fc.record({ requests_per_minute: maybe(fc.integer({ min: 1, max: 9 })) }) }),
)
const overrides = fc.array(
  fc
    .record({ patch, expiresAtMs: moment, createdAtMs: moment })
    .map((fields) => ({ ...fields, reason: 'r', actor: 'a', removedAtMs: null, removedBy: null })),
  { maxLength: 3 },
)
const book = fc
  .record({
    access: fc.record(
      {
        default_plan: fc.constant('free'),
        after_plan: fc.constantFrom('allow', 'refuse'),
        without_plan: fc.constantFrom('allow', 'refuse'),
        slack_minutes: fc.constantFrom(10, 600),
      },
      { requiredKeys: [] },
    ),
    pause: fc.constantFrom('keep' as const, 'suspend' as const),
  })
  .map(({ access, pause }) => bookOf(access, pause))

const input = fc.record({ subscriptions, overrides, book, nowMs: moment }).map((it) => ({
  ...it,
  subscriptions: it.subscriptions.map((one, at) => ({ ...one, id: `sub_${at}` })),
  overrides: it.overrides.map((one, at) => ({ ...one, id: `o_${at}` })),
}))

const RUNS = Number(process.env.FAREBOX_RUNS ?? 500)

test('nothing changes before the time that is named, whatever the order of what is known', () => {
  fc.assert(
    fc.property(
      input,
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (it, part) => {
        const now = resolve(it)
        const end = now.nextChangeAtMs ?? it.nowMs + 400 * DAY
        expect(end).toBeGreaterThan(it.nowMs)
        const later = it.nowMs + Math.floor((end - it.nowMs) * part)
        expect(resolve({ ...it, nowMs: later })).toEqual(now)
        const reversed = { subscriptions: it.subscriptions.toReversed() }
        expect(resolve({ ...it, ...reversed, overrides: it.overrides.toReversed() })).toEqual(now)
      },
    ),
    { numRuns: RUNS },
  )
})

test('a plan that is paid for is given only by a subscription that stands, or an exception', () => {
  fc.assert(
    fc.property(input, (it) => {
      const { planId, blocked } = resolve(it)
      if (blocked !== null || planId === null || planId === 'free') return
      const excepted = it.overrides.some((one) => one.expiresAtMs > it.nowMs)
      const slack = it.book.slack_ms + HOUR
      const stands = it.subscriptions.some((one) => {
        if (one.planId !== planId || one.endedAtMs !== null) return false
        if (['paused', 'canceled', 'incomplete', 'incomplete_expired'].includes(one.status)) {
          return false
        }
        const since = one.owedSinceMs ?? one.periodStartMs ?? one.startedAtMs
        if (one.status === 'past_due') return it.nowMs < since + 7 * DAY
        return one.status !== 'unpaid' && it.nowMs < (one.periodEndMs ?? Infinity) + slack
      })
      expect(excepted || stands).toBe(true)
    }),
    { numRuns: RUNS },
  )
})
