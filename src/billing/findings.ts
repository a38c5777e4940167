import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Db, Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['note-finding'])

/** Something that a person must decide. One for each kind and subject, however often it is seen. */
export interface Finding {
  readonly kind: string
  readonly severity: 'urgent' | 'review' | 'info'
  /** What it is about: an id of Stripe's or ours. */
  readonly subject: string
  readonly evidence: Readonly<Record<string, unknown>>
  /** Absent = nobody can tell. */
  readonly atStakeMicros?: number
}

export interface Findings {
  note(finding: Finding, tx?: Tx): Promise<void>
}

const keepable = (_key: string, value: unknown): unknown =>
  typeof value === 'string' ? value.replaceAll('\0', '\u{fffd}').toWellFormed() : value

export function makeFindings(deps: { db: Db; ids: Ids; clock: Clock }): Findings {
  return {
    async note({ kind, severity, subject, evidence, atStakeMicros = null }, tx = deps.db) {
      const json = JSON.stringify(evidence, keepable)
      const now = new Date(deps.clock.now())
      const params = [deps.ids.uuid(), kind, severity, subject, json, now, atStakeMicros]
      await tx.query(sql['note-finding'], params)
    },
  }
}
