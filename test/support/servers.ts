import { execFileSync, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import {
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createConnection, createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

/**
 * Private Postgres and Redis servers on free ports. Each is run by guard.sh, which ends it and
 * removes its directory also when this process is killed.
 */
const GUARD = fileURLToPath(new URL('guard.sh', import.meta.url))
const START_MS_MAX = 60_000
const START_TRIES_MAX = 3

export type StopSignal = 'KILL' | 'INT' | 'QUIT' | 'TERM'

interface Owner {
  uid: number
  gid: number
}

export interface Guarded {
  pid: number
  /** Resolves when the process has ended. */
  end(signal: StopSignal, files: 'keep' | 'remove'): Promise<void>
}

export interface Program {
  command: string
  args: readonly string[]
  dir: string
  /** Whether the server serves: an open port alone is also seen while it still recovers. */
  ready(): Promise<boolean>
  /** Milliseconds until it has to serve. Default 60 000. */
  readyMsMax?: number
  /** What the guard sends when this process is gone. */
  lastSignal: StopSignal
  owner?: Owner | undefined
}

/** Starts a program and waits until it serves. Throws with the log's end. */
export async function startGuarded(program: Program): Promise<Guarded> {
  const guard = spawn('sh', [GUARD, program.command, ...program.args], {
    // A session of its own: Ctrl-C reaches this process only, which then closes stdin.
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, GUARD_DIR: program.dir, GUARD_SIGNAL: program.lastSignal },
    ...program.owner,
  })
  guard.stdin.on('error', () => undefined)
  const ended = new Promise<void>((resolve) =>
    guard.once('exit', () => {
      resolve()
    }),
  )
  const pid = await new Promise<number>((resolve, reject) => {
    guard.once('error', reject)
    guard.stdout.once('data', (line: Buffer) => {
      resolve(Number(line.toString()))
    })
  })
  guard.unref() // a running server alone keeps no process alive
  for (const pipe of [guard.stdin, guard.stdout]) {
    if (pipe instanceof Socket) pipe.unref()
  }
  const guarded: Guarded = {
    pid,
    async end(signal, files) {
      guard.ref()
      guard.stdin.write(`${signal} ${files}\n`)
      await ended
    },
  }
  try {
    await waitUntilReady(program, pid)
  } catch (error) {
    const log = readFileSync(join(program.dir, 'server.log'), 'utf8').slice(-2_000)
    await guarded.end('KILL', 'keep')
    throw new Error(`${program.command} did not start: ${log}`, { cause: error })
  }
  return guarded
}

async function waitUntilReady(program: Program, pid: number): Promise<void> {
  const waitMs = program.readyMsMax ?? START_MS_MAX
  const deadline = performance.now() + waitMs
  while (performance.now() < deadline) {
    if (await program.ready()) return
    if (hasEnded(pid)) throw new Error(`${program.command} ended`)
    await delay(20)
  }
  throw new Error(`${program.command} does not serve after ${waitMs} ms`)
}

/** Its guard waits for a word from us, so that a server which gave up stays a zombie. */
function hasEnded(pid: number): boolean {
  const status = `/proc/${pid}/stat`
  return existsSync(status) && readFileSync(status, 'utf8').includes(') Z ')
}

export function redisServes(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port }, () => socket.write('PING\r\n'))
    socket.once('data', (answer) => {
      resolve(answer.toString().startsWith('+PONG'))
      socket.destroy()
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}

export async function postgresServes(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => undefined)
  }
}

/**
 * Below the ports that a system gives out by itself (Linux from 32 768, macOS from 49 152), so that
 * nobody is given one whose server is about to start, or is down for a while; above those that
 * `fetch` refuses to call.
 */
const PORT_MIN = 11_000
const PORT_MAX = 32_000
const PORT_TRIES_MAX = 100
const taken = new Set<number>()

/** A port that was free a moment ago; each once in this process. */
export async function freePort(): Promise<number> {
  for (let tries = 1; tries <= PORT_TRIES_MAX; tries += 1) {
    const port = randomInt(PORT_MIN, PORT_MAX)
    if (taken.has(port)) continue
    taken.add(port)
    if (await isFree(port)) return port
  }
  throw new Error('no port is free')
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(false)
    })
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}

/** Nobody listens there: it is no service's, and no process is given it as a free one. */
export const DEAD_PORT = 4

/** The first of `names` in PATH or in one of `folders`; null when there is none. */
export function findProgram(
  names: readonly string[],
  folders: readonly string[] = [],
): string | null {
  const places = [...(process.env.PATH ?? '').split(delimiter), ...folders]
  for (const name of names) {
    const found = places.map((place) => join(place, name)).find((path) => existsSync(path))
    if (found !== undefined) return found
  }
  return null
}

