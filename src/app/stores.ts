import { mkdirSync } from 'node:fs'
import type { Environment } from '../config.ts'
import type { CreditEngine } from '../credits/commands.ts'
import { makeEmbeddedStore } from '../credits/embedded/store.ts'
import { makeEngine } from '../credits/engine.ts'
import { makeIncarnations } from '../credits/incarnations.ts'
import { makeRedisTransport, readScripts } from '../credits/redis/transport.ts'
import type { Transport } from '../credits/transport.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import { POSTGRES_POOL_MAX } from '../kernel/limits/stores.ts'
import type { Log } from '../kernel/log.ts'
import type { Db } from '../store/db.ts'
import { openPglite } from '../store/pglite.ts'
import { openPostgres } from '../store/postgres.ts'
import { openRedisNodes, type RedisNodes } from '../store/redis-nodes.ts'
import type { Control } from './workers/worker.ts'

/** The two stores: Postgres or PGlite, Redis or the embedded engine. */
export interface Stores {
  readonly db: Db
  readonly engine: CreditEngine
  /** null = embedded engine. */
  readonly redis: RedisNodes | null
  close(): Promise<void>
}

export interface StoreOptions {
  readonly environment: Environment
  /** Where embedded data lives. */
  readonly dataDir: string
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
  /** How the embedded database is opened. Absent = at once. */
  readonly control?: Pick<Control, 'unheard'>
}

export async function openDatabase(options: StoreOptions): Promise<Db> {
  const { databaseUrl } = options.environment
  const { log, dataDir, control } = options
  if (databaseUrl !== null)
    return openPostgres({ url: databaseUrl, poolMax: POSTGRES_POOL_MAX, log })
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const open = (): Promise<Db> => openPglite({ dir: dataDir })
  return control === undefined ? open() : control.unheard(open)
}

/**
 * Opens both. `prepare` is what comes before all else, such as migrating: throws what it throws. A
 * gateway that cannot see the truth does not start.
 */
export async function openStores(
  options: StoreOptions,
  prepare: (db: Db) => Promise<unknown>,
): Promise<Stores> {
  const { environment, clock, ids, log } = options
  const db = await openDatabase(options)
  try {
    await prepare(db)
  } catch (error) {
    await db.close()
    throw error
  }
  const { redisUrl } = environment
  const redis = redisUrl === null ? null : await openRedisNodes({ url: redisUrl, log })
  const transport: Transport =
    redis === null
      ? makeEmbeddedStore({ clock }).connect()
      : makeRedisTransport({ nodes: redis, scripts: readScripts() })
  const engine = makeEngine({
    transport,
    incarnations: makeIncarnations({ db, clock }),
    clock,
    ids,
    log,
  })
  return {
    db,
    engine,
    redis,
    async close() {
      await engine.close()
      await db.close()
    },
  }
}
