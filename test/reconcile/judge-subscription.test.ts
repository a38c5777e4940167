import { describe, expect, test } from 'vitest'
import type { SeenSubscription } from '../../src/billing/walk.ts'
import { judgeSeen, type OurSubscription } from '../../src/reconcile/judge-subscription.ts'

const END_MS = 1_800_000_000_000
const planOf = (price: string) => ({ price_1: 'pro', price_2: 'team' })[price] ?? null

const item = (price: string, periodEndMs = END_MS) => ({ price, periodEndMs })
const seen = (status: string, fields: Partial<SeenSubscription> = {}): SeenSubscription => ({
  ...{ id: 'sub_1', customer: 'cus_1', status, items: [item('price_1')] },
  ...{ isCollectionPaused: false, createdMs: 1, amount: 2_000, currency: 'usd', ...fields },
})
const OURS: OurSubscription = {
  ...{ account_id: 'acct_1', account_status: 'active', status_reason: null, status: 'active' },
  ...{ customer_account_id: 'acct_1', plan_id: 'pro', period_end_ms: END_MS, entitled: 'active' },
  ...{ blocked: null, entitled_by: 'sub_1' },
}
const UNKNOWN = { status: null, plan_id: null, period_end_ms: null, entitled_by: null }
const UNLINKED = {
  ...UNKNOWN,
  ...{ account_id: null, account_status: null, customer_account_id: null, entitled: null },
}

const judge = (status: string, there: Partial<SeenSubscription>, here: Partial<OurSubscription>) =>
  judgeSeen(seen(status, there), { ...OURS, ...here }, planOf)
const told = (all: ReturnType<typeof judge>) =>
  all.map(({ severity, kind, direction }) => `${severity} ${kind} ${String(direction)}`)

describe('a subscription to one of our plans', () => {
  test.each<[string, Partial<OurSubscription>, string[]]>([
    ['active', {}, []],
    ['active', UNLINKED, ['urgent subscription_orphaned paid_but_blocked']],
    ['canceled', UNLINKED, []],
    ['active', { entitled: 'none' }, ['urgent subscription_blocked paid_but_blocked']],
    ['active', { entitled: null }, ['urgent subscription_blocked paid_but_blocked']],
    ['trialing', { blocked: 'no_plan' }, ['urgent subscription_blocked paid_but_blocked']],
    ['active', { ...UNKNOWN, entitled: 'none' }, ['urgent subscription_blocked paid_but_blocked']],
    ['active', { account_status: 'frozen' }, ['review subscription_blocked paid_but_blocked']],
    ['active', { entitled: 'comped', entitled_by: 'sub_1' }, []],
    ['canceled', {}, ['review subscription_unpaid unpaid_but_active']],
    ['unpaid', {}, ['review subscription_unpaid unpaid_but_active']],
    ['canceled', { entitled: 'grace' }, ['review subscription_unpaid unpaid_but_active']],
    ['canceled', { status: 'canceled' }, ['review subscription_unpaid unpaid_but_active']],
    ['canceled', { status: 'canceled', entitled: 'none' }, []],
    ['canceled', { entitled_by: 'sub_2', status: 'canceled' }, []],
    ['past_due', {}, ['review subscription_differs null']],
    ['active', { status: 'past_due', entitled: 'grace' }, ['review subscription_differs null']],
    ['past_due', { status: 'past_due', entitled: 'grace' }, []],
    ['active', { plan_id: 'team' }, ['review subscription_differs null']],
    ['active', { period_end_ms: END_MS - 1 }, ['review subscription_differs null']],
    ['canceled', { status: 'canceled', period_end_ms: 1, entitled: 'none' }, []],
    ['active', { customer_account_id: 'acct_2' }, ['review subscription_ambiguous null']],
    ['canceled', { customer_account_id: 'acct_2', status: 'canceled', entitled: 'none' }, []],
    ['active', { customer_account_id: null }, []],
  ])('%s there, %j here: %j', (status, fields, expected) => {
    expect(told(judge(status, {}, fields))).toEqual(expected)
  })

  test('whose collection is paused is not taken for paid', () => {
    expect(judge('active', { isCollectionPaused: true }, { entitled: 'none' })).toEqual([])
  })

  test('only what looking again can mend is mended', () => {
    const repairOf = (here: Partial<OurSubscription>) => judge('active', {}, here)[0]?.repair
    const look = { kind: 'look', what: 'subscription' }
    expect(repairOf({ status: null, entitled: 'none' })).toEqual(look)
    // A renewal of which no event came.
    expect(repairOf({ period_end_ms: END_MS - 1, entitled: 'none' })).toEqual(look)
    expect(repairOf({ plan_id: 'team' })).toEqual(look)
    expect(repairOf({ entitled: 'none' })).toBeNull()
    expect(repairOf({ customer_account_id: 'acct_2' })).toBeNull()
  })
})

describe('a subscription at prices that no plan has', () => {
  const items = [item('price_x'), item('price_y')]
  test('is for review by itself where an account of ours pays it, else by its price', () => {
    const [ours] = judge('active', { items }, UNKNOWN)
    expect(ours).toMatchObject({
      ...{ kind: 'subscription_price_unknown', severity: 'review', subject: 'sub_1' },
      ...{ direction: 'paid_but_blocked', repair: null },
    })
    const [others, ...none] = judge('past_due', { items }, UNLINKED)
    expect(others).toMatchObject({ subject: 'price_x', direction: null })
    expect(none).toEqual([])
  })

  test('is compared all the same where we hold it, as its price was once a plan’s', () => {
    const [unknown, unpaid] = told(judge('past_due', { items }, { status: 'active' }))
    expect(unknown).toBe('review subscription_price_unknown paid_but_blocked')
    expect(unpaid).toBe('review subscription_differs null')
    expect(told(judge('canceled', { items }, {}))).toEqual([
      'review subscription_unpaid unpaid_but_active',
    ])
  })

  test('is none of ours when it has ended, and no drift beside a plan of ours', () => {
    expect(judge('canceled', { items }, UNLINKED)).toEqual([])
    expect(judge('active', { items: [item('price_1'), ...items] }, {})).toEqual([])
  })
})