const SYSTEM_FOLDERS = [
  '/usr/bin',
  '/usr/local/bin',
  '/opt/homebrew/bin',
  '/usr/local/sbin',
  '/usr/sbin',
]

export function findRedis(): string | null {
  return findProgram(['redis-server', 'valkey-server'], SYSTEM_FOLDERS)
}

/** The folder with initdb and postgres, the newest version first. */
export function findPostgres(): string | null {
  const folders = [...pgConfigFolder(), ...versionFolders('/usr/lib/postgresql', 'bin')]
  folders.push(...versionFolders('/opt/homebrew/opt', 'bin'), ...versionFolders('/usr', 'bin'))
  const complete = (folder: string) =>
    existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres'))
  const inPath = (process.env.PATH ?? '').split(delimiter)
  return [...inPath, ...folders].find(complete) ?? null
}

function versionFolders(parent: string, leaf: string): string[] {
  if (!existsSync(parent)) return []
  return readdirSync(parent)
    .filter((name) => /^(\d+|postgresql@\d+|pgsql-\d+)$/.test(name))
    .sort((a, b) => Number(b.replace(/\D/g, '')) - Number(a.replace(/\D/g, '')))
    .map((name) => join(parent, name, leaf))
}

function pgConfigFolder(): string[] {
  const pgConfig = findProgram(['pg_config'], SYSTEM_FOLDERS)
  return pgConfig === null
    ? []
    : [execFileSync(pgConfig, ['--bindir'], { encoding: 'utf8' }).trim()]
}

/** initdb refuses root, so a root shell lends the server to `postgres` or `nobody`. */
export function unprivileged(): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const user =
    users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody')
  if (user === undefined)
    throw new Error('root needs a user "postgres" or "nobody" to run Postgres')
  return { uid: Number(user[2]), gid: Number(user[3]) }
}

export interface RedisOptions {
  /** Keeps the data over a restart (AOF, fsync always). Default: a restart comes back empty. */
  appendOnly?: boolean
  /** More arguments of redis-server, such as ['--maxmemory', '4mb']. */
  args?: readonly string[]
}

export interface RedisServer {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Ends it (kill -9 where it still runs) and starts it again on the same port. */
  restart(): Promise<void>
  /** kill -9. `restart` brings it back. */
  kill(): Promise<void>
  /** SIGSTOP: connections stay open and nothing answers. */
  pause(): void
  resume(): void
  /** Ends it and removes its files. May be called twice. */
  stop(): Promise<void>
}

/** A private redis-server (or valkey-server): noeviction, no snapshots. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const command = findRedis()
  if (command === null) throw new Error('redis-server is not installed; run npm test, it says how')
  const dir = mkdtempSync(join(tmpdir(), 'farebox-redis-'))
  const start = (port: number): Promise<Guarded> => {
    const append = options.appendOnly === true ? ['yes', '--appendfsync', 'always'] : ['no']
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '']
    args.push('--appendonly', ...append, '--maxmemory-policy', 'noeviction')
    args.push('--enable-debug-command', 'local', ...(options.args ?? []))
    return startGuarded({ command, args, dir, ready: () => redisServes(port), lastSignal: 'KILL' })
  }
  const { port, guarded } = await onFreePort(start)
  let running: Guarded | null = guarded
  let { pid } = guarded
  const end = async (files: 'keep' | 'remove') => {
    const ending = running
    running = null
    await ending?.end('KILL', files)
    settleFiles(dir, files)
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return pid
    },
    async restart() {
      await end('keep')
      running = await start(port)
      pid = running.pid
    },
    kill: () => end('keep'),
    pause: () => {
      process.kill(pid, 'SIGSTOP')
    },
    resume: () => {
      process.kill(pid, 'SIGCONT')
    },
    stop: () => end('remove'),
  }
}

export interface PostgresServer {
  /** Of the empty database `postgres`, as superuser. */
  readonly url: string
  readonly port: number
  readonly pid: number
  /** `INT`: fast shutdown. `QUIT`: as in a crash. Committed transactions survive both. */
  restart(signal?: 'INT' | 'QUIT'): Promise<void>
  /** Ends it and keeps its files; `restart` brings it back. */
  down(signal?: 'INT' | 'QUIT'): Promise<void>
  /** Ends it and removes its files. May be called twice. */
  stop(): Promise<void>
}

