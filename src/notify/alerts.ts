import { ALERT_FINDINGS_MAX, ALERT_FINDINGS_MS } from '../kernel/limits-outside.ts'
import type { Db } from '../store/db.ts'
import { numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Outbox } from './outbox.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['untold-findings'])

/** Tells operators of what cannot wait, once for each time that it opens, whoever found it. */
export function makeAlerts({ db, outbox }: { db: Db; outbox: Outbox }) {
  return async (nowMs: number): Promise<void> => {
    const since = new Date(nowMs - ALERT_FINDINGS_MS)
    for (const row of await db.query(sql['untold-findings'], [since, ALERT_FINDINGS_MAX])) {
      const data = {
        finding_id: textOf(row, 'id'),
        kind: textOf(row, 'kind'),
        subject: textOf(row, 'subject'),
        first_seen: new Date(numberOf(row, 'opened_at')).toISOString(),
      }
      const occasion = textOf(row, 'occasion')
      await outbox.add({ kind: 'operator_alert', occasion, accountId: null, data }, nowMs)
    }
  }
}
