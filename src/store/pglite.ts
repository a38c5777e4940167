import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { PGlite, type PGliteOptions, type Transaction } from '@electric-sql/pglite'
import type { Db, Param, Row, Tx } from './db.ts'
import { StoreAwayError } from './errors.ts'
import { lockDirectory } from './pglite-lock.ts'
import { columnParsers } from './types.ts'

export type PgliteOptions =
  /** Kept in this directory, which one process owns. Created where it is missing. */
  | { readonly dir: string }
  /** Gone with the process. */
  | { readonly memory: true }

/**
 * Opens the embedded Postgres: one connection, so transactions run one after the other.
 * Throws when another process owns the directory. Source: design §5 (embedded default).
 */
export async function openPglite(options: PgliteOptions): Promise<Db> {
  const unlock = 'dir' in options ? lock(options.dir) : () => undefined
  try {
    const dataDir = 'dir' in options ? await madeIn(options.dir) : 'memory://'
    return makeDb(await PGlite.create({ dataDir, ...COMMON }), unlock)
  } catch (error) {
    unlock()
    throw error
  }
}

/**
 * Where the database of an owned directory is, made where there is none. It gets its name when it
 * is whole: of one that was cut off while its files came PGlite would take what is there.
 */
async function madeIn(dir: string): Promise<string> {
  const [whole, draft] = [join(dir, 'postgres'), join(dir, 'postgres.new')]
  if (existsSync(join(whole, 'PG_VERSION'))) return whole
  for (const part of [whole, draft]) rmSync(part, { recursive: true, force: true })
  await (await PGlite.create({ dataDir: draft })).close()
  renameSync(draft, whole)
  return whole
}

function lock(dir: string): () => void {
  mkdirSync(dir, { recursive: true })
  return lockDirectory(dir)
}

const COMMON: PGliteOptions = {
  parsers: Object.fromEntries(columnParsers),
}

type Runner = Pick<Transaction, 'query' | 'exec'>

async function runOn(
  runner: Runner,
  sql: string,
  params: readonly Param[] | undefined,
): Promise<readonly Row[]> {
  if (params === undefined) return (await runner.exec(sql)).at(-1)?.rows ?? []
  return (await runner.query<Row>(sql, [...params])).rows
}

function makeDb(pglite: PGlite, unlock: () => void): Db {
  function assertOpen(): void {
    if (pglite.closed) throw new StoreAwayError('the embedded database is closed')
  }
  return {
    kind: 'pglite',
    pooled: () => Promise.resolve(false),
    async query(sql, params) {
      assertOpen()
      return runOn(pglite, sql, params)
    },
    async tx(run) {
      assertOpen()
      return pglite.transaction(async (tx) => {
        const sent: Promise<unknown>[] = []
        const query: Tx['query'] = (sql, params) => {
          const answer = runOn(tx, sql, params)
          answer.catch(() => undefined) // awaited below, if not by who asked
          sent.push(answer)
          return answer
        }
        const result = await run({ query })
        await Promise.all(sent)
        return result
      })
    },
    async close() {
      if (pglite.closed) return
      await pglite.close()
      unlock()
    },
  }
}
