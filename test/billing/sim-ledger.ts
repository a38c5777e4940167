import type { Db } from '../../src/store/db.ts'
import type { Expected } from './sim-expected.ts'

/** What the ledger says of each sale of some accounts. */
export async function ledgerSales(
  db: Db,
  accounts: readonly string[],
): Promise<Map<string, Expected>> {
  const rows = await db.query(
    `SELECT reference_id AS key,
       SUM(CASE WHEN movement_type = 'grant' THEN micros ELSE 0 END)::bigint AS granted,
       -SUM(CASE WHEN op_id ~ '^sale:[^#]*#[0-9]+$' THEN micros ELSE 0 END)::bigint AS taken
     FROM ledger_entries
     WHERE account_id = ANY($1) AND reference_type = 'sale' GROUP BY reference_id`,
    [accounts],
  )
  return new Map(
    rows.map((row) => [
      String(row.key),
      { granted: Number(row.granted), taken: Number(row.taken) },
    ]),
  )
}

/** In one order, to be compared. */
export const sorted = (sales: Map<string, Expected>): [string, Expected][] =>
  [...sales].sort(([a], [b]) => (a < b ? -1 : 1))
