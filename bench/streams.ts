import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { startFarebox } from './farebox.ts'
import { startNode } from './programs.ts'
import { number, print } from './table.ts'

const EVENT_PAUSE_MS = 250
const report = z.object({
  events: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  failed: z.number(),
})

function openStreams(url: string, key: string, count: number): Promise<z.infer<typeof report>> {
  const args = ['bench/stream-client.ts', url, key, String(count)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (part: Buffer) => (output += part.toString()))
  return new Promise((resolve, reject) => {
    child.once('exit', () => {
      try {
        resolve(report.parse(JSON.parse(output)))
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)))
      }
    })
  })
}

const memoryKb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)

/** Simultaneous SSE streams: how much later an event arrives through the gateway. */
export async function benchStreams(count: number, events: number): Promise<void> {
  const upstream = await startNode('upstream', 'bench/upstream-sse.ts', [
    String(events),
    String(EVENT_PAUSE_MS),
  ])
  const farebox = await startFarebox(upstream.url)
  const key = farebox.customer.apiKey
  try {
    await openStreams(farebox.url, key, Math.ceil(count / 10)) // warms code and connections
    const direct = await openStreams(upstream.url, key, count)
    const beforeKb = memoryKb(farebox.pid)
    let peakKb = beforeKb
    const watch = setInterval(() => (peakKb = Math.max(peakKb, memoryKb(farebox.pid))), 500)
    const through = await openStreams(farebox.url, key, count)
    clearInterval(watch)
    const row = (name: string, of: typeof direct): string[] => [
      name,
      String(of.events),
      number(of.p50Ms, 2),
      number(of.p99Ms, 2),
      String(of.failed),
    ]
    print(
      `${count} simultaneous streams of ${events} events, one each ${EVENT_PAUSE_MS} ms`,
      ['', 'events', 'delay p50 ms', 'delay p99 ms', 'failed streams'],
      [
        row('upstream alone', direct),
        row('through Farebox', through),
        [
          'added',
          '',
          number(through.p50Ms - direct.p50Ms, 2),
          number(through.p99Ms - direct.p99Ms, 2),
          '',
        ],
      ],
    )
    console.log(`\nMemory: ${number((peakKb - beforeKb) / count, 1)} KB a stream at the peak`)
  } finally {
    await farebox.stop()
    await upstream.stop()
  }
}
