import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Db } from '../../src/store/db.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { findPooler, startPooler, type Pooler } from '../support/servers.ts'
import { adminUrl, freshDatabase, type FreshDatabase } from '../support/stores.ts'

const isMissing = findPooler() === null
if (isMissing) {
  console.log('a transaction pooler was not tried: pgbouncer is not installed (apt-get install it)')
}

const open = (url: string): Db => openPostgres({ url, poolMax: 8, log: silentLog })

describe.skipIf(isMissing)('Postgres through a transaction pooler', () => {
  let database: FreshDatabase
  let pooler: Pooler
  let db: Db
  beforeAll(async () => {
    ;[database, pooler] = await Promise.all([freshDatabase(), startPooler(adminUrl(), 3)])
    db = open(pooler.url(new URL(database.url).pathname.slice(1)))
  })
  afterAll(async () => {
    await db.close()
    await pooler.stop()
    await database.drop()
  })

  it('does not fail where another client’s statements are on its connection, or its own are not', async () => {
    // Eight clients take turns on three connections: each runs what another one, or none, prepared.
    const one = (n: number): Promise<unknown> =>
      n % 3 === 0
        ? db.query('SELECT $1::int AS n', [n])
        : db.tx(async (tx) => {
            await tx.query('SELECT $1::int + 1 AS n', [n])
            return tx.query('SELECT $1::int AS n', [n])
          })
    const answers = await Promise.all(Array.from({ length: 120 }, (_, n) => one(n)))
    expect(answers).toEqual(Array.from({ length: 120 }, (_, n) => [{ n }]))
  })

  it('is told from a connection of its own', async () => {
    const direct = open(database.url)
    expect([await db.pooled(), await direct.pooled()]).toEqual([true, false])
    await direct.close()
  })
})
