import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { POST_BACKLOG_BYTES_MAX } from '../../src/kernel/limits/posting.ts'
import { metric, untilReady, type Gateway } from '../support/gateway.ts'
import { startPostgres, type PostgresServer } from '../support/stores.ts'
import { until } from '../support/until.ts'
import { answerJson } from '../e2e/support/upstream.ts'
import { chatAnswer } from '../e2e/support/answers.ts'
import { countOf, expectBooks, readCharges } from './support/books.ts'
import { callOf, JSON_MODEL, SILENT_MODEL, tokensOf } from './support/jobs.ts'
import { runJob, startJob, startLoad, type Outcome } from './support/load.ts'
import { blockPosting, startFaultWorld, type FaultWorld } from './support/world.ts'

const POST_WAIT_MS = 200
const LANES = 12
/** Below the MiB up to which an answer is read whole. */
const ANSWER_BYTES = 1_000_000

let postgres: PostgresServer
let world: FaultWorld
let gateway: Gateway
beforeAll(async () => {
  postgres = await startPostgres()
  world = await startFaultWorld({ postgres, config: { post_wait_ms: POST_WAIT_MS } })
  gateway = await world.gateway(0)
  await untilReady(gateway)
})
afterAll(async () => {
  await world.end()
  await postgres.stop()
})

const answer = z.object({ status: z.string() })

async function readiness(): Promise<{ code: number; status: string }> {
  const response = await fetch(`${gateway.url}/readyz`)
  return { code: response.status, status: answer.parse(await response.json()).status }
}

/** Postgres is back afterwards, also for the tests that follow a failed one. */
async function whileDown(run: () => Promise<void>): Promise<void> {
  await postgres.down('QUIT')
  try {
    await run()
  } finally {
    await postgres.restart()
  }
}

test('loaded accounts go on while postgres is down; the backlog drains exactly', async () => {
  const customers = await Promise.all([1, 2, 3].map(() => gateway.admin.customer('1000')))
  const load = startLoad({ gateways: [gateway], customers, lanes: LANES })
  await load.more(40)
  await whileDown(async () => {
    await load.more(LANES) // those that were waiting for their post
    const before = await metric(gateway, 'farebox_deferred_total')
    await load.more(60)
    expect(await metric(gateway, 'farebox_post_breaker_open')).toBe(1)
    expect(await metric(gateway, 'farebox_deferred_total')).toBeGreaterThanOrEqual(before + 50)
    expect(await metric(gateway, 'farebox_backlog_receipts')).toBeGreaterThanOrEqual(60)
    await expect.poll(readiness).toEqual({ code: 200, status: 'degraded' })
  })
  await until(async () => (await metric(gateway, 'farebox_post_breaker_open')) === 0)
  await load.more(20)
  const outcomes = await load.stop()
  expect(countOf(outcomes, 'complete')).toBe(outcomes.length)
  await expectBooks(world, gateway, customers, outcomes)
  expect(await metric(gateway, 'farebox_backlog_receipts')).toBe(0)
})

test('a postgres that crashes under load and comes back at once loses and repeats nothing', async () => {
  const customers = await Promise.all([1, 2, 3].map(() => gateway.admin.customer('1000')))
  const load = startLoad({ gateways: [gateway], customers, lanes: LANES })
  for (let crash = 1; crash <= 3; crash += 1) {
    await load.more(20)
    await postgres.restart('QUIT')
  }
  await load.more(40)
  const outcomes = await load.stop()
  expect(countOf(outcomes, 'broken')).toBe(0)
  await expectBooks(world, gateway, customers, outcomes)
})

test('a gateway killed while postgres is down leaves its backlog in redis', async () => {
  const [dying, heir] = [gateway, await world.gateway(1)]
  const customers = [await dying.admin.customer('1000')]
  const load = startLoad({ gateways: [dying], customers, lanes: LANES })
  await load.more(10)
  await whileDown(async () => {
    await load.more(50)
    await load.stop()
    await world.kill(dying)
  })
  const { outcomes } = load
  expect(countOf(outcomes, 'complete')).toBe(outcomes.length)
  await expectBooks(world, heir, customers, outcomes)
  gateway = heir
})

test('a backlog at its limit refuses new requests, and nothing that was settled is lost', async () => {
  const customer = await gateway.admin.customer('1000')
  const letGo = await blockPosting(world)
  // Answers kept for their idempotency keys count in the backlog by their size.
  const padding = 'x'.repeat(ANSWER_BYTES)
  const outcomes: Outcome[] = []
  const ask = async (n: number): Promise<Outcome> => {
    const key = { 'idempotency-key': `backlog-${n}` }
    const job = startJob(gateway, customer.apiKey, SILENT_MODEL, key)
    const call = callOf(world.upstream, job.number)
    const called = await Promise.race([call, job.ended.then(() => null)])
    const tokens = tokensOf(job.number)
    if (called !== null) answerJson(called, chatAnswer(SILENT_MODEL, padding, tokens))
    return job.ended
  }
  const LIMIT = Math.ceil(POST_BACKLOG_BYTES_MAX / ANSWER_BYTES)
  for (let n = 0; countOf(outcomes, 'refused') === 0; n += 8) {
    expect(n).toBeLessThanOrEqual(LIMIT + 8)
    outcomes.push(...(await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((more) => ask(n + more)))))
  }
  const refused = outcomes.filter(({ end }) => end === 'refused')
  for (const { status } of refused) expect(status).toBe(503)
  expect(countOf(outcomes, 'broken')).toBe(0)
  expect(countOf(outcomes, 'complete')).toBeGreaterThanOrEqual(LIMIT - 8)
  expect((await readCharges(world, [customer])).size).toBe(0)
  await letGo()
  outcomes.push(
    await until(async () => {
      const again = await runJob(gateway, customer.apiKey, JSON_MODEL)
      return again.end === 'complete' && again
    }),
  )
  await expectBooks(world, gateway, [customer], outcomes)
})
