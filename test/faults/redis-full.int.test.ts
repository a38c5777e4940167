import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Gateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { countOf, expectBooks } from './support/books.ts'
import { callOf, finishOpen, JSON_MODEL, OPEN_MODEL, SILENT_MODEL } from './support/jobs.ts'
import { runJob, startJob, startLoad } from './support/load.ts'
import { readHolds, waitForProgress } from './support/holds.ts'
import { startFaultWorld, type FaultWorld } from './support/world.ts'

let world: FaultWorld
let gateway: Gateway
beforeAll(async () => {
  world = await startFaultWorld()
  gateway = await world.gateway(0)
})
afterAll(() => world.end())

/** Redis takes nothing more than what is allowed without memory; as configured again afterwards. */
async function whileFull(run: () => Promise<void>): Promise<void> {
  await world.redis.config('SET', 'maxmemory', '1')
  try {
    await run()
  } finally {
    await world.redis.config('SET', 'maxmemory', '0')
  }
}

test('a full redis refuses new requests with 503 and lets those under way end', async () => {
  const customers = await Promise.all([1, 2].map(() => gateway.admin.customer('1000')))
  const [customer] = customers
  if (customer === undefined) throw new Error('no customer')
  const load = startLoad({ gateways: [gateway], customers, lanes: 8 })
  await load.more(20)
  const [settling, failing] = [OPEN_MODEL, SILENT_MODEL].map((model) =>
    startJob(gateway, customer.apiKey, model),
  )
  if (settling === undefined || failing === undefined) throw new Error('no jobs')
  const requestId = await settling.requestId
  await waitForProgress(world, customer.accountId, [requestId])
  const lease = async () => (await readHolds(world, customer.accountId)).get(requestId)?.deadlineMs
  const failingCall = await callOf(world.upstream, failing.number)
  await whileFull(async () => {
    await until(() => load.outcomes.filter(({ status }) => status === 503).length >= 8)
    const refused = await runJob(gateway, customer.apiKey, JSON_MODEL)
    expect(refused).toMatchObject({ end: 'refused', status: 503 })
    const before = (await lease()) ?? NaN
    await until(async () => ((await lease()) ?? NaN) > before)
    // A hold that is renewed, one that is settled and one that is released need no new memory.
    finishOpen(await callOf(world.upstream, settling.number))
    expect(await settling.ended).toMatchObject({ end: 'complete' })
    failingCall.out.writeHead(400, { 'content-type': 'application/json' }).end('{"error":{}}')
    expect(await failing.ended).toMatchObject({ end: 'refused', status: 400 })
    await until(async () => (await readHolds(world, customer.accountId)).size === 0)
  })
  expect(gateway.output()).not.toMatch(/renewal unanswered|(settle|release|clearing) got no answer/)
  expect(gateway.output()).not.toContain('hold recovered')
  await load.more(20)
  const outcomes = [...(await load.stop()), await settling.ended, await failing.ended]
  const statuses = new Set(outcomes.map(({ status }) => status))
  expect([...statuses].sort()).toEqual([200, 400, 503])
  expect(countOf(outcomes, 'broken')).toBe(0)
  await expectBooks(world, gateway, customers, outcomes)
})
