import fc from 'fast-check'
import { CREDIT, DAY, HOUR, MINUTE } from './world.ts'

/** Tenths of a credit, so that events are never whole. */
const amount = fc.integer({ min: 1, max: 90 }).map((tenths) => tenths * (CREDIT / 10))
const one = <K extends string>(kind: K) => fc.record({ kind: fc.constant(kind) })
const act = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('use'), amount }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('late'),
      amount,
      hours: fc.integer({ min: 1, max: 60 }),
    }),
  },
  fc.record({ kind: fc.constant('grant'), amount }),
  fc.record({ kind: fc.constant('correct'), amount }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('reverse'), which: fc.nat(20) }) },
  { weight: 3, arbitrary: one('run') },
  one('run twice'),
  fc.record({
    kind: fc.constant('crash'),
    at: fc.integer({ min: 1, max: 30 }),
    when: fc.constantFrom('before' as const, 'after' as const),
  }),
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('pass'),
      ms: fc.integer({ min: 1, max: 26 }).map((n) => n * HOUR),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('to end'),
      ms: fc.constantFrom(-10 * MINUTE, MINUTE, 50 * MINUTE, 2 * HOUR),
    }),
  },
  { weight: 3, arbitrary: one('look') },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('fault'),
      fault: fc.constantFrom('reset' as const, 'error' as const, 'rate_limit' as const),
      after: fc.boolean(),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 3, arbitrary: one('resend') },
  fc.record({ kind: fc.constant('plan'), plan: fc.constantFrom('hybrid', 'payg') }),
)
/** What happens seldom, or once: at most one of them a history, anywhere in it. */
const rare = fc.oneof(
  fc.constant(null),
  fc.record({ kind: fc.constant('pass'), ms: fc.constantFrom(34 * DAY, 36 * DAY) }),
  one('customer gone'),
  one('meter off'),
)
type ValueOf<A> = A extends fc.Arbitrary<infer T> ? T : never
/** What happens to one customer, or to the way to Stripe. */
export type Act = ValueOf<typeof act> | NonNullable<ValueOf<typeof rare>>

const list = fc.array(act, { minLength: 6, maxLength: 30 })
export const histories = fc.tuple(list, rare, fc.nat(30)).map(([often, seldom, at]) => {
  const all: readonly Act[] = often
  return seldom === null ? all : all.toSpliced(at % all.length, 0, seldom)
})
