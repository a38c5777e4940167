import { invariant } from '../kernel/invariant.ts'
import type { Db } from '../store/db.ts'
import { numberOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['read-incarnation', 'bump-incarnation'])

/** Has the shape of `Incarnations` of credits/commands.ts, which the ledger may not import. */
export interface LedgerIncarnations {
  read(node: string): Promise<number>
  bump(node: string, seen: number): Promise<{ number: number; drawn: boolean }>
}

/** Numbers of credit nodes. They only grow, over all nodes. Source: design §4 (incarnation). */
export function makeIncarnations(db: Db): LedgerIncarnations {
  async function read(node: string): Promise<number> {
    const [row] = await db.query(sql['read-incarnation'], [node])
    invariant(row !== undefined, `no incarnation of ${node}`)
    return numberOf(row, 'number')
  }
  return {
    read,
    async bump(node, seen) {
      const [row] = await db.query(sql['bump-incarnation'], [node, seen])
      if (row !== undefined) return { number: numberOf(row, 'number'), drawn: true }
      return { number: await read(node), drawn: false }
    },
  }
}
