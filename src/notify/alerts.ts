import { ALERT_FINDINGS_MAX, ALERT_FINDINGS_MS } from '../kernel/limits-outside.ts'
import type { Db } from '../store/db.ts'
import { numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Outbox } from './outbox.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['untold-findings'])

/** Tells operators of what cannot wait, once each, whoever found it. */
export function makeAlerts({ db, outbox }: { db: Db; outbox: Outbox }) {
  return async (nowMs: number): Promise<void> => {
    const since = new Date(nowMs - ALERT_FINDINGS_MS)
    for (const row of await db.query(sql['untold-findings'], [since, ALERT_FINDINGS_MAX])) {
      const id = textOf(row, 'id')
      const data = {
        finding_id: id,
        kind: textOf(row, 'kind'),
        subject: textOf(row, 'subject'),
        first_seen: new Date(numberOf(row, 'first_seen')).toISOString(),
      }
      const notice = { kind: 'operator_alert', occasion: `finding:${id}`, accountId: null } as const
      await outbox.add({ ...notice, data }, nowMs)
    }
  }
}
