import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import type { Customer } from '../support/admin.ts'
import type { Gateway } from '../support/gateway.ts'
import { countOf, expectAtRest, expectBooks } from './support/books.ts'
import { readProgress, redisKey, waitForProgress } from './support/holds.ts'
import { OPEN_MODEL } from './support/jobs.ts'
import { startJob, startLoad } from './support/load.ts'
import { makeNextVersion, type Version } from './support/next-version.ts'
import { startFaultWorld, type FaultWorld } from './support/world.ts'

/** Gateways of the next version; the others are of this one. */
const NEXT = 1
const LANES = 16
const STREAMS = 4

let next: Version
let world: FaultWorld
let older: Gateway
let newer: Gateway
beforeAll(async () => {
  next = makeNextVersion()
  world = await startFaultWorld({ roots: { [NEXT]: next.root } })
  older = await world.gateway(0)
})
afterAll(async () => {
  await world.end()
  next.remove()
})

test('a newer version joins under load: nothing is refused, and the books are exact', async () => {
  const customers = await Promise.all([1, 2].map(() => older.admin.customer('10000')))
  const gateways = [older]
  const load = startLoad({ gateways, customers, lanes: LANES })
  await load.more(LANES)
  newer = await world.gateway(NEXT)
  gateways.push(newer)
  await load.more(100)
  const outcomes = await load.stop()
  expect(countOf(outcomes, 'complete')).toBe(outcomes.length)
  await expectBooks(world, older, customers, outcomes)
})

test('each runs its own scripts under a number of its own', async () => {
  const rows = await world.sql('SELECT node, number FROM incarnations')
  const digests = rows.map(({ node }) => String(node).split(':').at(-1))
  expect(new Set(digests).size).toBe(2)
  expect(new Set(rows.map(({ number }) => number)).size).toBe(2)
  for (const gateway of [older, newer]) {
    const answer = await gateway.admin.call('POST', '/admin/v1/doctor', {})
    const { findings } = z
      .object({ findings: z.array(z.object({ check: z.string(), detail: z.string() })) })
      .parse(await answer.json())
    const { detail = '' } = findings.find(({ check }) => check === 'credit scripts') ?? {}
    expect(detail).toMatch(/(\d+) of \1 loaded; 1 other versions have run here$/)
  }
})

test('work that one holds the other one settles', async () => {
  const customer = await older.admin.customer('100')
  const call = async (gateway: Gateway, path: string, credits: string): Promise<string> => {
    const answer = await fetch(`${gateway.url}/farebox/v1/holds${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${customer.apiKey}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ credits }),
    })
    expect(answer.status).toBeLessThan(300)
    return z.looseObject({ hold_id: z.string() }).parse(await answer.json()).hold_id
  }
  for (const [maker, ender] of [
    [older, newer],
    [newer, older],
  ] as const) {
    const id = await call(maker, '', '20')
    await call(ender, `/${id}/settle`, '7')
  }
  for (const gateway of [older, newer]) await expectAtRest(gateway, [customer])
  expect((await older.admin.balance(customer.apiKey)).posted.credits).toBe('86')
})

test('a redis that is emptied under both is rebuilt by both', async () => {
  const customers = await Promise.all([1, 2].map(() => older.admin.customer('10000')))
  const load = startLoad({ gateways: [older, newer], customers, lanes: LANES })
  await load.more(30)
  await world.redisServer.restart()
  await load.more(60)
  const outcomes = await load.stop()
  expect(countOf(outcomes, 'broken')).toBe(0)
  await expectBooks(world, newer, customers, outcomes)
  const [{ accountId } = { accountId: '' }] = customers
  expect(await world.redis.hexists(redisKey('acct', accountId), 'inc')).toBe(1)
})

/** Streams of one that is killed are charged by the other one what was last known of them. */
async function expectRecovered(dying: Gateway, heir: Gateway, customer: Customer): Promise<void> {
  const streams = Array.from({ length: STREAMS }, () =>
    startJob(dying, customer.apiKey, OPEN_MODEL),
  )
  const ids = await Promise.all(streams.map((stream) => stream.requestId))
  await waitForProgress(world, customer.accountId, ids)
  await world.kill(dying)
  const progress = await readProgress(world, customer.accountId, ids)
  const outcomes = await Promise.all(streams.map((stream) => stream.ended))
  const charges = await expectBooks(world, heir, [customer], outcomes)
  expect(ids.map((id) => charges.get(id)?.micros)).toEqual(progress)
  expect(ids.map((id) => charges.get(id)?.rev)).toEqual(ids.map(() => 1))
}

test('what a dead one held and settled is recovered by the other, older or newer', async () => {
  const [first, second] = await Promise.all([1, 2].map(() => older.admin.customer('1000')))
  if (first === undefined || second === undefined) throw new Error('no customers')
  await expectRecovered(newer, older, first)
  newer = await world.gateway(NEXT)
  await expectRecovered(older, newer, second)
})
