import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import type { Clock } from '../kernel/clock.ts'
import { MIGRATION_LOCK_MS_MAX, MIGRATION_MS_MAX } from '../kernel/limits/stores.ts'
import type { Log } from '../kernel/log.ts'
import type { Db, Tx } from './db.ts'
import { loadSql } from './sql.ts'

export interface MigrateOptions {
  readonly clock: Clock
  readonly log: Log
  /** Default: the migrations that came with this program. */
  readonly dir?: URL
  /** Called when one begins that is due; what it answers is called when it is over. */
  readonly migrates?: () => () => void
}

export interface Migrated {
  /** Applied by this call, in order. */
  readonly applied: readonly string[]
  /** In the database, but unknown to this program: it is older than the database. */
  readonly newer: readonly string[]
}

interface Migration {
  readonly name: string
  readonly text: string
  readonly check: string
  readonly checksum: string
}

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'lock-migrations',
  'find-migrations',
  'create-migrations',
  'read-migrations',
  'insert-migration',
])

/**
 * Brings the database forward, one transaction a migration, one process at a time. Each is its
 * up.sql, then its check.sql, which raises where the result is not what was promised.
 *
 * Throws when an applied migration's text differs from ours, or when the database has one that we
 * lack among those we know. Migrations *after* our last one are only a warning: they expand, never
 * change what older code reads, so that old and new processes run side by side during a rollout.
 * Source: design §5.
 */
export async function migrate(db: Db, options: MigrateOptions): Promise<Migrated> {
  const dir = options.dir ?? new URL('../../migrations/', import.meta.url)
  const known = readMigrations(dir)
  const applied: string[] = []
  for (;;) {
    let over = (): void => undefined
    const begins = (): void => {
      over = options.migrates?.() ?? over
    }
    const step = await db
      .tx((tx) => applyNext(tx, known, options.clock, begins), { statementMs: MIGRATION_MS_MAX })
      .finally(() => {
        over()
      })
    if (step.name === null) return finish(applied, step.newer, options.log)
    applied.push(step.name)
    options.log.info({ migration: step.name }, 'migrated')
  }
}

function finish(applied: string[], newer: string[], log: Log): Migrated {
  if (newer.length > 0) {
    log.warn({ newer: newer.join(' ') }, 'the database is newer than this program')
  }
  return { applied, newer }
}

/** Names of the migrations that this database has, in order. Changes nothing. */
export async function appliedMigrations(db: Db): Promise<readonly string[]> {
  const [found] = await db.query(sql['find-migrations'], [])
  if (found?.is_there !== true) return []
  const rows = await db.query(sql['read-migrations'], [])
  return rows.map(({ name }) => String(name))
}

/** Names of the migrations that came with this program, in order. */
export const migrationNames = (): readonly string[] =>
  readMigrations(new URL('../../migrations/', import.meta.url)).map(({ name }) => name)

function readMigrations(dir: URL): Migration[] {
  const names = readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /^\d{4}-/.test(entry.name))
    .map((entry) => entry.name)
    .sort()
  return names.map((name) => {
    const text = readFileSync(new URL(`${name}/up.sql`, dir), 'utf8').replaceAll('\r\n', '\n')
    const check = readFileSync(new URL(`${name}/check.sql`, dir), 'utf8')
    return { name, text, check, checksum: createHash('sha256').update(text).digest('hex') }
  })
}

async function applyNext(
  tx: Tx,
  known: readonly Migration[],
  clock: Clock,
  begins: () => void,
): Promise<{ name: string | null; newer: string[] }> {
  await tx.query(sql['lock-migrations'], [])
  await tx.query(sql['create-migrations'], [])
  const done = await readApplied(tx)
  const newer = compare(known, done)
  const next = known.find(({ name }) => !done.has(name))
  if (next === undefined) return { name: null, newer }
  begins()
  await tx.query(`SET LOCAL lock_timeout = ${MIGRATION_LOCK_MS_MAX}`)
  await tx.query(next.text)
  await tx.query(next.check)
  await tx.query(sql['insert-migration'], [next.name, next.checksum, new Date(clock.now())])
  return { name: next.name, newer }
}

async function readApplied(tx: Tx): Promise<Map<string, string>> {
  const rows = await tx.query(sql['read-migrations'], [])
  return new Map(rows.map(({ name, checksum }) => [String(name), String(checksum)]))
}

/** Answers the names that come after all of ours; throws where the histories differ. */
function compare(known: readonly Migration[], done: ReadonlyMap<string, string>): string[] {
  for (const { name, checksum } of known) {
    const applied = done.get(name)
    if (applied !== undefined && applied !== checksum) {
      throw new Error(`migration ${name} was changed after it had been applied`)
    }
  }
  const last = known.at(-1)?.name ?? ''
  const names = new Set(known.map(({ name }) => name))
  const unknown = [...done.keys()].filter((name) => !names.has(name))
  const foreign = unknown.find((name) => name < last)
  if (foreign !== undefined) throw new Error(`the database has migration ${foreign}, we do not`)
  return unknown
}
