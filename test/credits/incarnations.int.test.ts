import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeIncarnations } from '../../src/credits/incarnations.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { Db } from '../../src/store/db.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { freshDatabase, type FreshDatabase } from '../support/stores.ts'

let database: FreshDatabase
let db: Db
beforeAll(async () => {
  database = await freshDatabase()
  db = openPostgres({ url: database.url, poolMax: 8, log: silentLog })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

test('numbers grow, are drawn once per number seen, and differ between nodes', async () => {
  const incarnations = makeIncarnations({ db, clock: systemClock })
  const first = await incarnations.read('n1')
  expect(await incarnations.read('n1')).toBe(first)
  const other = await incarnations.read('n2')
  expect(other).toBeGreaterThan(first)
  const bumps = await Promise.all([1, 2, 3].map(() => incarnations.bump('n1', first)))
  expect(bumps.filter(({ drawn }) => drawn)).toHaveLength(1)
  expect(new Set(bumps.map(({ number }) => number)).size).toBe(1)
  expect(bumps[0]?.number).toBeGreaterThan(other)
  const reads = await Promise.all([1, 2, 3].map(() => incarnations.read('n3')))
  expect(new Set(reads).size).toBe(1)
})
