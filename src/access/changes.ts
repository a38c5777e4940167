import { z } from 'zod'
import { CHANGES_OVERLAP_MS, CHANGES_PAGE_MAX } from '../kernel/limits/access.ts'
import type { Tx } from '../store/db.ts'
import { loadSql } from '../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['changed-keys', 'changed-accounts'])

const changeRow = z.object({ id: z.string(), change_seq: z.number(), changed_at: z.number() })
type ChangeRow = z.infer<typeof changeRow>

/** Rows that may have changed since the last call: the window overlaps, so rows come repeatedly. */
export interface Changes {
  /** Throws when Postgres is away; the next call then covers the time since. */
  next(nowMs: number): Promise<{ keys: readonly ChangeRow[]; accounts: readonly ChangeRow[] }>
}

/**
 * A row becomes visible after its `changed_at` (its transaction took a while, its writer's clock is
 * behind ours), so each look goes back CHANGES_OVERLAP_MS before the start of the last one.
 */
export function makeChanges(db: Tx, startMs: number): Changes {
  let sinceMs = startMs - CHANGES_OVERLAP_MS

  async function read(statement: string, fromMs: number): Promise<ChangeRow[]> {
    const changes: ChangeRow[] = []
    let [at, id] = [fromMs, '']
    for (;;) {
      const page = await db.query(statement, [new Date(at), id, CHANGES_PAGE_MAX])
      const rows = page.map((row) => changeRow.parse(row))
      changes.push(...rows)
      const last = rows.at(-1)
      if (last === undefined || rows.length < CHANGES_PAGE_MAX) return changes
      ;[at, id] = [last.changed_at, last.id]
    }
  }

  return {
    async next(nowMs) {
      const keys = await read(sql['changed-keys'], sinceMs)
      const accounts = await read(sql['changed-accounts'], sinceMs)
      sinceMs = nowMs - CHANGES_OVERLAP_MS
      return { keys, accounts }
    },
  }
}
