import { describe, expect, test } from 'vitest'
import {
  decideInvoice,
  periodStart,
  underStoredKeys,
  type InvoiceInput,
} from '../../src/billing/effects/decide-invoice.ts'
import { INCLUDED_OVERLAP_MS } from '../../src/kernel/limits.ts'
import { catalogueOf } from './catalogue.ts'
import { activeSubscription, paidInvoice, PERIOD_END, PERIOD_START, planLine } from './shop.ts'

const CREDIT = 1_000_000

const MONTH = { isMetered: false, period: { months: 1 } }

function decide(lines: Parameters<typeof paidInvoice>[3], fields: Partial<InvoiceInput> = {}) {
  const input = {
    invoice: paidInvoice('in_1', 'cus_1', 'sub_1', lines),
    subscription: activeSubscription('sub_1', 'cus_1', 'price_small'),
    accountId: 'acct',
    catalogue: catalogueOf(),
    prices: new Map([
      ['price_large', MONTH],
      ['price_small', MONTH],
    ]),
    ...fields,
  }
  const { sales, findings } = decideInvoice(input)
  return { grants: sales.map(({ key, micros }) => [key, micros / CREDIT]), sales, findings }
}

const OLD_KEY = `included:sub_1:si_1:${PERIOD_START / 1000}`
const KEY = `${OLD_KEY}:price_small`

test('a period of a plan includes its credits, times the seats, until a little after its end', () => {
  const { grants, sales } = decide([planLine('price_small', { quantity: 3 })])
  expect(grants).toEqual([[KEY, 300]])
  expect(sales[0]).toMatchObject({
    kind: 'included',
    expiresAtMs: PERIOD_END + INCLUDED_OVERLAP_MS,
    subscriptionId: 'sub_1',
  })
})

test('two periods of an item that begin within one second are granted each', () => {
  const [small] = decide([planLine('price_small')]).sales
  const [large] = decide([planLine('price_large')]).sales
  expect(small?.key).toBe(KEY)
  expect(large?.key).toBe(`${OLD_KEY}:price_large`)
})

test('what was granted under the name that had no price keeps it, once', () => {
  const { sales } = decide([planLine('price_small'), planLine('price_large')])
  const named = (stored: string[]) =>
    underStoredKeys(
      stored.map((key) => ({ key })),
      sales,
    ).map(({ key }) => key)
  expect(named([])).toEqual([KEY, `${OLD_KEY}:price_large`])
  expect(named([OLD_KEY])).toEqual([OLD_KEY, `${OLD_KEY}:price_large`])
  expect(named([KEY])).toEqual([KEY, `${OLD_KEY}:price_large`])
  expect(named(['invoice:in_1:il_1'])).toEqual([KEY, `${OLD_KEY}:price_large`])
})

test('credits that roll over outlive their period by another', () => {
  const [sale] = decide([planLine('price_large')]).sales
  expect(sale?.expiresAtMs).toBe(PERIOD_END + (PERIOD_END - PERIOD_START) + INCLUDED_OVERLAP_MS)
})

test('an unpaid invoice, a plan without credits and a credit line grant nothing', () => {
  const invoice = paidInvoice('in_1', 'c', 's', [planLine('price_small')], {
    isPaid: false,
    status: 'open',
  })
  expect(decide([], { invoice }).grants).toEqual([])
  expect(decide([planLine('price_empty')]).grants).toEqual([])
  expect(decide([planLine('price_small', { amount: -5 })]).grants).toEqual([])
})

describe('a trial', () => {
  const trial = activeSubscription('sub_1', 'cus_1', 'price_small', { trialEndMs: PERIOD_END })
  const line = planLine('price_small', { amount: 0 })
  test.each([
    ['grant', [[KEY, 100]]],
    ['ignore', []],
  ])('by policy: %s', (policy, grants) => {
    const catalogue = catalogueOf({ trial_included: policy })
    expect(decide([line], { subscription: trial, catalogue }).grants).toEqual(grants)
  })
  test('that is over rules no later period', () => {
    const later = planLine('price_small', {
      periodStartMs: PERIOD_END,
      periodEndMs: PERIOD_END * 2,
    })
    const catalogue = catalogueOf({ trial_included: 'ignore' })
    expect(decide([later], { subscription: trial, catalogue }).grants).toHaveLength(1)
  })
})

describe('a change of plan in mid-period', () => {
  const change = Date.UTC(2026, 0, 11)
  const proration = { isProration: true, periodStartMs: change }
  const upgrade = [
    planLine('price_small', { ...proration, amount: -700 }),
    planLine('price_large', { ...proration, amount: 1_400 }),
  ]
  test('grants its share of the difference: 21 of 31 days of 310 credits', () => {
    expect(decide(upgrade).grants).toEqual([
      [`included:sub_1:si_1:${change / 1000}:price_large`, 210],
    ])
  })
  test('by policy grants nothing', () => {
    expect(decide(upgrade, { catalogue: catalogueOf({ plan_change: 'ignore' }) }).grants).toEqual(
      [],
    )
  })
  test('to a smaller plan takes nothing and grants nothing', () => {
    const down = [
      planLine('price_large', { ...proration, amount: -1_400 }),
      planLine('price_small', { ...proration, amount: 700 }),
    ]
    expect(decide(down).grants).toEqual([])
  })
  test('of another item, or from a plan nobody knows, is not guessed', () => {
    const [before, after] = upgrade
    if (before === undefined || after === undefined) throw new Error('unreachable')
    expect(decide([{ ...before, item: 'si_2' }, after]).grants).toEqual([])
    expect(decide([{ ...before, price: 'price_gone' }, after]).grants).toEqual([])
    expect(decide([after]).grants).toEqual([])
  })
})

test('a pack on the invoice is granted, what is sold beside it is not ours', () => {
  const extra = { isOfPlan: false, item: '', quantity: 2 }
  const { grants, findings } = decide([
    planLine('price_extra', extra),
    planLine('price_mug', extra),
  ])
  expect(grants).toEqual([['invoice:in_1:il_price_extra', 100]])
  expect(findings).toEqual([])
})

test('an unknown price of a subscription is told, a metered one is not', () => {
  const prices = new Map([['price_metered', { isMetered: true, period: { months: 1 } }]])
  const lines = [planLine('price_new'), planLine('price_metered')]
  const { grants, findings } = decide(lines, { prices })
  expect(grants).toEqual([])
  expect(findings).toMatchObject([{ kind: 'stripe_unknown_price', subject: 'price_new' }])
})

test('paid by nobody we know is urgent', () => {
  const { grants, findings } = decide([planLine('price_small')], { accountId: null })
  expect(grants).toEqual([])
  expect(findings).toMatchObject([{ kind: 'stripe_no_account', severity: 'urgent' }])
})

test.each([
  ['2026-03-31', { months: 1 }, '2026-02-28'],
  ['2028-03-31', { months: 1 }, '2028-02-29'],
  ['2026-03-15', { months: 1 }, '2026-02-15'],
  ['2026-01-31', { months: 3 }, '2025-10-31'],
  ['2026-05-31', { months: 3 }, '2026-02-28'],
  ['2028-02-29', { months: 12 }, '2027-02-28'],
  ['2026-01-05', { days: 7 }, '2025-12-29'],
])('a period before %s is %o long and begins on %s', (end, period, start) => {
  const at = (day: string) => Date.parse(`${day}T13:14:15Z`)
  expect(periodStart(at(end), period)).toBe(at(start))
})
