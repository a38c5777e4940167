import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openPostgres } from '../../src/store/postgres.ts'

export { startPostgres, startRedis } from './servers.ts'
export type { PostgresServer, RedisOptions, RedisServer } from './servers.ts'

/** A migrated, empty database of its own. */
export interface FreshDatabase {
  readonly url: string
  /** Ends its connections and removes it. May be called twice. */
  drop(): Promise<void>
}

function given(name: string): string {
  const value = process.env[name]
  if (value === undefined || value === '') throw new Error(`${name} is not set; run npm test`)
  return value
}

/** The Redis that all tests of this run share: use ids of your own, never FLUSHALL. */
export const redisUrl = (): string => given('TEST_REDIS_URL')

/** The Postgres server of this run, as an administrator. */
export const adminUrl = (): string => given('TEST_DATABASE_URL')

/** Runs statements on a connection of their own. */
export async function runSql(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

export function databaseUrl(server: string, database: string): string {
  const url = new URL(server)
  url.pathname = `/${database}`
  return url.href
}

/**
 * Creates a database with every migration applied and recorded, as a gateway finds it; copies of
 * it cost some 50 ms.
 */
export async function createTemplate(server: string): Promise<FreshDatabase & { name: string }> {
  const name = `farebox_template_${process.pid}_${randomBytes(4).toString('hex')}`
  await runSql(server, [`CREATE DATABASE ${name}`])
  const url = databaseUrl(server, name)
  const db = openPostgres({ url, poolMax: 1, log: silentLog })
  await migrate(db, { clock: systemClock, log: silentLog })
  await db.close()
  return { name, url, drop: () => runSql(server, [`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`]) }
}

let ownTemplate: Promise<{ name: string }> | undefined

/** Outside a vitest run (bench, scripts) the template is made here and lives with its server. */
async function templateName(): Promise<string> {
  const shared = process.env.TEST_TEMPLATE_DATABASE
  if (shared !== undefined) return shared
  ownTemplate ??= createTemplate(adminUrl())
  return (await ownTemplate).name
}

/** Copies the template of this run. Those not dropped are dropped at the run's end. */
export async function freshDatabase(): Promise<FreshDatabase> {
  const server = adminUrl()
  const template = await templateName()
  const name = template.replace('template', 'test') + randomBytes(4).toString('hex')
  await runSql(server, [`CREATE DATABASE ${name} TEMPLATE ${template}`])
  return {
    url: databaseUrl(server, name),
    drop: () => runSql(server, [`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`]),
  }
}

/** Drops every copy of a template, then the template. */
export async function dropAll(server: string, template: string): Promise<void> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  try {
    const copies = await client.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE datname = $2 OR starts_with(datname, $1)',
      [template.replace('template', 'test'), template],
    )
    for (const { datname } of copies.rows) {
      await client.query(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`)
    }
  } finally {
    await client.end()
  }
}
