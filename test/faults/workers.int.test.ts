import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { freePort } from '../support/servers.ts'
import { until } from '../support/until.ts'
import { CREDITS, PRICES } from '../e2e/support/money.ts'
import { countOf, expectBooks } from './support/books.ts'
import { OPEN_MODEL } from './support/jobs.ts'
import { startJob, startLoad } from './support/load.ts'
import { LEASE_MS, startFaultWorld, type FaultWorld } from './support/world.ts'

let world: FaultWorld
const gateways: Gateway[] = []
beforeAll(async () => {
  world = await startFaultWorld()
})
afterAll(async () => {
  await Promise.all(gateways.map((one) => one.end('SIGKILL')))
  await world.end()
})

async function serveWith(workers: string, env: Record<string, string> = {}): Promise<Gateway> {
  const gateway = await startGateway({
    databaseUrl: world.databaseUrl,
    redisUrl: world.redisServer.url,
    env: { WORKERS: workers, ...env },
    config: {
      credits: CREDITS,
      shutdown_ms: 600_000, // a test that waits for one signal has nothing under way
      holds: { lease_ms: LEASE_MS, fit_to_balance: false },
      upstreams: {
        fake: { protocol: 'openai', base_url: `${world.upstream.url}/v1`, api_key: 'sk' },
      },
      prices: [{ upstream: 'fake', model: '*', ...PRICES }],
    },
  })
  gateways.push(gateway)
  return gateway
}

/** Process ids of the workers that run, by their supervisor's log. */
const workersOf = (gateway: Gateway): number[] =>
  [...gateway.output().matchAll(/"worker_pid":(\d+)/g)]
    .map((match) => Number(match[1]))
    .filter((pid) => isAlive(pid))

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith(
      'Z',
    )
  } catch {
    return false
  }
}

const metricsOf = async (gateway: Gateway): Promise<string> =>
  (await fetch(`${gateway.url}/metrics`)).text()

/** By a connection of its own, and for no longer than a client would wait. */
async function statusOf(url: string): Promise<number> {
  const signal = AbortSignal.timeout(20_000)
  const headers = { connection: 'close' }
  return (await fetch(`${url}/healthz`, { headers, signal })).status
}

/** Each time by a connection of its own, as fast as it goes. */
async function untilRefused(url: string): Promise<void> {
  for (;;) {
    try {
      await fetch(url, { headers: { connection: 'close' } })
    } catch {
      return
    }
  }
}

