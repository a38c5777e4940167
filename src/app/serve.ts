import { createRequire } from 'node:module'
import { makeApp, type App } from '../app.ts'
import { ConfigError, loadConfig, type Config, type Environment } from '../config.ts'
import { systemClock } from '../kernel/clock.ts'
import { makeIds } from '../kernel/ids.ts'
import { ADMIN_TOKEN_CHARS_MIN } from '../kernel/limits/access.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { makeLog } from '../ops/log.ts'
import { startDemos, type Demos } from './demos.ts'
import { DATA_DIR, prepareQuickstart, quickstartText, readQuickstart } from './quickstart.ts'
import { customersOf, quickstartSetup } from './quickstart-setup.ts'
import { makeStarting } from './starting.ts'
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
export async function serve(real: Environment): Promise<number> {
  if (real.workers > 1 && real.worker === null) return serveMany(real)
  const isWorker = real.worker !== null
  const quickstart = isQuickstart(real)
  const clock = systemClock
  const ids = makeIds(clock)
  // In quickstart a person reads the terminal: only what is wrong.
  const level = quickstart && real.logLevel === 'info' ? 'warn' : real.logLevel
  const log = makeLog({ level })
  const control = isWorker ? workerControl(clock) : signalControl()
  let demosHere: Demos | null = null
  const starting = makeStarting(control, (code) => {
    demosHere?.stop()
    process.exit(code)
  })
  const demos = await startDemos(real, quickstart)
  demosHere = demos
  const { environment } = demos
  try {
    const config = demos.configure(loadConfig(environment))
    checkCombination(environment, config)
    const adminToken =
      environment.adminToken ??
      (quickstart ? (readQuickstart(DATA_DIR)?.admin_token ?? ids.secret(32)) : null)
    tellAdminToken(adminToken, real.worker, log)
    const version = programVersion()
    const options = {
      environment,
      config,
      adminToken,
      version,
      clock,
      ids,
      log,
      control,
      ...starting,
    }
    if (!quickstart && (real.worker ?? 1) === 1) tellOfQuickstart(log, environment, config)
    const app = await makeApp({ ...options, dataDir: DATA_DIR })
    const url = await listen(app, environment)
    const stopped = untilStopped({ app, environment, config, log, demos, control })
    if (!isWorker) process.stdout.write(`Farebox ${version} is listening on ${url}\n`)
    if (quickstart && adminToken !== null) {
      const made = await prepareQuickstart(DATA_DIR, url, adminToken, quickstartSetup(app))
      await demos.stripe?.connect(url, await customersOf(app))
      const shop = demos.stripe?.thanksUrl ?? null
      process.stdout.write(quickstartText(made, 'gpt-4o-mini', demos.names, shop))
    }
    return await stopped
  } finally {
    demos.stop()
    control.leave()
  }
}

/** Where an earlier start was a quickstart: who configures something sees what that replaced. */
function tellOfQuickstart(log: Log, environment: Environment, config: Config): void {
  if (readQuickstart(DATA_DIR) === null) return
  const used = {
    upstreams: Object.keys(config.upstreams).join(', ') || 'none',
    data: environment.databaseUrl === null ? DATA_DIR : 'DATABASE_URL',
    admin_api: environment.adminToken === null ? 'off' : 'on',
  }
  const gone = "the demo's upstreams, its Stripe and its admin token are not in use"
  log.info(used, `not a quickstart any more: ${gone}`)
}

/** Operators' routes refuse without one: told at start, by the first worker for all. */
export function tellAdminToken(
  token: string | null,
  worker: number | null,
  log: Pick<Log, 'warn'>,
): void {
  if ((token?.length ?? 0) >= ADMIN_TOKEN_CHARS_MIN || (worker ?? 1) > 1) return
  const why = token === null ? 'is not set' : 'is too short'
  const message = `FAREBOX_ADMIN_TOKEN ${why}: the admin API is off`
  log.warn({ characters_min: ADMIN_TOKEN_CHARS_MIN }, message)
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

interface Running {
  readonly app: App
  readonly environment: Environment
  readonly config: Config
  readonly log: Log
  readonly demos: Demos
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

function reload({ app, environment, log, demos }: Running): void {
  try {
    app.configure(demos.configure(loadConfig(environment)))
    log.info({}, 'configuration read again: upstreams, prices and limits of requests are in force')
  } catch (error) {
    log.error({ error: describeError(error) }, 'the old configuration stays in force')
  }
}
