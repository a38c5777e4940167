import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { makeAdmin, type Admin } from './admin.ts'
import { until } from './until.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** Long: other tests, and a whole suite of them, may have the machine meanwhile. */
const START_MS_MAX = 120_000
export const ADMIN_TOKEN = 'test-admin-token-0123456789abcdef'

export interface GatewayOptions {
  /** Absent = embedded stores in a directory of its own. */
  readonly databaseUrl?: string
  readonly redisUrl?: string
  /** farebox.yaml as an object. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
  /** A checkout of another version; default this one. */
  readonly root?: string
  /** Working directory to keep (quickstart data); else a fresh one, removed at the end. */
  readonly dir?: string
}

/** A gateway as an operator runs it: `farebox serve` in a process of its own, on a free port. */
export interface Gateway {
  readonly url: string
  readonly pid: number
  readonly admin: Admin
  /** Everything it wrote so far. */
  output(): string
  /** Sends a signal and waits for the end; answers the exit code (null = killed). */
  end(signal?: NodeJS.Signals): Promise<number | null>
  signal(name: NodeJS.Signals): void
}

/** Starts one and waits until it listens. Throws with its output when it does not. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'farebox-test-'))
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    HOME: dir,
    PORT: '0',
    FAREBOX_ADMIN_TOKEN: ADMIN_TOKEN,
    LOG_LEVEL: 'info',
  }
  const cache = process.env.NODE_COMPILE_CACHE
  if (cache !== undefined) env.NODE_COMPILE_CACHE = cache
  if (options.databaseUrl !== undefined) env.DATABASE_URL = options.databaseUrl
  if (options.redisUrl !== undefined) env.REDIS_URL = options.redisUrl
  if (options.config !== undefined) {
    env.FAREBOX_CONFIG = join(dir, 'farebox.yaml')
    writeFileSync(env.FAREBOX_CONFIG, stringify(options.config))
  }
  const child = spawn(process.execPath, [join(options.root ?? ROOT, 'src/main.ts'), 'serve'], {
    cwd: dir,
    env: { ...env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  const url = await listening(child, lines)
  const kill = (): void => {
    child.kill('SIGKILL')
  }
  process.once('exit', kill)
  return {
    url,
    pid: child.pid ?? 0,
    admin: makeAdmin(url, options.env?.FAREBOX_ADMIN_TOKEN ?? ADMIN_TOKEN),
    output: () => lines.join('\n'),
    signal(name) {
      child.kill(name)
    },
    async end(signal = 'SIGTERM') {
      process.off('exit', kill)
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, 'exit')
        child.kill(signal)
        await exited
      }
      if (options.dir === undefined) rmSync(dir, { recursive: true, force: true })
      return child.exitCode
    },
  }
}

/** What a balancer waits for: a store that answers slowly for once is asked again. */
export async function untilReady({ url }: Pick<Gateway, 'url'>): Promise<void> {
  await until(async () => {
    const answer = await fetch(`${url}/readyz`)
    if (answer.status !== 200) throw new Error(`not ready: ${await answer.text()}`)
    return true
  })
}

async function listening(child: ChildProcess, lines: string[]): Promise<string> {
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new Error('no pipes')
  createInterface({ input: stderr }).on('line', (line) => lines.push(line))
  const reader = createInterface({ input: stdout })
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      reject(new Error(`the gateway did not start (${why}):\n${lines.join('\n')}`))
    }
    const timer = setTimeout(fail, START_MS_MAX, 'no answer in time')
    child.once('exit', (code) => {
      fail(`exit code ${String(code)}`)
    })
    reader.on('line', (line) => {
      lines.push(line)
      const match = /listening on (http:\/\/\S+)/.exec(line)
      if (match?.[1] === undefined) return
      clearTimeout(timer)
      child.removeAllListeners('exit')
      resolve(match[1])
    })
  })
}

/** One number of `/metrics`, its labels summed. */
export async function metric(gateway: Gateway, name: string): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text()
  const lines = text.split('\n').filter((line) => new RegExp(`^${name}[ {]`).test(line))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}
