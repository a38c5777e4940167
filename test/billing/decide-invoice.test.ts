import { describe, expect, test } from 'vitest'
import { turnAfter } from '../../src/billing/effects/calendar.ts'
import {
  decideInvoice,
  underStoredKeys,
  type InvoiceInput,
} from '../../src/billing/effects/decide-invoice.ts'
import { INCLUDED_OVERLAP_MS } from '../../src/kernel/limits/stripe.ts'
import { catalogueOf } from './catalogue.ts'
import { activeSubscription, paidInvoice, PERIOD_END, PERIOD_START, planLine } from './shop.ts'

const CREDIT = 1_000_000

const DRAFT = { isPaid: false, status: 'draft' }
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
  expect(sale?.expiresAtMs).toBe(Date.UTC(2026, 2, 1) + INCLUDED_OVERLAP_MS)
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
  const ignored = (lines: Parameters<typeof decide>[0], trialEndMs: number) =>
    decide(lines, {
      subscription: activeSubscription('sub_1', 'cus_1', 'price_small', { trialEndMs }),
      catalogue: catalogueOf({ trial_included: 'ignore' }),
    }).grants
  test('that was cut short was a trial all the same', () => {
    expect(ignored([line], PERIOD_START + 86_400_000)).toEqual([])
  })
  test('that is added later takes nothing from a period that was paid', () => {
    expect(ignored([planLine('price_small')], PERIOD_END + 86_400_000)).toEqual([[KEY, 100]])
  })
  test('that was over before a free period began does not rule it', () => {
    expect(ignored([line], PERIOD_START)).toEqual([[KEY, 100]])
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
  const HOUR = 3_600_000
  test.each([
    ['at once', change, 0],
    ['with the next invoice', PERIOD_END + 3 * HOUR, 21 * 24 + 3],
  ])('paid %s lasts as long as what was paid for', (_, paidAtMs, lateHours) => {
    const invoice = paidInvoice('in_1', 'cus_1', 'sub_1', upgrade, { paidAtMs })
    const [sale] = decide([], { invoice }).sales
    const rollover = Date.UTC(2026, 2, 1) + INCLUDED_OVERLAP_MS
    expect(sale?.expiresAtMs).toBe(rollover + lateHours * HOUR)
    const seats = [
      planLine('price_small', { ...proration, amount: -700 }),
      planLine('price_small', { ...proration, amount: 1_400, quantity: 3 }),
    ]
    const [plain] = decide([], { invoice: { ...invoice, lines: seats } }).sales
    expect(plain?.expiresAtMs).toBe(PERIOD_END + INCLUDED_OVERLAP_MS + lateHours * HOUR)
    expect(plain?.expiresAtMs).toBeGreaterThan(paidAtMs)
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
  const [before, after] = upgrade
  if (before === undefined || after === undefined) throw new Error('unreachable')
  test('of another item, or from a plan nobody knows, is not guessed but told', () => {
    const told = { kind: 'stripe_change_not_granted', severity: 'review', subject: after.id }
    for (const lines of [
      [{ ...before, item: 'si_2' }, after],
      [{ ...before, price: 'price_gone' }, after],
      [after],
    ]) {
      const { grants, findings } = decide(lines)
      expect(grants).toEqual([])
      expect(findings).toMatchObject([told])
    }
    expect(decide(upgrade).findings).toEqual([])
    const ignore = catalogueOf({ plan_change: 'ignore' })
    expect(decide([after], { catalogue: ignore }).findings).toEqual([])
  })
  test('and back again at once grants nothing and tells nothing', () => {
    const back = [
      { ...before, price: 'price_large', amount: -1_400 },
      { ...after, price: 'price_small', amount: 700 },
    ]
    const { grants, findings } = decide([...upgrade, ...back])
    expect([grants, findings]).toEqual([[], []])
  })
  test.each([
    ['as Stripe says what it credits', true],
    ['as the line that costs nothing', false],
  ])('from a period that cost nothing is seen %s', (_, isCredit) => {
    const free = { ...before, amount: 0, isCredit }
    expect(decide([free, after]).grants).toEqual(decide(upgrade).grants)
    const between = planLine('price_empty', { ...proration, amount: 0 })
    const both = [before, between, { ...between, isCredit: true }, after]
    expect(decide(both).grants).toEqual(decide(upgrade).grants)
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

test('what was used of a metered price grants nothing, though a plan has that price', () => {
  const prices = new Map([['price_small', { ...MONTH, isMetered: true }]])
  const { grants, findings } = decide([planLine('price_small', { quantity: 7_000 })], { prices })
  expect([grants, findings]).toEqual([[], []])
})

test.each([
  ['stripe_invoice_overpaid', { overpaid: 40 }, 1],
  ['stripe_invoice_not_finalised', { ...DRAFT, finalizationError: 'tax_failed' }, 0],
])('%s is told, of customers of ours', (kind, fields, granted) => {
  const invoice = paidInvoice('in_1', 'cus_1', 'sub_1', [planLine('price_small')], fields)
  const { grants, findings } = decide([], { invoice })
  expect(grants).toHaveLength(granted)
  expect(findings).toMatchObject([{ kind, subject: 'in_1', severity: 'review' }])
  const foreign = decide([], { invoice, accountId: null }).findings
  expect(foreign.filter((one) => one.kind === kind)).toEqual([])
})

describe('paid after its subscription ended', () => {
  const over = (endedAtMs: number) => ({
    ...activeSubscription('sub_1', 'cus_1', 'price_small'),
    endedAtMs,
  })
  const late = paidInvoice('in_1', 'cus_1', 'sub_1', [planLine('price_small')])
  const ended = over(late.paidAtMs - 1_000)
  const told = (invoice = late, subscription = ended, policies = {}) => {
    const catalogue = catalogueOf(policies)
    const { findings } = decide([], { invoice, subscription, catalogue })
    return findings.map(({ kind, severity, atStakeMicros }) => [kind, severity, atStakeMicros])
  }
  test('an invoice is urgent, for its credits end at once', () => {
    expect(told()).toEqual([['stripe_paid_after_end', 'urgent', 100 * CREDIT]])
  })
  test('is no matter where it was paid before, cost nothing, or all went back', () => {
    expect(told(late, over(late.paidAtMs))).toEqual([])
    expect(told({ ...late, paid: 0 })).toEqual([])
    expect(told({ ...late, refunded: late.paid })).toEqual([])
  })
  test('is no matter where credits outlive their plan, or nothing was included', () => {
    expect(told(late, ended, { included_at_end: 'keep' })).toEqual([])
    const pack = planLine('price_extra', { isOfPlan: false, item: '' })
    expect(told({ ...late, lines: [pack] })).toEqual([])
  })
})

test('paid by nobody we know is urgent', () => {
  const { grants, findings } = decide([planLine('price_small')], { accountId: null })
  expect(grants).toEqual([])
  expect(findings).toMatchObject([{ kind: 'stripe_no_account', severity: 'urgent' }])
})

const day = (name: string) => Date.parse(`${name}T13:14:15Z`)

test.each([
  ['2026-03-31', '2026-03-31', { months: 1 }, -1, '2026-02-28'],
  ['2028-03-31', '2028-03-31', { months: 1 }, -1, '2028-02-29'],
  ['2026-03-15', '2026-03-15', { months: 1 }, -1, '2026-02-15'],
  ['2026-01-31', '2026-01-31', { months: 3 }, -1, '2025-10-31'],
  ['2026-05-31', '2026-05-31', { months: 3 }, -1, '2026-02-28'],
  ['2028-02-29', '2028-02-29', { months: 12 }, -1, '2027-02-28'],
  ['2026-02-28', '2025-12-31', { months: 1 }, -1, '2026-01-31'],
  ['2026-02-28', '2025-12-30', { months: 1 }, -1, '2026-01-30'],
  ['2026-02-28', '2025-12-28', { months: 1 }, -1, '2026-01-28'],
  ['2028-02-29', '2027-12-31', { months: 1 }, 1, '2028-03-31'],
  ['2026-04-30', '2025-12-31', { months: 3 }, -1, '2026-01-31'],
  ['2026-03-01', '2026-02-01', { months: 1 }, 1, '2026-04-01'],
  ['2026-01-31', '2026-01-31', { months: 1 }, 13, '2027-02-28'],
  ['2026-02-28', '2024-02-29', { months: 12 }, 2, '2028-02-29'],
  ['2026-03-10', '2026-01-31', { months: 1 }, 1, '2026-04-10'], // moved since: no turn of that day
  ['2026-01-05', '2026-01-05', { days: 7 }, -1, '2025-12-29'],
  ['2026-01-05', '2026-01-05', { days: 7 }, 2, '2026-01-19'],
])('from %s, anchored on %s, %o each, %i on is %s', (at, anchor, period, count, then) => {
  expect(turnAfter({ atMs: day(at), anchorMs: day(anchor) }, period, count)).toBe(day(then))
})

describe('short months', () => {
  const between = (from: string, to: string) => ({ periodStartMs: day(from), periodEndMs: day(to) })
  const anchored = (anchor: string) => ({
    subscription: activeSubscription('sub_1', 'cus_1', 'price_large', { anchorMs: day(anchor) }),
  })
  test.each([
    ['2026-02-01', '2026-02-01', '2026-03-01', '2026-04-01'],
    ['2025-12-31', '2026-01-31', '2026-02-28', '2026-03-31'],
    ['2025-12-31', '2026-02-28', '2026-03-31', '2026-04-30'],
  ])('anchored on %s: what %s to %s includes rolls over to %s', (anchor, from, to, until) => {
    const [sale] = decide([planLine('price_large', between(from, to))], anchored(anchor)).sales
    expect(sale?.expiresAtMs).toBe(day(until) + INCLUDED_OVERLAP_MS)
  })
  test('a change as the period begins adds all of the difference', () => {
    const proration = { isProration: true, ...between('2026-01-31', '2026-02-28') }
    const lines = [
      planLine('price_small', { ...proration, amount: -2_000 }),
      planLine('price_large', { ...proration, amount: 4_000 }),
    ]
    expect(decide(lines, anchored('2025-12-31')).grants.map(([, credits]) => credits)).toEqual([
      310,
    ])
  })
})
