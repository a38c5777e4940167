import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { UnknownOutcomeError } from '../../src/kernel/errors.ts'
import type { Db } from '../../src/store/db.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { findPooler, startPooler, type Pooler } from '../support/servers.ts'
import { adminUrl, freshDatabase, type FreshDatabase } from '../support/stores.ts'
import { cuttingProxy } from './cutting-proxy.ts'

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

  it('leaves no statement running that took too long, and so nothing that it would do later', async () => {
    const url = pooler.url(new URL(database.url).pathname.slice(1))
    const hasty = openPostgres({ url, poolMax: 2, log: silentLog, statementMs: 150 })
    await db.query('CREATE TABLE lamps (lit boolean)')
    await db.query('INSERT INTO lamps VALUES (false)')
    await db.tx(async (tx) => {
      await tx.query('SELECT lit FROM lamps FOR UPDATE')
      const late = hasty.query('UPDATE lamps SET lit = $1', [true])
      await expect(late).rejects.toMatchObject({ code: '57014' })
    })
    expect(await hasty.query('SELECT lit, count(*) OVER () AS n FROM lamps')).toEqual([
      { lit: false, n: 1 },
    ])
    await expect(hasty.query('SELECT 1 / $1::int', [0])).rejects.toMatchObject({ code: '22012' })
    await hasty.close()
  })

  it('does not know what became of a statement whose connection broke before any answer', async () => {
    const proxy = await cuttingProxy(pooler.url(new URL(database.url).pathname.slice(1)))
    const cut = open(proxy.url)
    expect(await cut.query('SELECT 1 AS n')).toEqual([{ n: 1 }])
    proxy.cutNext('BEGIN')
    await expect(cut.query('SELECT $1::int AS n', [2])).rejects.toThrow(UnknownOutcomeError)
    expect(await cut.query('SELECT $1::int AS n', [3])).toEqual([{ n: 3 }])
    await cut.close()
    await proxy[Symbol.asyncDispose]()
  })

  it('is told from a connection of its own', async () => {
    const direct = open(database.url)
    expect([await db.pooled(), await direct.pooled()]).toEqual([true, false])
    await direct.close()
  })
})
