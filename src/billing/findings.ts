import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Db, Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['note-finding', 'settle-findings'])

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

/** What one kind of finding was looked for at. */
export type Judged = Pick<Finding, 'kind' | 'subject'>

export interface Findings {
  note(finding: Finding, tx?: Tx): Promise<void>
  /** Notes what a look found, and closes what it looked for and did not find. */
  settle(judged: readonly Judged[], found: readonly Finding[], tx: Tx): Promise<void>
}

const keepable = (_key: string, value: unknown): unknown =>
  typeof value === 'string' ? value.replaceAll('\0', '\u{fffd}').toWellFormed() : value

export function makeFindings(deps: { db: Db; ids: Ids; clock: Clock }): Findings {
  const findings: Findings = {
    async note({ kind, severity, subject, evidence, atStakeMicros = null }, tx = deps.db) {
      const json = JSON.stringify(evidence, keepable)
      const now = new Date(deps.clock.now())
      const params = [deps.ids.uuid(), kind, severity, subject, json, now, atStakeMicros]
      await tx.query(sql['note-finding'], params)
    },
    async settle(judged, found, tx) {
      for (const finding of found) await findings.note(finding, tx)
      const isFound = (one: Judged): boolean =>
        found.some(({ kind, subject }) => kind === one.kind && subject === one.subject)
      const gone = judged.filter((one) => !isFound(one))
      if (gone.length === 0) return
      const subjects = gone.map(({ subject }) => subject)
      await tx.query(sql['settle-findings'], [gone.map(({ kind }) => kind), subjects])
    },
  }
  return findings
}
