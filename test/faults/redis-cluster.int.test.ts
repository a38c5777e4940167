import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keysOf } from '../../src/credits/redis/keys.ts'
import { shardOf } from '../../src/credits/shard.ts'
import type { Customer } from '../support/admin.ts'
import type { Gateway } from '../support/gateway.ts'
import { startRedisCluster, type RedisCluster } from '../support/redis-cluster.ts'
import { until } from '../support/until.ts'
import { countOf, expectBooks } from './support/books.ts'
import { JSON_MODEL } from './support/jobs.ts'
import { startJob, startLoad, type Outcome } from './support/load.ts'
import { startFaultWorld, type FaultWorld } from './support/world.ts'

let cluster: RedisCluster
let world: FaultWorld
let gateways: readonly [Gateway, Gateway]

const slotOf = ({ accountId }: Customer) => keysOf(shardOf(accountId)).slot
const onFirst = (customer: Customer) => slotOf(customer) <= 5_460

/** Some whose shard the first master has, and some that are elsewhere. */
async function someCustomers(): Promise<[Customer, ...Customer[]]> {
  const [gateway] = gateways
  const found: Customer[] = []
  const count = (wanted: boolean) => found.filter((one) => onFirst(one) === wanted).length
  while (count(true) < 2 || count(false) < 2) found.push(await gateway.admin.customer('1000'))
  const [first, ...rest] = found.sort((a, b) => slotOf(a) - slotOf(b))
  if (first === undefined) throw new Error('unreachable')
  return [first, ...rest]
}

beforeAll(async () => {
  cluster = await startRedisCluster()
  world = await startFaultWorld({ redisUrl: cluster.url })
  gateways = await Promise.all([world.gateway(0), world.gateway(1)])
})
afterAll(async () => {
  await world.end()
  await cluster.stop()
})

test('slots are counted as Redis counts them', async () => {
  const redis = new Redis(cluster.url)
  for (const shard of [0, 7, 42, 255]) {
    const keys = keysOf(shard)
    expect(await redis.call('CLUSTER', 'KEYSLOT', keys.account('a'))).toBe(keys.slot)
    expect(await redis.call('CLUSTER', 'KEYSLOT', keys.due)).toBe(keys.slot)
  }
  redis.disconnect()
})

test('accounts of all masters are served, and the books balance', async () => {
  const customers = await someCustomers()
  const load = startLoad({ gateways, customers, lanes: 6 })
  await load.more(60)
  const outcomes = await load.stop()
  expect(countOf(outcomes, 'complete')).toBe(outcomes.length)
  await expectBooks(world, gateways[0], customers, outcomes)
})

test('a master is replaced: its accounts go on where it went, every charge stands', async () => {
  const customers = await someCustomers()
  const load = startLoad({ gateways, customers, lanes: 6 })
  await load.more(20)
  await cluster.failOver()
  const [first] = customers
  const again: Outcome[] = []
  for (const gateway of gateways) {
    await until(async () => {
      const outcome = await startJob(gateway, first.apiKey, JSON_MODEL).ended
      again.push(outcome)
      return outcome.end === 'complete'
    })
  }
  await load.more(30)
  const outcomes = [...(await load.stop()), ...again]
  expect(countOf(outcomes, 'broken')).toBe(0)
  const refused = outcomes.filter(({ end }) => end === 'refused')
  expect(refused.filter(({ status }) => status !== 503)).toEqual([])
  await expectBooks(world, gateways[0], customers, outcomes)
})
