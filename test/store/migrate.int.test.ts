import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openPglite } from '../../src/store/pglite.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { emptyDatabase } from './databases.ts'

const folder = mkdtempSync(join(tmpdir(), 'farebox-migrations-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

let count = 0
/** A migrations folder with these texts, each with a check that passes unless given. */
function migrations(texts: Record<string, { up: string; check?: string }>): URL {
  const dir = join(folder, String(count++))
  for (const [name, { up, check = 'SELECT 1' }] of Object.entries(texts)) {
    mkdirSync(join(dir, name), { recursive: true })
    writeFileSync(join(dir, name, 'up.sql'), up)
    writeFileSync(join(dir, name, 'check.sql'), check)
  }
  return pathToFileURL(`${dir}/`)
}

const at = { clock: systemClock, log: silentLog }
const ONE = { up: 'CREATE TABLE one (n int); CREATE TABLE uno (n int)' }
const TWO = { up: 'CREATE TABLE two (n int)' }

test.each(['postgres', 'pglite'] as const)('%s: our own migrations apply once', async (kind) => {
  await using database = await emptyDatabase()
  const db =
    kind === 'pglite'
      ? await openPglite({ memory: true })
      : openPostgres({ url: database.url, poolMax: 4, log: silentLog })
  const first = await migrate(db, at)
  expect(first.applied[0]).toBe('0001-core')
  expect(await migrate(db, at)).toEqual({ applied: [], newer: [] })
  expect(await db.query('SELECT count(*) AS n FROM accounts')).toEqual([{ n: 0 }])
  await db.close()
})

test("tables of others in the same database are nobody's business", async () => {
  const db = await openPglite({ memory: true })
  await db.query('CREATE SCHEMA sales')
  await db.query('CREATE TABLE sales.sheet_music (id integer)')
  await migrate(db, at)
  await db.close()
})

test('two processes migrating at once apply each migration once', async () => {
  await using database = await emptyDatabase()
  const dbs = [0, 1, 2].map(() => openPostgres({ url: database.url, poolMax: 1, log: silentLog }))
  const results = await Promise.all(dbs.map((db) => migrate(db, at)))
  const applied = results.flatMap((result) => result.applied)
  expect(applied.length).toBeGreaterThan(0)
  expect(new Set(applied).size).toBe(applied.length)
  await Promise.all(dbs.map((db) => db.close()))
})

test('a changed text of an applied migration is refused', async () => {
  const db = await openPglite({ memory: true })
  await migrate(db, { ...at, dir: migrations({ '0001-one': ONE }) })
  const changed = migrations({ '0001-one': TWO })
  await expect(migrate(db, { ...at, dir: changed })).rejects.toThrow(/0001-one was changed/)
  await db.close()
})

test('a database that is ahead is named, one of another history is refused', async () => {
  const db = await openPglite({ memory: true })
  await migrate(db, { ...at, dir: migrations({ '0001-one': ONE, '0002-two': TWO }) })
  const older = migrations({ '0001-one': ONE })
  expect(await migrate(db, { ...at, dir: older })).toEqual({ applied: [], newer: ['0002-two'] })
  const other = migrations({ '0001-one': ONE, '0003-three': { up: 'SELECT 1' } })
  await expect(migrate(db, { ...at, dir: other })).rejects.toThrow(/has migration 0002-two/)
  await db.close()
})

test('a failed check undoes its migration and keeps those before it', async () => {
  await using database = await emptyDatabase()
  const db = openPostgres({ url: database.url, poolMax: 1, log: silentLog })
  const check = "DO $$ BEGIN ASSERT false, 'not as promised'; END $$"
  const dir = migrations({ '0001-one': ONE, '0002-two': { ...TWO, check } })
  await expect(migrate(db, { ...at, dir })).rejects.toThrow(/not as promised/)
  const rows = await db.query("SELECT to_regclass('uno')::text AS one, to_regclass('two') AS two")
  expect(rows).toEqual([{ one: 'uno', two: null }])
  await db.close()
})
