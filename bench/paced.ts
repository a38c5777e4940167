import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'

export interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Paced {
  readonly requestsPerS: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly failed: number
}

/** What waits beyond this is a server that does not keep up; the figures say so by then. */
const CONNECTIONS_MAX = 256

/**
 * Sends `rate` requests a second, one at a time, whether the ones before were answered or not, and
 * counts each from when it was due: a server that stalls is charged for all that waited meanwhile.
 * (autocannon's `overallRate` sends what a second holds at its beginning, all at once.)
 */
export async function paced(rate: number, seconds: number, next: () => Sent): Promise<Paced> {
  const agent = new Agent({ connections: CONNECTIONS_MAX, pipelining: 1 })
  const tookMs: number[] = []
  let failed = 0

  async function one(dueMs: number): Promise<void> {
    const { url, headers, body } = next()
    try {
      const answer = await request(url, { dispatcher: agent, method: 'POST', headers, body })
      await answer.body.dump()
      if (answer.statusCode >= 300) failed += 1
    } catch {
      failed += 1
    }
    tookMs.push(performance.now() - dueMs)
  }

  const startMs = performance.now()
  const open = new Set<Promise<void>>()
  for (let sent = 0; sent < rate * seconds;) {
    const due = Math.min(rate * seconds, ((performance.now() - startMs) * rate) / 1_000)
    for (; sent < due; sent += 1) {
      const going = one(startMs + (sent * 1_000) / rate).finally(() => open.delete(going))
      open.add(going)
    }
    await delay(1)
  }
  await Promise.all(open)
  const elapsedS = (performance.now() - startMs) / 1_000
  await agent.close()
  tookMs.sort((a, b) => a - b)
  const at = (part: number): number => tookMs[Math.floor((tookMs.length - 1) * part)] ?? 0
  return {
    requestsPerS: tookMs.length / elapsedS,
    ...{ p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) },
    failed,
  }
}
