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

/**
 * Several statements that see one moment and can write nothing, as Postgres itself makes sure, and
 * posting goes on meanwhile. One transaction, so that a transaction pooler may stand before it.
 * `statementMs` bounds each.
 */
export const snapshot = <T>(db: Db, statementMs: number, run: (tx: Tx) => Promise<T>): Promise<T> =>
  db.tx(
    async (tx) => {
      await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
      return run(tx)
    },
    { statementMs },
  )
