import { randomBytes } from 'node:crypto'
import { silentLog } from '../../src/kernel/log.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import type { Db } from '../../src/store/db.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openPglite } from '../../src/store/pglite.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { adminUrl, databaseUrl, freshDatabase, runSql } from '../support/stores.ts'

/** A database without any table, dropped when it goes out of scope. */
export async function emptyDatabase(): Promise<{ url: string } & AsyncDisposable> {
  const name = `farebox_empty_${process.pid}_${randomBytes(4).toString('hex')}`
  await runSql(adminUrl(), [`CREATE DATABASE ${name}`])
  return {
    url: databaseUrl(adminUrl(), name),
    [Symbol.asyncDispose]: () =>
      runSql(adminUrl(), [`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`]),
  }
}

export interface TestDb extends AsyncDisposable {
  readonly db: Db
  /** Where it is a Postgres: for connections of one's own. */
  readonly url: string | null
}

/** A migrated, empty database of its own. */
export async function testDb(kind: Db['kind'], poolMax = 8): Promise<TestDb> {
  if (kind === 'pglite') {
    const db = await openPglite({ memory: true })
    await migrate(db, { clock: systemClock, log: silentLog })
    return { db, url: null, [Symbol.asyncDispose]: () => db.close() }
  }
  const database = await freshDatabase()
  // What is slow here is the machine, which is none of what is tested.
  const patience = { connectMs: 60_000, statementMs: 60_000 }
  const db = openPostgres({ url: database.url, poolMax, ...patience, log: silentLog })
  return {
    db,
    url: database.url,
    async [Symbol.asyncDispose]() {
      await db.close()
      await database.drop()
    },
  }
}
