import { REPLAY_PAGE_MAX } from '../../kernel/limits/replay.ts'
import type { Tx } from '../../store/db.ts'
import { numberOf, orNull, textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'read-accounts',
  'add-accounts',
  'read-checkouts',
  'add-checkouts',
  'read-recharges',
  'add-recharges',
  'read-attempts',
  'add-attempts',
])

/** Rows that neither Stripe nor the configuration can say, by table. */
export interface Copied {
  readonly accounts: number
  readonly checkouts: number
  readonly attempts: number
}

/** Rows travel as JSON text: no number of theirs is read here. */
async function copyAll(source: Tx, target: Tx, read: string, add: string): Promise<number> {
  let [copied, after] = [0, '']
  for (;;) {
    const [page] = await source.query(read, [after, REPLAY_PAGE_MAX])
    const rows = page === undefined ? null : orNull(page, 'rows', textOf)
    if (page === undefined || rows === null) return copied
    await target.query(add, [rows])
    copied += numberOf(page, 'count')
    after = textOf(page, 'last')
  }
}

/**
 * Takes over what a replay starts from: who the accounts are and which customers of Stripe's they
 * are, and what we asked Stripe for (checkouts and recharges, without what became of them).
 * Nothing of what was granted. Source: ARCHITECTURE.md (Replay).
 */
export async function copyIntents(source: Tx, target: Tx): Promise<Copied> {
  const copy = (read: string, add: string) => copyAll(source, target, read, add)
  const accounts = await copy(sql['read-accounts'], sql['add-accounts'])
  const checkouts = await copy(sql['read-checkouts'], sql['add-checkouts'])
  await copy(sql['read-recharges'], sql['add-recharges'])
  const attempts = await copy(sql['read-attempts'], sql['add-attempts'])
  return { accounts, checkouts, attempts }
}
