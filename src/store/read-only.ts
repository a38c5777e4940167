import type { Db, Tx } from './db.ts'

/**
 * A database that can only be read through this: every statement is a transaction of its own, which
 * Postgres itself keeps from writing. `statementMs` bounds each.
 */
export function readOnly(db: Db, statementMs: number): Tx {
  return {
    query: (sql, params) =>
      db.tx(
        async (tx) => {
          await tx.query('SET TRANSACTION READ ONLY')
          return tx.query(sql, params)
        },
        { statementMs },
      ),
  }
}
