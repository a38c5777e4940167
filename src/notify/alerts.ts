import { HOUR_MS } from '../kernel/clock.ts'
import {
  ALERTS_AN_HOUR_MAX,
  ALERT_FINDINGS_MAX,
  ALERT_FINDINGS_MS,
} from '../kernel/limits/notify.ts'
import type { Db, Row } from '../store/db.ts'
import { numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Outbox } from './outbox.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['untold-findings'])

const dataOf = (row: Row) => ({
  finding_id: textOf(row, 'id'),
  kind: textOf(row, 'kind'),
  subject: textOf(row, 'subject'),
  first_seen: new Date(numberOf(row, 'opened_at')).toISOString(),
})

/**
 * Tells operators of what cannot wait, once for each time that it opens, whoever found it; beyond
 * ALERTS_AN_HOUR_MAX within an hour once for that hour, and how many more there are.
 */
export function makeAlerts({ db, outbox }: { db: Db; outbox: Outbox }) {
  return async (nowMs: number): Promise<void> => {
    const tell = (occasion: string, data: ReturnType<typeof dataOf>): Promise<void> =>
      outbox.add({ kind: 'operator_alert', occasion, accountId: null, data }, nowMs)
    const times = [new Date(nowMs - ALERT_FINDINGS_MS), new Date(nowMs - HOUR_MS)] as const
    const rows = await db.query(sql['untold-findings'], [times[0], ALERT_FINDINGS_MAX, times[1]])
    const [first] = rows
    if (first === undefined) return
    const room = Math.max(0, ALERTS_AN_HOUR_MAX - numberOf(first, 'told'))
    for (const row of rows.slice(0, room)) await tell(textOf(row, 'occasion'), dataOf(row))
    const next = rows[room]
    if (next === undefined) return
    const more = numberOf(first, 'waiting') - room
    const one = textOf(next, 'subject')
    const subject = `${more} more urgent findings, see farebox findings; the first is ${one}`
    await tell(`findings:${Math.floor(nowMs / HOUR_MS)}`, { ...dataOf(next), subject })
  }
}
