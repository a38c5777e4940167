import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { startFarebox } from './farebox.ts'
import { cpuTicks, TICKS_PER_S } from './load.ts'
import { startNode, type Program } from './programs.ts'
import { number, print } from './table.ts'

const EVENT_PAUSE_MS = 250
/** Until all streams are open and flowing, or all has been put away after them. */
const SETTLING_MS = 8_000
const report = z.object({
  events: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  failed: z.number(),
})

const startClient = (url: string, key: string, count: number): ChildProcess =>
  spawn(process.execPath, ['bench/stream-client.ts', url, key, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })

async function openStreams(program: Program, key: string, count: number) {
  const before = cpuTicks(program.pid)
  const child = startClient(program.url, key, count)
  let output = ''
  child.stdout?.on('data', (part: Buffer) => (output += part.toString()))
  await new Promise((resolve) => child.once('exit', resolve))
  const seen = report.parse(JSON.parse(output))
  const cpuUs = ((cpuTicks(program.pid) - before) / TICKS_PER_S / seen.events) * 1e6
  return { ...seen, cpuUs }
}

/** Has the gateway collect, and reads what it then keeps, bytes. */
async function liveBytes(pid: number, file: string): Promise<number> {
  rmSync(file, { force: true })
  process.kill(pid, 'SIGUSR2')
  while (!existsSync(file) || readFileSync(file, 'utf8') === '') await delay(50)
  return Number(readFileSync(file, 'utf8'))
}

/** What a gateway keeps for each open stream, bytes. */
async function memoryOf(farebox: Program, key: string, count: number, file: string) {
  await delay(SETTLING_MS)
  const idle = await liveBytes(farebox.pid, file)
  const client = startClient(farebox.url, key, count)
  await delay(SETTLING_MS)
  const busy = await liveBytes(farebox.pid, file)
  client.kill()
  return (busy - idle) / count
}

/** Simultaneous SSE streams: how much later an event arrives, and what a stream costs. */
export async function benchStreams(count: number, events: number): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'farebox-bench-'))
  const file = join(dir, 'memory')
  const pause = String(EVENT_PAUSE_MS)
  const upstream = await startNode('upstream alone', 'bench/upstream-sse.ts', [
    String(events),
    pause,
  ])
  const name = 'plain @fastify/http-proxy'
  const plain = await startNode(name, 'bench/plain-proxy.ts', [upstream.url, String(count)])
  const probe = new URL('live-memory.ts', import.meta.url).href
  const farebox = await startFarebox(upstream.url, {
    NODE_OPTIONS: `--expose-gc --import=${probe}`,
    BENCH_MEMORY_FILE: file,
  })
  const programs = [upstream, plain, farebox]
  const { apiKey } = farebox.customer
  try {
    for (const program of programs) await openStreams(program, apiKey, Math.ceil(count / 10)) // warms
    const rows: string[][] = []
    for (const program of programs) {
      const {
        events: seen,
        p50Ms,
        p99Ms,
        failed,
        cpuUs,
      } = await openStreams(program, apiKey, count)
      rows.push([program.name, String(seen), ...[p50Ms, p99Ms, cpuUs].map((n) => number(n, 2))])
      rows.at(-1)?.push(String(failed))
    }
    const heads = ['events', 'delay p50 ms', 'delay p99 ms', 'CPU µs an event', 'failed streams']
    print(
      `${count} simultaneous streams of ${events} events, one each ${EVENT_PAUSE_MS} ms`,
      ['', ...heads],
      rows,
    )
    const bytes = await memoryOf(farebox, apiKey, count, file)
    console.log(`\nKept for each open stream: ${number(bytes / 1024, 1)} KB`)
  } finally {
    for (const program of programs.reverse()) await program.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}