describe('WORKERS', () => {
  test('one killed under load is started again, and the books are exact', async () => {
    const gateway = await serveWith('2')
    const [victim, other] = workersOf(gateway)
    if (victim === undefined || other === undefined) throw new Error('not two workers')
    const customers = await Promise.all([1, 2, 3].map(() => gateway.admin.customer('1000')))
    const load = startLoad({ gateways: [gateway], customers, lanes: 16 })
    await load.more(40)
    process.kill(victim, 'SIGKILL')
    await load.more(60)
    await until(() => workersOf(gateway).length === 2)
    expect(workersOf(gateway)).toContain(other)
    await load.more(40)
    const outcomes = await load.stop()
    expect(countOf(outcomes, 'complete')).toBeGreaterThanOrEqual(140)
    await expectBooks(world, gateway, customers, outcomes)
    const areUp = 'farebox_worker_up{worker="1"} 1\nfarebox_worker_up{worker="2"} 1'
    const areIdle = ['1', '2'].map((worker) => `farebox_open_holds{worker="${worker}"} 0\n`)
    const text = await until(async () => {
      const found = await metricsOf(gateway)
      return [areUp, ...areIdle].every((line) => found.includes(line)) && found
    })
    expect(text).toMatch(/farebox_worker_restarts_total\{worker="[12]"\} 1/)
    expect(text.match(/# TYPE farebox_requests_total counter/g)).toHaveLength(1)
    expect(await gateway.end('SIGTERM')).toBe(0)
    expect([victim, other].some((pid) => isAlive(pid))).toBe(false)
  })

  test('all killed at once under load are back on their port, and the books are exact', async () => {
    const gateway = await serveWith('2', { PORT: String(await freePort()) })
    const pids = workersOf(gateway)
    const customers = await Promise.all([1, 2].map(() => gateway.admin.customer('1000')))
    const open = customers.map(({ apiKey }) => startJob(gateway, apiKey, OPEN_MODEL))
    const ids = await Promise.all(open.map(({ requestId }) => requestId))
    const load = startLoad({ gateways: [gateway], customers, lanes: 8 })
    await load.more(10)
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    const broken = await Promise.all(open.map(({ ended }) => ended))
    expect(broken.map(({ end, requestId }) => [end, requestId])).toEqual(
      ids.map((id) => ['broken', id]),
    )
    await load.more(30)
    const outcomes = [...(await load.stop()), ...broken]
    await expectBooks(world, gateway, customers, outcomes)
    expect(workersOf(gateway).some((pid) => pids.includes(pid))).toBe(false)
  })

  test('all killed at once are back on the port that was chosen for them, and that is told', async () => {
    const gateway = await serveWith('2')
    for (let round = 1; round <= 2; round += 1) {
      const pids = workersOf(gateway)
      for (const pid of pids) process.kill(pid, 'SIGKILL')
      await until(() => !pids.some((pid) => isAlive(pid)))
      const text = await until(async () => {
        const found = await metricsOf(gateway)
        return (
          ['1', '2'].every((n) => found.includes(`farebox_worker_up{worker="${n}"} 1`)) && found
        )
      }, 20_000)
      expect(text).toContain(`farebox_worker_restarts_total{worker="1"} ${round}\n`)
      expect(gateway.output().match(/"level":"error".*no worker is left/g)).toHaveLength(round)
    }
  })

  test('one that is stuck and then dies leaves no connection unanswered', async () => {
    const gateway = await serveWith('2')
    const [victim] = workersOf(gateway)
    if (victim === undefined) throw new Error('no worker')
    process.kill(victim, 'SIGSTOP')
    const asked = Array.from({ length: 10 }, () => statusOf(gateway.url))
    const first = await Promise.race(asked)
    process.kill(victim, 'SIGKILL')
    expect([first, ...(await Promise.all(asked))]).toEqual(Array.from({ length: 11 }, () => 200))
  })

  test('a signal stops them together in order, a second one at once', async () => {
    const gateway = await serveWith('2')
    const customer = await gateway.admin.customer('10')
    const pids = workersOf(gateway)
    const stream = startJob(gateway, customer.apiKey, OPEN_MODEL)
    await stream.requestId
    gateway.signal('SIGTERM')
    const lanes = Array.from({ length: 16 }, () => untilRefused(`${gateway.url}/healthz`))
    await Promise.all(lanes)
    expect(pids.some((pid) => isAlive(pid))).toBe(true) // one waits for its stream
    expect(await gateway.end('SIGTERM')).toBe(1)
    await until(() => !pids.some((pid) => isAlive(pid)))
    expect((await stream.ended).end).toBe('broken')
  })

  test('are refused without stores that several processes can share, and where they cannot start', async () => {
    await expect(startGateway({ env: { WORKERS: '2' } })).rejects.toThrow(/needs REDIS_URL/)
    await expect(
      startGateway({ redisUrl: world.redisServer.url, env: { WORKERS: '2' } }),
    ).rejects.toThrow(/needs DATABASE_URL/)
    await expect(startGateway({ env: { WORKERS: '0' } })).rejects.toThrow(/WORKERS must be/)
    const { port } = new URL((await serveWith('2')).url)
    await expect(serveWith('2', { PORT: port })).rejects.toThrow(/is taken[\s\S]*/)
  })
})
