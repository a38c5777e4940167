import { expect, test } from 'vitest'
import { z } from 'zod'
import { cliDeps } from '../../src/app/cli/deps.ts'
import { readEnvironment } from '../../src/config.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { migrationNames } from '../../src/store/migrate.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { emptyDatabase } from '../store/databases.ts'
import { freshDatabase, redisUrl, runSql } from '../support/stores.ts'
import { runAt } from './support.ts'

const LAST = migrationNames().at(-1) ?? ''

/** Runs a command where no server runs, on real stores. */
function fareboxOn(databaseUrl: string, ...args: readonly string[]) {
  const variables = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl() }
  const { openLocal } = cliDeps(readEnvironment(variables))
  return runAt('', args, { url: null, adminToken: null, openLocal })
}

const report = z.object({
  ok: z.boolean(),
  findings: z.array(z.object({ check: z.string(), status: z.string(), fix: z.string() })),
})

async function tablesOf(url: string): Promise<number> {
  const db = openPostgres({ url, poolMax: 1, log: silentLog })
  const tables = await db.query("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
  await db.close()
  return tables.length
}

async function expectTold(url: string): Promise<void> {
  for (const command of ['verify', 'rebuild', 'recover']) {
    const { code, out, err } = await fareboxOn(url, command)
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toMatch(new RegExp(`^farebox: The database lacks .*${LAST}. Run "farebox migrate"`))
  }
  const doctor = await fareboxOn(url, 'doctor', '--json')
  expect(doctor.code).toBe(1)
  const { findings } = report.parse(JSON.parse(doctor.out))
  expect(findings).toContainEqual({
    check: 'migrations',
    status: 'fail',
    fix: 'Run farebox migrate.',
  })
  expect(findings.map(({ check }) => check)).toContain('redis version')
  expect(findings.filter(({ fix }) => fix.includes('reachable'))).toEqual([])
}

test('commands that check and repair say that migrations are due, and change no schema', async () => {
  await using empty = await emptyDatabase()
  await expectTold(empty.url)
  expect(await tablesOf(empty.url)).toBe(0)
})

test('the same where the database is one migration behind; up to date they do their work', async () => {
  const database = await freshDatabase()
  try {
    expect(await fareboxOn(database.url, 'verify')).toMatchObject({ code: 0, err: '' })
    const before = await tablesOf(database.url)
    await runSql(database.url, [`DELETE FROM schema_migrations WHERE name = '${LAST}'`])
    await expectTold(database.url)
    expect(await tablesOf(database.url)).toBe(before)
  } finally {
    await database.drop()
  }
})
