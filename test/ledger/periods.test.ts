import { expect, test } from 'vitest'
import { dayOf, periodStart } from '../../src/ledger/periods.ts'

const day = (iso: string) => dayOf(Date.parse(iso))

test.each([
  ['2026-03-01T00:00:00Z', '2026-03-01', '2026-02-23', '2026-03-01'], // a Sunday
  ['2026-03-02T23:59:59.999Z', '2026-03-02', '2026-03-02', '2026-03-01'], // a Monday
  ['2024-02-29T12:00:00Z', '2024-02-29', '2024-02-26', '2024-02-01'],
  ['2026-01-01T00:00:00Z', '2026-01-01', '2025-12-29', '2026-01-01'],
])('budget periods of %s start on UTC days, weeks on Monday', (now, today, week, month) => {
  expect(periodStart('day', day(now))).toBe(day(today))
  expect(periodStart('week', day(now))).toBe(day(week))
  expect(periodStart('month', day(now))).toBe(day(month))
  expect(periodStart('total', day(now))).toBe(0)
})
