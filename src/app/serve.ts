import { createRequire } from 'node:module'
import type { KeyLimits } from '../access/rows.ts'
import { hashSecret } from '../access/secrets.ts'
import { makeApp, type App } from '../app.ts'
import { ConfigError, loadConfig, type Config, type Environment } from '../config.ts'
import { systemClock } from '../kernel/clock.ts'
import { makeIds } from '../kernel/ids.ts'
import { DEMO_START_MS_MAX, QUICKSTART_MICROS } from '../kernel/limits.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { micros, ZERO } from '../kernel/money.ts'
import { makeLog } from '../ops/log.ts'
import { startDemoUpstream, type DemoUpstream } from './demo-upstream.ts'
import {
  DATA_DIR,
  prepareQuickstart,
  quickstartText,
  readQuickstart,
  type QuickstartSetup,
} from './quickstart.ts'
import { demoNames, withDefaultUpstreams } from './upstreams.ts'
import { supervise } from './workers/supervisor.ts'
import { signalControl, workerControl, type Control } from './workers/worker.ts'

/** No configuration at all: embedded stores, an account, credits, a key, perhaps the demo. */
const isQuickstart = ({ configPath, databaseUrl, redisUrl }: Environment): boolean =>
  configPath === null && databaseUrl === null && redisUrl === null

export function programVersion(): string {
  const read = createRequire(import.meta.url)
  const text: unknown = read('../../package.json')
  return typeof text === 'object' && text !== null && 'version' in text ? String(text.version) : '0'
}

function checkCombination(environment: Environment, config: Config): void {
  if (environment.redisUrl === null && environment.workers > 1) {
    throw new ConfigError('WORKERS above 1 needs REDIS_URL: the embedded engine is one process.')
  }
  if (environment.databaseUrl === null && environment.workers > 1) {
    throw new ConfigError('WORKERS above 1 needs DATABASE_URL: PGlite has one owner.')
  }
  if (environment.redisUrl === null && config.durability === 'settled') {
    throw new ConfigError('durability: settled needs REDIS_URL: nothing else keeps the charge.')
  }
}

/** Runs WORKERS gateways on one port until a signal ends them. Answers the exit code. */
async function serveMany(environment: Environment): Promise<number> {
  const config = loadConfig(environment)
  checkCombination(environment, config)
  return supervise({
    count: environment.workers,
    shutdownMs: config.shutdown_ms,
    clock: systemClock,
    log: makeLog({ level: environment.logLevel }),
    ready(port) {
      const host = environment.host.includes(':') ? `[${environment.host}]` : environment.host
      const text = `is listening on http://${host}:${port} (${environment.workers} workers)`
      process.stdout.write(`Farebox ${programVersion()} ${text}\n`)
    },
  })
}

/** Runs a gateway until a signal ends it. Answers the exit code. Source: design §10. */
export async function serve(environment: Environment): Promise<number> {
  if (environment.workers > 1 && environment.worker === null) return serveMany(environment)
  const isWorker = environment.worker !== null
  const quickstart = isQuickstart(environment)
  const clock = systemClock
  const ids = makeIds(clock)
  // In quickstart a person reads the terminal: only what is wrong.
  const level = quickstart && environment.logLevel === 'info' ? 'warn' : environment.logLevel
  const log = makeLog({ level })
  const control = isWorker ? workerControl(clock) : signalControl()
  const demo = await startDemo(environment, quickstart)
  try {
    const config = withDefaultUpstreams(loadConfig(environment), environment, demo?.baseUrl ?? null)
    checkCombination(environment, config)
    const adminToken =
      environment.adminToken ??
      (quickstart ? (readQuickstart(DATA_DIR)?.admin_token ?? ids.secret(32)) : null)
    const version = programVersion()
    const options = { environment, config, adminToken, version, clock, ids, log, control }
    const app = await makeApp({ ...options, dataDir: DATA_DIR })
    const url = await listen(app, environment)
    if (!isWorker) process.stdout.write(`Farebox ${version} is listening on ${url}\n`)
    if (quickstart && adminToken !== null) {
      const made = await prepareQuickstart(DATA_DIR, url, adminToken, setupOf(app))
      const demos = demo === null ? [] : demoNames(environment)
      process.stdout.write(quickstartText(made, 'gpt-4o-mini', demos))
    }
    const demoUrl = demo?.baseUrl ?? null
    return await untilStopped({ app, environment, config, log, demoUrl, control })
  } finally {
    demo?.stop()
    control.leave()
  }
}

