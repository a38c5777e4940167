import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { CreditEngine, Incarnations } from '../../src/credits/commands.ts'
import { makeEngine } from '../../src/credits/engine.ts'
import { makeRedisTransport, readScripts } from '../../src/credits/redis/transport.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { silentLog, type LogFields } from '../../src/kernel/log.ts'
import { micros, ZERO } from '../../src/kernel/money.ts'
import { oneNode } from '../../src/store/redis-nodes.ts'
import { openRedis, type RedisStore } from '../../src/store/redis.ts'
import { startRedis, type RedisServer } from '../support/stores.ts'
import { until } from '../support/until.ts'

/** What an operator is told when Redis lost what the gateways had loaded there. */
const ids = makeIds(systemClock)
const accounts = Array.from({ length: 8 }, (_, n) => `acct_${n}`)

let server: RedisServer
let redis: RedisStore
let number = 1
let told: LogFields[] = []
let engines: readonly CreditEngine[] = []

const incarnations: Incarnations = {
  read: () => Promise.resolve(number),
  bump: (_node, seen) => {
    const drawn = seen === number
    if (drawn) number += 1
    return Promise.resolve({ number, drawn })
  },
}

function startEngine(): CreditEngine {
  const transport = makeRedisTransport({ nodes: oneNode(redis), scripts: readScripts() })
  const warn = (fields: LogFields): void => void told.push(fields)
  const log = { ...silentLog, warn }
  return makeEngine({ transport, incarnations, clock: systemClock, ids, log })
}

async function load(engine: CreditEngine, accountId: string): Promise<void> {
  await engine.loadAccount(await engine.beginAccount(accountId), {
    ...{ accountId, postedMicros: micros(1e9), creditLimitMicros: ZERO, status: 'active' },
    ...{ requestsPerMinute: null, tokensPerMinute: null, maxConcurrency: null },
    ...{ version: 1, changeSeq: 1 },
  })
}

/** Traffic: every gateway loads every account, as it does for those that it does not find. */
const traffic = () =>
  Promise.all(engines.flatMap((engine) => accounts.map((accountId) => load(engine, accountId))))

const lost = () => told.map((fields) => fields.lost)

beforeAll(async () => {
  server = await startRedis()
  redis = openRedis({ url: server.url, log: silentLog })
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})
beforeEach(async () => {
  await redis.send('FLUSHALL', 'SYNC')
  await redis.send('SCRIPT', 'FLUSH')
  told = []
  engines = [startEngine(), startEngine()]
  await traffic()
})

test('a start tells of no loss, nor does a load of what is there', async () => {
  await traffic()
  engines = [...engines, startEngine()]
  await traffic()
  expect(told).toEqual([])
})

test('scripts that are gone are told by one gateway, once', async () => {
  await redis.send('SCRIPT', 'FLUSH')
  await traffic()
  await traffic()
  expect(lost()).toEqual(['scripts'])
  expect(told).toMatchObject([{ incarnation: number }])
})

test('so is a restart, with what was stored gone as well', async () => {
  await server.restart()
  await until(() => redis.send('PING').then((answer) => answer === 'PONG'))
  await traffic()
  await traffic()
  expect(lost()).toEqual(['scripts'])
})

test('accounts that are gone while the scripts are not: once for a loss', async () => {
  for (const times of [1, 2]) {
    await redis.send('FLUSHALL', 'SYNC')
    for (const engine of engines) {
      await Promise.all(accounts.map((accountId) => load(engine, accountId)))
    }
    await traffic()
    expect(lost()).toEqual(Array.from({ length: times }, () => 'accounts'))
  }
})
