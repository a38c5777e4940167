import { loadConfig, type Environment } from '../../config.ts'
import { systemClock } from '../../kernel/clock.ts'
import { makeIds } from '../../kernel/ids.ts'
import { makeLog } from '../../ops/log.ts'
import { makeMetrics } from '../../ops/metrics.ts'
import { migrate } from '../../store/migrate.ts'
import { makeCore } from '../credits.ts'
import { openPrices } from '../prices.ts'
import { replayHere } from '../replay.ts'
import { DATA_DIR, readQuickstart } from '../quickstart.ts'
import { programVersion, serve } from '../serve.ts'
import { setUp } from '../stripe-setup.ts'
import { openDatabase, openStores } from '../stores.ts'
import type { CliDeps, LocalOperations } from './context.ts'

const clock = systemClock

/** The stores that the environment names, opened by the command itself: no server runs. */
async function openLocal(environment: Environment): Promise<LocalOperations> {
  const ids = makeIds(clock)
  const log = makeLog({ level: 'error' })
  const config = loadConfig(environment)
  const stores = await openStores({ environment, dataDir: DATA_DIR, clock, ids, log })
  const prices = await openPrices(stores.db, config, clock)
  const { adminToken } = environment
  const shared = { stores, prices, environment, config, adminToken, clock, ids, log }
  const core = makeCore({ ...shared, metrics: makeMetrics() })
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
