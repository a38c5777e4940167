import type { Db, Row } from '../store/db.ts'
import { choiceOf, microsOf, numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { ChangePlace, Changed, PostingLedger } from './ledger.ts'
import { periodStart } from './periods.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'snapshot-account',
  'snapshot-key',
  'changed-since',
])

type Snapshots = Pick<PostingLedger, 'snapshotAccount' | 'snapshotKey' | 'changedSince'>

/** What is loaded into the credit engine. Each is one statement, so one point in time. */
export function makeSnapshots(db: Db): Snapshots {
  return {
    async snapshotAccount(accountId) {
      const [row] = await db.query(sql['snapshot-account'], [accountId])
      if (row === undefined) return null
      return {
        accountId,
        postedMicros: microsOf(row, 'posted_micros'),
        creditLimitMicros: microsOf(row, 'credit_limit_micros'),
        status: choiceOf(row, 'status', ['active', 'frozen', 'suspended']),
        ...readRates(row),
        version: numberOf(row, 'version'),
        changeSeq: numberOf(row, 'change_seq'),
      }
    },

    async snapshotKey(accountId, keyId, today) {
      const starts = [today, periodStart('week', today), periodStart('month', today)]
      const [row] = await db.query(sql['snapshot-key'], [keyId, ...starts, accountId])
      return row === undefined ? null : readKey(row)
    },

    async changedSince({ at, kind, id }, limit) {
      const rows = await db.query(sql['changed-since'], [at, kind, id, limit])
      const last = rows.length < limit ? undefined : rows.at(-1)
      return { changed: rows.map(readChanged), next: last === undefined ? null : placeOf(last) }
    },
  }
}

const readChanged = (row: Row): Changed => ({
  kind: choiceOf(row, 'kind', ['account', 'key']),
  id: textOf(row, 'id'),
  accountId: textOf(row, 'account_id'),
  changeSeq: numberOf(row, 'change_seq'),
})

const placeOf = (row: Row): ChangePlace => ({
  at: textOf(row, 'at'),
  kind: textOf(row, 'kind'),
  id: textOf(row, 'id'),
})

const readRates = (row: Row) => ({
  requestsPerMinute: orNull(row, 'requests_per_minute', numberOf),
  tokensPerMinute: orNull(row, 'tokens_per_minute', numberOf),
  maxConcurrency: orNull(row, 'max_concurrency', numberOf),
})

const readPeriod = (row: Row, column: string) =>
  choiceOf(row, column, ['day', 'week', 'month', 'total'])

const readKey = (row: Row) => ({
  keyId: textOf(row, 'id'),
  accountId: textOf(row, 'account_id'),
  status: choiceOf(row, 'status', ['active', 'revoked']),
  expiresAtMs: orNull(row, 'expires_at', numberOf),
  budgetMicros: orNull(row, 'budget_micros', microsOf),
  budgetPeriod: orNull(row, 'budget_period', readPeriod),
  periodStartDay: numberOf(row, 'start_day'),
  spendMicros: microsOf(row, 'spend_micros'),
  lastDay: numberOf(row, 'last_day'),
  ...readRates(row),
  version: numberOf(row, 'version'),
  changeSeq: numberOf(row, 'change_seq'),
})