async function startDemo(
  environment: Environment,
  quickstart: boolean,
): Promise<DemoUpstream | null> {
  if (!quickstart || demoNames(environment).length === 0) return null
  return startDemoUpstream(DEMO_START_MS_MAX)
}

async function listen(app: App, { host, port }: Environment): Promise<string> {
  try {
    return await app.listen(host, port)
  } catch (error) {
    await app.stop(0)
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code === 'EADDRINUSE') {
      throw new ConfigError(`Port ${port} on ${host} is taken. Set PORT to another one.`)
    }
    if (code === 'EACCES') throw new ConfigError(`Port ${port} may not be used. Set PORT.`)
    throw error
  }
}

const UNLIMITED: Omit<KeyLimits, 'name'> = {
  models: null,
  endpoints: null,
  budget: null,
  requestsPerMinute: null,
  tokensPerMinute: null,
  maxConcurrency: null,
  expiresAtMs: null,
}

/** Quickstart through the same doors as the admin API. */
function setupOf(app: App): QuickstartSetup {
  const { accounts, keys, books, reload, stores } = app.core
  const actor = 'quickstart'
  return {
    accountExists: async (id) => (await accounts.read(id)) !== null,
    createAccount: async (id, name) => {
      await accounts.create({
        id,
        name,
        subjectRef: null,
        email: null,
        stripeCustomerId: null,
        creditLimitMicros: ZERO,
        overageLimitMicros: ZERO,
        markup: null,
        actor,
      })
    },
    grantPromo: async (accountId) => {
      const grant = {
        accountId,
        micros: micros(QUICKSTART_MICROS),
        kind: 'promo' as const,
        priority: 100,
        effectiveAtMs: null,
        expiresAtMs: null,
        reason: 'quickstart credits',
        referenceType: 'grant',
        referenceId: 'quickstart',
      }
      await books.grant(grant, systemClock.now())
      await reload(accountId)
    },
    keyWorks: async (secret, accountId) => {
      const found = await stores.db.query(
        "SELECT 1 FROM api_keys WHERE hash = $1 AND account_id = $2 AND status = 'active'",
        [hashSecret(secret), accountId],
      )
      return found.length === 1
    },
    createKey: async (accountId) => {
      const limits = { ...UNLIMITED, name: 'quickstart' }
      const created = await keys.create({ id: null, accountId, limits, actor })
      const secret = created?.secret ?? null
      if (secret === null) throw new Error(`no key could be made for ${accountId}`)
      return secret
    },
  }
}

interface Running {
  readonly app: App
  readonly environment: Environment
  readonly config: Config
  readonly log: Log
  readonly demoUrl: string | null
  readonly control: Control
}

/** SIGTERM and SIGINT stop in order; a second one at once. SIGHUP reads the configuration again. */
function untilStopped(running: Running): Promise<number> {
  const { app, environment, config, log, control } = running
  return new Promise<number>((resolve) => {
    let stopping = false
    const onSignal = (): void => {
      if (stopping) {
        log.warn({}, 'second signal: leaving at once')
        // Settled charges are in Redis; the embedded engine has only this moment.
        const wait = environment.redisUrl === null ? 1_000 : 0
        void app.hurry(wait).finally(() => process.exit(1))
        return
      }
      stopping = true
      log.info({}, 'stopping')
      app.stop(config.shutdown_ms).then(
        (left) => {
          if (left > 0) log.error({ receipts: left }, 'stopped with charges not yet in Postgres')
          resolve(left === 0 || environment.redisUrl !== null ? 0 : 1)
        },
        (error: unknown) => {
          log.error({ error: describeError(error) }, 'stopping failed')
          resolve(1)
        },
      )
    }
    control.onStop(onSignal)
    control.onReload(() => {
      reload(running)
    })
  })
}

function reload({ app, environment, log, demoUrl }: Running): void {
  try {
    app.configure(withDefaultUpstreams(loadConfig(environment), environment, demoUrl))
    log.info({}, 'configuration read again: upstreams, prices and limits of requests are in force')
  } catch (error) {
    log.error({ error: describeError(error) }, 'the old configuration stays in force')
  }
}