/** A private cluster. fsync is off: it survives the end of a process, not of the machine. */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const bin = findPostgres()
  if (bin === null) throw new Error('postgres is not installed; run npm test, it says how')
  const owner = unprivileged()
  const dir = mkdtempSync(join(tmpdir(), 'farebox-pg-'))
  if (owner !== undefined) chownSync(dir, owner.uid, owner.gid)
  const data = join(dir, 'data')
  const initdb = [
    '-D',
    data,
    '-U',
    'postgres',
    '-A',
    'trust',
    '-E',
    'UTF8',
    '--no-sync',
    '--locale=C',
  ]
  execFileSync(join(bin, 'initdb'), initdb, { cwd: dir, stdio: 'pipe', ...owner })
  const address = (port: number) => `postgres://postgres@127.0.0.1:${port}/postgres`
  const fixed = ['fsync=off', 'full_page_writes=off', 'max_connections=300', 'shared_buffers=128MB']
  const start = (port: number): Promise<Guarded> => {
    const args = ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', dir]
    for (const setting of [...fixed, ...settings]) args.push('-c', setting)
    return startGuarded({
      command: join(bin, 'postgres'),
      args,
      dir,
      owner,
      ready: () => postgresServes(address(port)),
      lastSignal: 'QUIT',
    })
  }
  const { port, guarded } = await onFreePort(start)
  let running: Guarded | null = guarded
  let { pid } = guarded
  const end = async (signal: 'INT' | 'QUIT', files: 'keep' | 'remove') => {
    const ending = running
    running = null
    await ending?.end(signal, files)
    settleFiles(dir, files)
  }
  return {
    url: address(port),
    port,
    get pid() {
      return pid
    },
    async restart(signal = 'INT') {
      await end(signal, 'keep')
      running = await start(port)
      pid = running.pid
    },
    down: (signal = 'INT') => end(signal, 'keep'),
    stop: () => end('QUIT', 'remove'),
  }
}

export const findPooler = (): string | null => findProgram(['pgbouncer'], SYSTEM_FOLDERS)

export interface Pooler {
  /** Of a database behind it. */
  url(database: string): string
  /** kill -9: every connection through it breaks. `restart` brings it back. */
  kill(): Promise<void>
  restart(): Promise<void>
  /** Ends it and removes its files. May be called twice. */
  stop(): Promise<void>
}

/** A private pgbouncer in transaction mode, with `connections` to the server for each database. */
export async function startPooler(server: string, connections: number): Promise<Pooler> {
  const command = findPooler()
  if (command === null) throw new Error('pgbouncer is not installed')
  const owner = unprivileged()
  const dir = mkdtempSync(join(tmpdir(), 'farebox-pooler-'))
  const { hostname, port: serverPort, username, password } = new URL(server)
  const user = username === '' ? 'postgres' : username
  const secret = password === '' ? '' : ` password=${decodeURIComponent(password)}`
  const start = (port: number): Promise<Guarded> => {
    const file = join(dir, 'pgbouncer.ini')
    const settings = {
      listen_addr: '127.0.0.1',
      listen_port: port,
      unix_socket_dir: '',
      auth_type: 'any',
      pool_mode: 'transaction',
      default_pool_size: connections,
      max_client_conn: 500,
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
    const target = `* = host=${hostname} port=${serverPort || '5432'} user=${user}${secret}`
    writeFileSync(file, ['[databases]', target, '[pgbouncer]', ...lines, ''].join('\n'))
    if (owner !== undefined) for (const one of [dir, file]) chownSync(one, owner.uid, owner.gid)
    return startGuarded({
      command,
      args: [file],
      dir,
      owner,
      ready: () => postgresServes(`postgres://${user}@127.0.0.1:${port}/postgres`),
      lastSignal: 'KILL',
    })
  }
  const { port, guarded } = await onFreePort(start)
  let running: Guarded | null = guarded
  const end = async (files: 'keep' | 'remove'): Promise<void> => {
    const ending = running
    running = null
    await ending?.end('KILL', files)
    settleFiles(dir, files)
  }
  return {
    url: (database) => `postgres://${user}@127.0.0.1:${port}/${database}`,
    kill: () => end('keep'),
    async restart() {
      await end('keep')
      running = await start(port)
    },
    stop: () => end('remove'),
  }
}

/** Directories of servers that are down and may come back: no guard looks after these. */
const kept = new Set<string>()
process.on('exit', () => {
  for (const dir of kept) rmSync(dir, { recursive: true, force: true })
})

function settleFiles(dir: string, files: 'keep' | 'remove'): void {
  if (files === 'keep') {
    kept.add(dir)
  } else {
    kept.delete(dir)
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Another process may take the port between the look and the start; then another one is tried. */
export async function onFreePort(
  start: (port: number) => Promise<Guarded>,
): Promise<{ port: number; guarded: Guarded }> {
  for (let tries = 1; ; tries++) {
    const port = await freePort()
    try {
      return { port, guarded: await start(port) }
    } catch (error) {
      if (tries === START_TRIES_MAX) throw error
    }
  }
}
