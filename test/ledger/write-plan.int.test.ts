import { afterAll, describe, expect, test } from 'vitest'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import type { Db, Param, Row } from '../../src/store/db.ts'
import { testDb } from '../store/databases.ts'
import { ids, item, T0 } from './support.ts'

const own = await testDb('postgres')
const { db } = own
afterAll(() => own[Symbol.asyncDispose]())

/** Accounts with a lot each, and statistics that say so. */
async function fill(accounts: number): Promise<void> {
  const params = [accounts, new Date(T0)]
  await db.query(
    `INSERT INTO accounts (id, name, changed_at, created_at)
     SELECT 'fill_' || n, 'fill', $2, $2 FROM generate_series(1, $1::integer) n
     ON CONFLICT DO NOTHING`,
    params,
  )
  await db.query(
    `INSERT INTO lots (id, account_id, kind, priority, state, granted_micros, remaining_micros,
                       effective_at, reason, reference_type, reference_id, created_at)
     SELECT gen_random_uuid(), 'fill_' || n, 'paid', 1, 'active', 1, 1, $2, '', 'grant', n, $2
     FROM generate_series(1, $1::integer) n
     ON CONFLICT DO NOTHING`,
    params,
  )
  await db.query('VACUUM ANALYZE accounts, lots')
}

/** The statement of a batch of one receipt, as it was sent. */
async function sentWrite(): Promise<{ sql: string; params: readonly Param[] }> {
  const writes: { sql: string; params: readonly Param[] }[] = []
  const watched: Db = {
    ...db,
    query(sql, params = []) {
      if (sql.includes('was_version')) writes.push({ sql, params })
      return db.query(sql, params)
    },
  }
  const ledger = makePostingLedger({ db: watched, ids })
  for (let n = 0; n < 2; n++) await ledger.post([item({ accountId: 'fill_7' })], T0)
  const [write] = writes
  if (write === undefined) throw new Error('nothing was written from what is kept')
  return write
}

/** What Postgres reckons that planning costs, of one of the tables alone. Source: plancache.c. */
const PLANNING = 1_000 * 0.0025

const costOf = ([first = '']: readonly string[]): number =>
  Number(/cost=[\d.]+\.\.([\d.]+)/.exec(first)?.[1])

describe.each([500, 5_000])('with %i accounts', (accounts) => {
  test('a batch finds them and their lots by index, by a plan that is made once', async () => {
    await fill(accounts)
    const { sql, params } = await sentWrite()
    const plan = (rows: readonly Row[]) => rows.map((row) => String(row['QUERY PLAN']))
    const [generic, custom] = await db.tx(async (tx) => {
      await tx.query(`PREPARE probe AS ${sql}`)
      const nulls = params.map(() => 'NULL').join()
      const generic = plan(await tx.query(`EXPLAIN EXECUTE probe (${nulls})`))
      await tx.query('DEALLOCATE probe')
      return [generic, plan(await tx.query(`EXPLAIN ${sql}`, params))]
    })
    expect(generic.filter((line) => /Seq Scan on (?:accounts|lots)\b/.test(line))).toEqual([])
    expect(generic.filter((line) => line.includes('Index Scan using lots_pkey'))).toHaveLength(1)
    // Else Postgres would plan each batch anew, at more cost than it takes to run.
    expect(costOf(generic)).toBeLessThan(costOf(custom) + PLANNING)
  })
})
