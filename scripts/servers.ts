import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  findPostgres,
  findProgram,
  findRedis,
  onFreePort,
  postgresServes,
  redisServes,
  startGuarded,
  startPostgres,
  startRedis,
} from '../test/support/servers.ts'

/** Finds, or gets, the real Postgres and Redis that tests and benchmarks run against. */
export interface Servers {
  databaseUrl: string
  redisUrl: string
  stop(): Promise<void>
}

interface Store {
  name: string
  variable: 'TEST_DATABASE_URL' | 'TEST_REDIS_URL'
  installed(): boolean
  start(): Promise<{ url: string; stop(): Promise<void> }>
  debianPackage: string
  container: { image: string; port: number; args: string[]; env: string[] }
  containerUrl(port: number): string
  serves(port: number): Promise<boolean>
  hint: string
}

const postgresUrl = (port: number): string => `postgres://postgres@127.0.0.1:${port}/postgres`

const POSTGRES: Store = {
  name: 'Postgres',
  variable: 'TEST_DATABASE_URL',
  installed: () => findPostgres() !== null,
  start: () => startPostgres(),
  debianPackage: 'postgresql',
  container: {
    image: 'postgres:17',
    port: 5432,
    args: ['-c', 'fsync=off', '-c', 'max_connections=300'],
    env: ['POSTGRES_HOST_AUTH_METHOD=trust'],
  },
  containerUrl: postgresUrl,
  serves: (port) => postgresServes(postgresUrl(port)),
  hint: 'Postgres ≥ 15 (Debian: apt-get install postgresql; macOS: brew install postgresql@17)',
}

const REDIS: Store = {
  name: 'Redis',
  variable: 'TEST_REDIS_URL',
  installed: () => findRedis() !== null,
  start: () => startRedis(),
  debianPackage: 'redis-server',
  container: {
    image: 'redis:7',
    port: 6379,
    args: ['redis-server', '--save', '', '--maxmemory-policy', 'noeviction'],
    env: [],
  },
  containerUrl: (port) => `redis://127.0.0.1:${port}`,
  serves: redisServes,
  hint: 'Redis ≥ 7 or Valkey (Debian: apt-get install redis-server; macOS: brew install redis)',
}

const runs = (command: string, args: readonly string[], waitMs: number): boolean =>
  spawnSync(command, args, { stdio: 'ignore', timeout: waitMs }).status === 0

const dockerAnswers = (): boolean => runs('docker', ['info'], 5_000)

/** The docker client passes the guard's TERM on to the container, which then is removed. */
function startContainer(store: Store): Promise<{ url: string; stop(): Promise<void> }> {
  const { image, env, args, port: inner } = store.container
  return onFreePort(async (port) => {
    const options = ['run', '--rm', '--publish', `127.0.0.1:${port}:${inner}`]
    for (const variable of env) options.push('--env', variable)
    return startGuarded({
      command: findProgram(['docker']) ?? 'docker',
      args: [...options, image, ...args],
      dir: mkdtempSync(join(tmpdir(), 'farebox-docker-')),
      ready: () => store.serves(port),
      readyMsMax: 300_000, // the first time the image is fetched
      lastSignal: 'TERM',
    })
  }).then(({ port, guarded }) => ({
    url: store.containerUrl(port),
    stop: () => guarded.end('TERM', 'remove'),
  }))
}

/** Debian as root, as in most CI containers. Installs the program; its own service is not used. */
function installPackage(store: Store): boolean {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return false
  console.log(`farebox: ${store.name} is not installed; apt-get install ${store.debianPackage} …`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...args: string[]) =>
    spawnSync('apt-get', ['-qq', ...args], { env, stdio: 'ignore' })
  apt('update')
  apt('install', '-y', '--no-install-recommends', store.debianPackage)
  return store.installed()
}

async function obtain(store: Store): Promise<{ url: string; stop(): Promise<void> }> {
  const given = process.env[store.variable]
  if (given !== undefined && given !== '') return { url: given, stop: () => Promise.resolve() }
  const failures: string[] = []
  const attempt = async (way: string, start: Store['start']) => {
    try {
      return await start()
    } catch (error) {
      failures.push(`${way}: ${error instanceof Error ? error.message : String(error)}`)
      return null
    }
  }
  let server = store.installed() ? await attempt('installed server', () => store.start()) : null
  if (dockerAnswers()) server ??= await attempt('docker', () => startContainer(store))
  if (server === null && !store.installed() && installPackage(store)) {
    server = await attempt('apt-get', () => store.start())
  }
  if (server !== null) return server
  const tried = failures.map((failure) => `\n  ${failure}`).join('')
  throw new Error(
    `no ${store.name} for the tests.${tried}\n  Install ${store.hint}, or start Docker, ` +
      `or set ${store.variable} to a server whose data may be lost.`,
  )
}

/** Servers given by environment are used and left as they are; others are private to this run. */
export async function obtainServers(): Promise<Servers> {
  const postgres = await obtain(POSTGRES)
  try {
    const redis = await obtain(REDIS)
    return {
      databaseUrl: postgres.url,
      redisUrl: redis.url,
      async stop() {
        await Promise.all([postgres.stop(), redis.stop()])
      },
    }
  } catch (error) {
    await postgres.stop()
    throw error
  }
}
