import { HOUR_MS, type Clock } from '../kernel/clock.ts'
import {
  METER_KEPT_MS,
  METER_PERIOD_MS_MAX,
  METER_PRUNE_BATCHES_MAX,
  METER_PRUNE_ROWS_MAX,
  METER_RECEIPTS_KEPT_MS,
} from '../kernel/limits/meters.ts'
import type { Db, Param } from '../store/db.ts'
import { flagOf, numberOf, orNull } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['prune-outbox', 'prune-reports'])

/** Of whole hours, which are compared as a whole. */
const ago = (nowMs: number, ms: number): Date =>
  new Date(Math.floor((nowMs - ms) / HOUR_MS) * HOUR_MS)

/** Goes through a table from its oldest rows, some batches a call, and then from there on. */
function makePass(db: Db, statement: string) {
  let after = 0
  return async (params: readonly Param[]): Promise<number> => {
    let gone = 0
    for (let batch = 0; batch < METER_PRUNE_BATCHES_MAX; batch += 1) {
      const [row] = await db.query(statement, [after, ...params, METER_PRUNE_ROWS_MAX])
      if (row === undefined) throw new Error('unreachable: a count has a row')
      gone += numberOf(row, 'gone')
      const isMore = numberOf(row, 'looked') === METER_PRUNE_ROWS_MAX && flagOf(row, 'is_old')
      after = isMore ? (orNull(row, 'last', numberOf) ?? 0) : 0
      if (!isMore) break
    }
    return gone
  }
}

/**
 * Drops receipts of the outbox and reports by age, in transactions of METER_PRUNE_ROWS_MAX rows,
 * and answers how many. What was never told, what a person must decide, what no invoice has closed
 * and what summaries are compared with stays. Any number of processes may do it at once.
 */
export function makePruner({ db, clock }: { readonly db: Db; readonly clock: Clock }) {
  const outbox = makePass(db, sql['prune-outbox'])
  const reports = makePass(db, sql['prune-reports'])
  return async (): Promise<{ readonly receipts: number; readonly reports: number }> => {
    const nowMs = clock.now()
    const receipts = await outbox([ago(nowMs, METER_RECEIPTS_KEPT_MS)])
    const kept = [ago(nowMs, METER_KEPT_MS), ago(nowMs, METER_PERIOD_MS_MAX)]
    return { receipts, reports: await reports(kept) }
  }
}
