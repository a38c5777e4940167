import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Gateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { countOf, expectAtRest, expectBooks, readCharges } from './support/books.ts'
import { readProgress, waitForProgress } from './support/holds.ts'
import { callOf, costOf, finishOpen, JSON_MODEL, OPEN_MODEL, SILENT_MODEL } from './support/jobs.ts'
import { runJob, startJob, startLoad } from './support/load.ts'
import { blockPosting, startFaultWorld, type FaultWorld } from './support/world.ts'

let world: FaultWorld
beforeAll(async () => {
  world = await startFaultWorld({ env: { LOG_LEVEL: 'debug' } })
})
afterAll(() => world.end())

const recoveries = (gateway: Gateway): number =>
  gateway.output().split('hold recovered and posted').length - 1

// Both wait for a lease to lapse most of the time, on gateways of their own.
describe.concurrent('recovery by another gateway', () => {
  test('a gateway killed under load leaves exact books to the other one', async () => {
    const [dying, heir] = await Promise.all([world.gateway(2), world.gateway(1)])
    const customers = await Promise.all([1, 2, 3].map(() => heir.admin.customer('1000')))
    const [first] = customers
    if (first === undefined) throw new Error('no customer')
    const gateways = [dying, heir]
    const load = startLoad({ gateways, customers, lanes: 16 })
    const streams = Array.from({ length: 4 }, () => startJob(dying, first.apiKey, OPEN_MODEL))
    const silent = startJob(dying, first.apiKey, SILENT_MODEL)
    await callOf(world.upstream, silent.number)
    await load.more(60)
    const ids = await Promise.all(streams.map((stream) => stream.requestId))
    await waitForProgress(world, first.accountId, ids)
    await world.kill(dying)
    const progress = await readProgress(world, first.accountId, ids)
    gateways.shift() // clients turn to the one that is left
    await load.more(60)
    const broken = [
      ...(await Promise.all(streams.map((stream) => stream.ended))),
      await silent.ended,
    ]
    const outcomes = [...(await load.stop()), ...broken]
    expect(countOf(outcomes, 'broken')).toBeGreaterThanOrEqual(broken.length)
    const charges = await expectBooks(world, heir, customers, outcomes)
    // Streams that were open are charged what was last known of them, the silent one nothing.
    for (const [index, id] of ids.entries()) {
      expect(charges.get(id)).toMatchObject({ micros: progress[index], rev: 1, late: false })
    }
    expect(Math.max(...[...charges.values()].map(({ revs }) => revs))).toBe(1)
  })

  test('a gateway stopped for longer than a lease corrects what recovery charged', async () => {
    const [sleeper, heir] = await Promise.all([world.gateway(0), world.gateway(1)])
    const customer = await heir.admin.customer('100')
    const stream = startJob(sleeper, customer.apiKey, OPEN_MODEL)
    const requestId = await stream.requestId
    await waitForProgress(world, customer.accountId, [requestId])
    sleeper.signal('SIGSTOP')
    const [progress] = await readProgress(world, customer.accountId, [requestId])
    const recovered = await until(async () => {
      const receipt = await heir.admin.receipt(requestId)
      return receipt.status === 'posted' && receipt
    })
    expect(recovered).toMatchObject({ cost: { micros: progress }, late: false, estimated: true })
    await expectAtRest(heir, [customer])
    finishOpen(await callOf(world.upstream, stream.number))
    sleeper.signal('SIGCONT')
    const outcome = await stream.ended
    expect(outcome).toMatchObject({ end: 'complete', requestId, micros: costOf(stream.number) })
    const charges = await expectBooks(world, heir, [customer], [outcome])
    expect(charges.get(requestId)).toMatchObject({ rev: 2, revs: 2, late: true })
    for (const gateway of [sleeper, heir]) {
      const receipt = await gateway.admin.receipt(requestId)
      expect(receipt).toMatchObject({
        late: true,
        estimated: false,
        cost: { micros: outcome.micros },
      })
      expect(receipt.entries.reduce((sum, { micros }) => sum + micros, 0)).toBe(-outcome.micros)
      await expectAtRest(gateway, [customer])
    }
    expect((await readCharges(world, [customer])).size).toBe(1)
  })
})

test('what was settled and not posted is posted by two heirs at once, once', async () => {
  const [dying, heir] = await Promise.all([world.gateway(0), world.gateway(1)])
  const other = await world.gateway(2)
  const customer = await dying.admin.customer('1000')
  const warm = await runJob(dying, customer.apiKey, JSON_MODEL)
  const before = [heir, other].map(recoveries)
  const letGo = await blockPosting(world)
  const jobs = Array.from({ length: 40 }, () => runJob(dying, customer.apiKey, JSON_MODEL))
  const outcomes = [warm, ...(await Promise.all(jobs))]
  expect(countOf(outcomes, 'complete')).toBe(41)
  expect((await readCharges(world, [customer])).size).toBe(1)
  const streams = Array.from({ length: 20 }, () => startJob(dying, customer.apiKey, OPEN_MODEL))
  const ids = await Promise.all(streams.map((stream) => stream.requestId))
  await waitForProgress(world, customer.accountId, ids)
  await world.kill(dying)
  await letGo()
  outcomes.push(...(await Promise.all(streams.map((stream) => stream.ended))))
  const charges = await expectBooks(world, heir, [customer], outcomes)
  await expectAtRest(other, [customer])
  expect(charges.size).toBe(61)
  // Each hold was ended by one of them, or by both at once.
  const ended = [heir, other].map((one, n) => recoveries(one) - (before[n] ?? 0))
  expect(ended.reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(60)
})
