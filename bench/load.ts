import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import autocannon from 'autocannon'
import { has, REQUEST, type Program } from './programs.ts'

export interface Load {
  readonly requestsPerS: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of the server's process during the load: cores, and resident memory after it. */
  readonly cpuCores: number
  readonly memoryMb: number
  readonly failed: number
}

/** What is asked of a program, by POST. */
export interface Asked {
  readonly path: string
  readonly body: string
}

export const CHAT: Asked = { path: '/v1/chat/completions', body: REQUEST }
export const TICKS_PER_S = 100

export const cpuTicks = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return Number(fields[11]) + Number(fields[12])
}
const memoryMb = (pid: number): number => {
  const line = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Math.round(Number(line?.[1] ?? 0) / 1024)
}

/** Puts a server under load by wrk, else autocannon, and watches what it costs. */
export async function loadOn(
  program: Program,
  key: string,
  connections: number,
  seconds: number,
  asked = CHAT,
): Promise<Load> {
  const before = cpuTicks(program.pid)
  const startMs = performance.now()
  const result = has('wrk')
    ? await byWrk(program.url, key, connections, seconds, asked)
    : await byAutocannon(program.url, key, connections, seconds, asked)
  const elapsedS = (performance.now() - startMs) / 1000
  const cpuCores = (cpuTicks(program.pid) - before) / TICKS_PER_S / elapsedS
  return { ...result, cpuCores, memoryMb: memoryMb(program.pid) }
}

type Bare = Omit<Load, 'cpuCores' | 'memoryMb'>

async function byWrk(
  url: string,
  key: string,
  connections: number,
  seconds: number,
  asked = CHAT,
): Promise<Bare> {
  const dir = mkdtempSync(join(tmpdir(), 'farebox-wrk-'))
  const script = join(dir, 'post.lua')
  writeFileSync(
    script,
    `wrk.method = "POST"
wrk.body = '${asked.body}'
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer ${key}"
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("\\nRESULT %f %f %f %d\\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.status + e.connect + e.read + e.write + e.timeout))
end`,
  )
  const child = spawn('wrk', [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '-s',
    script,
    `${url}${asked.path}`,
  ])
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  await new Promise((resolve) => child.once('exit', resolve))
  rmSync(dir, { recursive: true, force: true })
  const [, rate, p50, p99, failed] = /RESULT (\S+) (\S+) (\S+) (\d+)/.exec(output) ?? []
  if (rate === undefined) throw new Error(`wrk did not report: ${output}`)
  return {
    requestsPerS: Number(rate),
    p50Ms: Number(p50),
    p99Ms: Number(p99),
    failed: Number(failed),
  }
}

export async function byAutocannon(
  url: string,
  key: string,
  connections: number,
  seconds: number,
  asked = CHAT,
): Promise<Bare> {
  const result = await autocannon({
    url: `${url}${asked.path}`,
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: asked.body,
    connections,
    duration: seconds,
  })
  return {
    requestsPerS: result.requests.average,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    failed: result.non2xx + result.errors,
  }
}
