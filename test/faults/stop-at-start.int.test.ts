import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { emptyDatabase } from '../store/databases.ts'
import { startGateway } from '../support/gateway.ts'
import { redisUrl } from '../support/stores.ts'
import { until } from '../support/until.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
/** Of the statement in lock-migrations.sql. */
const LOCK = 7_215_930_482_651
/** Far below the time that a stop is given before it kills. */
const AT_ONCE_MS = 15_000

const started: ChildProcess[] = []
const dir = mkdtempSync(join(tmpdir(), 'farebox-start-'))
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
  rmSync(join(dir, '.farebox'), { recursive: true, force: true })
})

function serve(databaseUrl: string, env: Record<string, string>): ChildProcess {
  const stores = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl() }
  const { PATH, NODE_COMPILE_CACHE } = process.env
  const child = spawn(process.execPath, [MAIN, 'serve'], {
    cwd: dir,
    env: { PATH, NODE_COMPILE_CACHE, HOME: dir, PORT: '0', ...stores, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  started.push(child)
  return child
}

async function connect(url: string): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

/** Waits until another connection of this database waits for a lock. */
const untilWaiting = (client: pg.Client): Promise<unknown> =>
  until(async () => {
    const { rows } = await client.query(
      `SELECT 1 FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    )
    return rows.length > 0
  })

async function expectEnd(child: ChildProcess): Promise<void> {
  const sinceMs = performance.now()
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
  expect({ code: child.exitCode, signal: child.signalCode }).toEqual({ code: 0, signal: null })
  expect(performance.now() - sinceMs).toBeLessThan(AT_ONCE_MS)
}

describe.each([{}, { WORKERS: '2' }])('a stop while it starts, with %j', (env) => {
  test('ends it at once where another process migrates', async () => {
    await using database = await emptyDatabase()
    await using other = await connect(database.url)
    await other.query('SELECT pg_advisory_lock($1)', [LOCK])
    const child = serve(database.url, env)
    await untilWaiting(other)
    await expectEnd(child)
  })

  test('lets the migration end that is under way, and begins no other', async () => {
    await using database = await emptyDatabase()
    await using other = await connect(database.url)
    await using watch = await connect(database.url)
    await other.query('BEGIN; CREATE TABLE accounts (n int)') // the first migration waits for it
    const child = serve(database.url, env)
    await untilWaiting(watch)
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await other.query('SELECT pg_sleep(0.5)')
    expect(child.exitCode).toBeNull()
    await other.query('ROLLBACK')
    await exited
    expect(child.exitCode).toBe(0)
    const { rows } = await watch.query('SELECT name FROM schema_migrations')
    expect(rows).toEqual([{ name: '0001-core' }])
  })
})

/** A signal that nobody listens to ends a process sooner; making a database takes many seconds. */
const SOON_MS = 2_500

test.each(['SIGTERM', 'SIGINT'] as const)(
  'a %s while the embedded database is made ends it at once, and it starts again',
  async (signal) => {
    const { PATH, NODE_COMPILE_CACHE } = process.env
    const child = spawn(process.execPath, [MAIN, 'serve'], {
      cwd: dir,
      env: { PATH, NODE_COMPILE_CACHE, HOME: dir, PORT: '0' },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    started.push(child)
    const made = ['postgres', 'postgres.new'].map((name) => join(dir, '.farebox', name))
    await until(() => made.some((each) => existsSync(each)))
    await sleep(1_000) // well amid its making: a stop is as soon at any other moment
    const sinceMs = performance.now()
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
    expect(performance.now() - sinceMs).toBeLessThan(SOON_MS)
    const gateway = await startGateway({ dir })
    expect(await gateway.end()).toBe(0)
  },
)
