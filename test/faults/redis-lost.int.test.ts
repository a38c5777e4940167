import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Customer } from '../support/admin.ts'
import type { Gateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { countOf, expectBooks } from './support/books.ts'
import { waitForProgress } from './support/holds.ts'
import { callOf, COST_MAX, costOf, finishOpen, OPEN_MODEL } from './support/jobs.ts'
import { startJob, startLoad, type Outcome } from './support/load.ts'
import { startFaultWorld, type FaultWorld } from './support/world.ts'

const LANES = 12
/** Spent within a second or two, so that refusals for want of credits come as well. */
const POOR_CREDITS = '3'

let world: FaultWorld
let gateways: readonly [Gateway, Gateway]
beforeAll(async () => {
  world = await startFaultWorld()
})
afterAll(() => world.end())
beforeEach(async () => {
  gateways = await Promise.all([world.gateway(0), world.gateway(1)])
})

/** One loss of Redis, by what an operator or a failover may do to it. */
interface Loss {
  readonly name: string
  /** Called under load, before the state is lost. */
  prepare?(): Promise<unknown>
  lose(): Promise<unknown>
  /** Requests that may fail meanwhile: with Redis away they are refused. */
  readonly refuses: boolean
}

const losses: readonly Loss[] = [
  { name: 'emptied by FLUSHALL', lose: () => world.redis.flushall('SYNC'), refuses: false },
  { name: 'without its scripts', lose: () => world.redis.script('FLUSH'), refuses: false },
  { name: 'restarted empty', lose: () => world.redisServer.restart(), refuses: true },
  {
    name: 'rolled back to a snapshot',
    prepare: () => world.redis.save(),
    lose: () => world.redisServer.restart(),
    refuses: true,
  },
]

describe.each(losses)('redis $name', (loss) => {
  test('books balance, charges stay exact, and only what was in flight is overspent', async () => {
    const [one] = gateways
    const rich = await Promise.all([1, 2].map(() => one.admin.customer('1000')))
    const poor = await one.admin.customer(POOR_CREDITS)
    const customers = [...rich, poor]
    const load = startLoad({ gateways, customers, lanes: LANES })
    await load.more(20)
    const open = await openStream(one, rich[0])
    await loss.prepare?.()
    await load.more(20)
    await loss.lose()
    await load.more(60)
    await until(() => load.outcomes.some(({ status }) => status === 402))
    // The stream lived through the loss: its renewal put its hold back.
    await waitForProgress(world, open.accountId, [await open.requestId])
    finishOpen(await callOf(world.upstream, open.number))
    const streamed = await open.ended
    expect(streamed).toMatchObject({ end: 'complete', micros: costOf(open.number) })
    const outcomes = [...(await load.stop()), streamed]
    expectRefusals(loss, outcomes)
    await expectBooks(world, one, customers, outcomes)
    const { posted } = await one.admin.balance(poor.apiKey)
    // Its lanes have one request in flight each.
    expect(posted.micros).toBeGreaterThanOrEqual(-(LANES / customers.length) * COST_MAX)
  })
})

async function openStream(gateway: Gateway, customer: Customer | undefined) {
  if (customer === undefined) throw new Error('no customer')
  const stream = startJob(gateway, customer.apiKey, OPEN_MODEL)
  await waitForProgress(world, customer.accountId, [await stream.requestId])
  return { ...stream, accountId: customer.accountId }
}

/** Only for want of credits, or with 503 while Redis is away; nothing breaks half way. */
function expectRefusals(loss: Loss, outcomes: readonly Outcome[]): void {
  expect(countOf(outcomes, 'broken')).toBe(0)
  const statuses = new Set(outcomes.filter(({ end }) => end === 'refused').map((o) => o.status))
  for (const status of loss.refuses ? [402, 429, 503] : [402, 429]) statuses.delete(status)
  expect([...statuses]).toEqual([])
}
