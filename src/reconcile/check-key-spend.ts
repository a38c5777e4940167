import { DAY_MS } from '../kernel/clock.ts'
import {
  KEY_SPEND_ACCOUNTS_MAX,
  LEDGER_CHECK_MS_MAX,
  LEDGER_CHECK_ROWS_MAX,
} from '../kernel/limits/books.ts'
import type { Db, Tx } from '../store/db.ts'
import { snapshot } from '../store/read-only.ts'
import { numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Check } from './check.ts'
import type { Drift } from './drift.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'account-page',
  'spend-page',
  'kept-spend',
])

/** The least id of a hold that was made at a time: ids begin with theirs. Unix ms. */
const leastHoldAt = (ms: number): string => {
  const hex = Math.max(0, ms).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`
}

const nameOf = (key: string, day: number): string => `${key} day ${day}`

/** Spend by key and day, as its receipts say. Memory: keys times days of one account. */
async function spentOf(
  tx: Tx,
  accountId: string,
  fromDay: number,
  rows: number,
): Promise<Map<string, number>> {
  const spent = new Map<string, number>()
  // A hold's day is that of its reserve, moments after its id was made: a day earlier is enough.
  let after = leastHoldAt((fromDay - 1) * DAY_MS)
  for (;;) {
    const sums = await tx.query(sql['spend-page'], [accountId, after, rows])
    for (const row of sums) {
      const day = numberOf(row, 'day')
      if (day < fromDay) continue
      const name = nameOf(textOf(row, 'key_id'), day)
      spent.set(name, (spent.get(name) ?? 0) + numberOf(row, 'micros'))
    }
    const [first] = sums
    if (first === undefined || numberOf(first, 'holds') < rows) return spent
    after = textOf(first, 'last')
  }
}

async function ofAccount(
  tx: Tx,
  accountId: string,
  fromDay: number,
  rows: number,
): Promise<Drift[]> {
  const kept = await tx.query(sql['kept-spend'], [accountId, fromDay])
  if (kept.length === 0) return []
  const spent = await spentOf(tx, accountId, fromDay, rows)
  const keys = new Set(kept.map((row) => textOf(row, 'key_id')))
  const days = new Map<string, number>()
  for (const row of kept) {
    const day = orNull(row, 'day', numberOf)
    if (day !== null) days.set(nameOf(textOf(row, 'key_id'), day), numberOf(row, 'micros'))
  }
  const names = [...new Set([...spent.keys(), ...days.keys()])].toSorted()
  return names.flatMap((subject): Drift[] => {
    const [key = '', day] = subject.split(' day ')
    const [receipts, keeping] = [spent.get(subject) ?? 0, days.get(subject) ?? 0]
    if (receipts === keeping || !keys.has(key)) return []
    const amounts = { receipts_micros: receipts, kept_micros: keeping }
    return [
      {
        ...{ kind: 'key_spend_differs', severity: 'review', direction: null, subject },
        ...{ atStakeMicros: null, repair: null },
        evidence: { account_id: accountId, ...amounts, created_ms: Number(day) * DAY_MS },
      },
    ]
  })
}

/**
 * Spend of keys by day ↔ their receipts, in one snapshot a page. Days before the scope are left to
 * longer runs. `rows`: receipts that one statement reads.
 */
export const checkOfKeySpend = (db: Db, rows = LEDGER_CHECK_ROWS_MAX): Check => ({
  ...{ name: 'key spend', kinds: ['key_spend_differs'], isOfTime: true },
  page(cursor, { sinceMs }) {
    const from = sinceMs === null ? 0 : Math.ceil(sinceMs / DAY_MS)
    return snapshot(db, LEDGER_CHECK_MS_MAX, async (tx) => {
      const params = [cursor ?? '', null, KEY_SPEND_ACCOUNTS_MAX]
      const ids = (await tx.query(sql['account-page'], params)).map((row) => textOf(row, 'id'))
      const drifts: Drift[] = []
      for (const id of ids) drifts.push(...(await ofAccount(tx, id, from, rows)))
      const last = ids.length < KEY_SPEND_ACCOUNTS_MAX ? undefined : ids.at(-1)
      return { drifts, seen: ids.length, next: last ?? null }
    })
  },
})
