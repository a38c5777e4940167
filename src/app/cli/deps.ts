import { loadConfig, type Environment } from '../../config.ts'
import { systemClock } from '../../kernel/clock.ts'
import { makeIds } from '../../kernel/ids.ts'
import { makeLog } from '../../ops/log.ts'
import { makeMetrics } from '../../ops/metrics.ts'
import { appliedMigrations, migrate, migrationNames } from '../../store/migrate.ts'
import { doctorOf, makeCore } from '../credits.ts'
import { openPrices } from '../prices.ts'
import { replayHere } from '../replay.ts'
import { DATA_DIR, readQuickstart } from '../quickstart.ts'
import { programVersion, serve } from '../serve.ts'
import { setUp } from '../stripe-setup.ts'
import { openDatabase, openStores } from '../stores.ts'
import { RefusedError } from './client.ts'
import type { CliDeps, LocalOperations } from './context.ts'

const clock = systemClock

/**
 * The stores that the environment names, opened by the command itself: no server runs. Nothing is
 * migrated: that is for `serve` and `migrate`, not for a command that checks.
 */
async function openLocal(environment: Environment): Promise<LocalOperations> {
  const ids = makeIds(clock)
  const log = makeLog({ level: 'error' })
  const config = loadConfig(environment)
  let due: readonly string[] = []
  const options = { environment, dataDir: DATA_DIR, clock, ids, log }
  const stores = await openStores(options, async (db) => {
    const applied = await appliedMigrations(db)
    due = migrationNames().filter((name) => !applied.includes(name))
  })
  const { adminToken } = environment
  const shared = { stores, environment, config, adminToken, clock, ids, log }
  if (due.length > 0) {
    const told = `The database lacks ${due.join(', ')}. Run "farebox migrate" first.`
    const refuse = () => Promise.reject(new RefusedError(told))
    const operations = { verify: refuse, rebuild: refuse, recover: refuse }
    const doctor = doctorOf(shared, { hasPrice: () => true, unpriced: () => [] })
    return { operations: { ...operations, doctor }, ...stores }
  }
  const prices = await openPrices(stores.db, config, clock)
  const core = makeCore({ ...shared, prices, metrics: makeMetrics() })
  return {
    operations: core.operations,
    async close() {
      await core.credits.settledAll()
      await stores.close()
    },
  }
}

async function migrateHere(environment: Environment): ReturnType<typeof migrate> {
  const log = makeLog({ level: 'warn' })
  const options = { environment, dataDir: DATA_DIR, clock, ids: makeIds(clock), log }
  const db = await openDatabase(options)
  try {
    return await migrate(db, { clock, log })
  } finally {
    await db.close()
  }
}

/** What the commands need, out of the environment and this folder. */
export function cliDeps(environment: Environment): CliDeps {
  const hasDatabase = environment.databaseUrl !== null
  return {
    version: programVersion(),
    url: environment.cliUrl,
    adminToken: environment.adminToken,
    quickstart: readQuickstart(DATA_DIR),
    serve: () => serve(environment),
    migrate: hasDatabase ? () => migrateHere(environment) : null,
    openLocal: hasDatabase ? () => openLocal(environment) : null,
    setUpStripe: (options) => setUp(environment, options),
    replay: (into, progress) => replayHere(environment, into, progress),
    fetch,
    newReference: () => makeIds(clock).uuid(),
    out: (text) => {
      process.stdout.write(`${text}\n`)
    },
    err: (text) => {
      process.stderr.write(`${text}\n`)
    },
  }
}
