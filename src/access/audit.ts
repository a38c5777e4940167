import type { Ids } from '../kernel/ids.ts'
import type { Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'

/** One change made by a person or a program on the operator's side. */
export interface AuditEntry {
  /** Given where a repeated request must find it; else a new one. */
  readonly id?: string | null
  /** "admin", "cli", a gateway's name: who asked. */
  readonly actor: string
  /** "account.create", "key.revoke", … */
  readonly action: string
  /** Id of what was changed. */
  readonly subject: string
  /** What was asked for. Never a secret. */
  readonly detail: Readonly<Record<string, unknown>>
}

const sql = loadSql(new URL('./sql/', import.meta.url), ['insert-audit'])

/** Writes to audit_log in the transaction of the change itself. Source: design §5. */
export async function writeAudit(
  tx: Tx,
  ids: Ids,
  entry: AuditEntry,
  nowMs: number,
): Promise<void> {
  await tx.query(sql['insert-audit'], [
    entry.id ?? ids.uuid(),
    new Date(nowMs),
    entry.actor,
    entry.action,
    entry.subject,
    JSON.stringify(entry.detail),
  ])
}
