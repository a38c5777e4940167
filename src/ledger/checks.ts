import type { Db, Row } from '../store/db.ts'
import { microsOf, numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'check-balances',
  'check-lots',
  'check-holds',
])

/** A rule that the ledger breaks, and by what numbers. Source: design §6. */
export interface Breach {
  readonly invariant: 'I1' | 'I9'
  readonly accountId: string
  /** The account, lot or hold. */
  readonly subject: string
  readonly detail: string
}

export interface CheckedPage {
  readonly breaches: readonly Breach[]
  readonly accounts: number
  /** Last account looked at: where the next page starts after. null = there is none. */
  readonly cursor: string | null
}

/**
 * Checks I1 and I9 for at most `limit` accounts after `cursor` (null = from the first). Each
 * statement sees one point in time, so posting may go on meanwhile. At most 1000 lots and holds
 * are named a page.
 */
export async function checkLedger(
  db: Db,
  cursor: string | null,
  limit: number,
): Promise<CheckedPage> {
  const after = cursor ?? ''
  const accounts = await db.query(sql['check-balances'], [after, limit])
  const last = accounts.at(-1)
  if (last === undefined) return { breaches: [], accounts: 0, cursor: null }
  const until = textOf(last, 'id')
  const lots = await db.query(sql['check-lots'], [after, until])
  const holds = await db.query(sql['check-holds'], [after, until])
  return {
    breaches: [
      ...accounts.flatMap(balanceBreach),
      ...lots.map(lotBreach),
      ...holds.map(holdBreach),
    ],
    accounts: accounts.length,
    cursor: accounts.length < limit ? null : until,
  }
}

function balanceBreach(row: Row): Breach[] {
  const posted = microsOf(row, 'posted_micros')
  const entries = microsOf(row, 'entries_micros')
  const below = microsOf(row, 'debt_micros') + microsOf(row, 'overage_micros')
  const lines = microsOf(row, 'lots_micros') - below
  const [seq, count, last] = ['entry_seq', 'entries', 'last_seq'].map((c) => numberOf(row, c))
  const found: string[] = []
  if (entries !== posted) found.push(`entries ${entries}, posted ${posted}`)
  if (lines !== posted) found.push(`lots less debt and overage ${lines}, posted ${posted}`)
  if (seq !== count || seq !== last) {
    found.push(`entry_seq ${seq ?? '?'}, entries ${count ?? '?'}, last ${last ?? '?'}`)
  }
  const accountId = textOf(row, 'id')
  return found.map((detail) => ({ invariant: 'I1', accountId, subject: accountId, detail }))
}

const lotBreach = (row: Row): Breach => ({
  invariant: 'I1',
  accountId: textOf(row, 'account_id'),
  subject: textOf(row, 'id'),
  detail:
    `lot holds ${microsOf(row, 'remaining_micros')}, ` +
    `entries ${microsOf(row, 'entries_micros')}`,
})

function holdBreach(row: Row): Breach {
  const charged = orNull(row, 'charged_micros', microsOf)
  return {
    invariant: 'I9',
    accountId: textOf(row, 'account_id'),
    subject: textOf(row, 'hold_id'),
    detail: `receipt ${charged ?? 'none'}, entries took ${microsOf(row, 'moved_micros')}`,
  }
}
