import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { CreditEngine } from '../../src/credits/commands.ts'
import { makeEngine } from '../../src/credits/engine.ts'
import { makeRedisTransport, readScripts } from '../../src/credits/redis/transport.ts'
import { shardOf } from '../../src/credits/shard.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { LAPSED_BATCH_MAX } from '../../src/kernel/limits/holds.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros, ZERO } from '../../src/kernel/money.ts'
import { oneNode } from '../../src/store/redis-nodes.ts'
import { openRedis, type RedisStore } from '../../src/store/redis.ts'
import { startRedis, type RedisServer } from '../support/stores.ts'
import { until } from '../support/until.ts'

/** How recovery finds holds in Redis: by their accounts, which are listed once for all of them. */
const ids = makeIds(systemClock)
const LONG_MS = 600_000

let server: RedisServer
let redis: RedisStore
let engine: CreditEngine
let accountId: string

beforeAll(async () => {
  server = await startRedis()
  redis = openRedis({ url: server.url, log: silentLog })
  const incarnations = {
    read: () => Promise.resolve(1),
    bump: () => Promise.resolve({ number: 2, drawn: true }),
  }
  const transport = makeRedisTransport({ nodes: oneNode(redis), scripts: readScripts() })
  engine = makeEngine({ transport, incarnations, clock: systemClock, ids, log: silentLog })
})
afterAll(async () => {
  await engine.close()
  await server.stop()
})
beforeEach(async () => {
  accountId = `acct ${randomUUID()}`
  await load()
})

const keyOf = (kind: 'acct' | 'holds' | 'receipts') => `${tag()}:${kind}:${accountId}`
const tag = () => `fb:{${shardOf(accountId)}}`
const ref = (holdId: string) => ({ accountId, keyId: 'key_1', holdId })
const marked = () => redis.send('ZSCORE', `${tag()}:leases`, accountId)
/** Of this hold only: accounts of other tests, with holds left in `due`, may share the shard. */
const dueByItself = (holdId: string) =>
  redis.send('ZSCORE', `${tag()}:due`, `${holdId} key_1 ${accountId}`)

async function load(): Promise<void> {
  const none = { requestsPerMinute: null, tokensPerMinute: null, maxConcurrency: null }
  const since = { version: 1, changeSeq: 1 }
  await engine.loadAccount(await engine.beginAccount(accountId), {
    ...{ accountId, postedMicros: micros(1e9), creditLimitMicros: ZERO, status: 'active' },
    ...none,
    ...since,
  })
  await engine.loadKey(await engine.beginKey(accountId, 'key_1'), accountId, {
    ...{ keyId: 'key_1', accountId, status: 'active', expiresAtMs: null, budgetMicros: null },
    ...{ budgetPeriod: null, periodStartDay: 0, spendMicros: ZERO, lastDay: 0 },
    ...none,
    ...since,
  })
}

async function reserve(holdId: string, leaseMs: number): Promise<void> {
  const amount = { wantMicros: micros(5), leastMicros: micros(5), fitShares: 1, tokens: 0 }
  const notAfterMs = Date.now() + 60_000
  const command = { ...ref(holdId), ...amount, keySeq: 0, leaseMs, notAfterMs, owner: 'one' }
  expect(await engine.reserve(command)).toMatchObject({ kind: 'ok' })
}

const lapsed = async () => (await engine.lapsed()).filter((hold) => hold.accountId === accountId)
const lapsedIds = async () => (await lapsed()).map(({ holdId }) => holdId).sort()

test('holds lapse by their own leases, however they came together', async () => {
  await reserve('long', LONG_MS)
  await reserve('short', 1)
  await reserve('middle', LONG_MS / 2)
  await until(async () => (await lapsed()).length > 0)
  expect(await lapsedIds()).toEqual(['short'])
})

test('a load of another release, which knows of no mark, hides nothing', async () => {
  await reserve('one', 1)
  await redis.send('HDEL', keyOf('acct'), 'mark')
  await reserve('two', LONG_MS)
  await until(async () => (await lapsed()).length > 0)
  expect(await lapsedIds()).toEqual(['one'])
  await load()
  expect(await lapsedIds()).toEqual(['one'])
})

test('an account without holds is listed no more, and again with the next one', async () => {
  await reserve('one', 1)
  await engine.release(ref('one'))
  await until(async () => {
    await engine.lapsed()
    return (await marked()) === null
  })
  await reserve('two', 1)
  expect(await marked()).not.toBeNull()
  await until(async () => (await lapsed()).length > 0)
  expect(await lapsedIds()).toEqual(['two'])
})

test('an account is looked at again when the first of its leases ends', async () => {
  await reserve('short', 1)
  await reserve('long', LONG_MS)
  await until(async () => (await lapsed()).length > 0)
  const first = Number(await marked())
  await engine.release(ref('short'))
  expect(await lapsed()).toEqual([])
  expect(Number(await marked())).toBeGreaterThan(first + LONG_MS / 2)
  expect(await redis.send('HGET', keyOf('acct'), 'mark')).toBe(await marked())
  // What is shorter than all that are held moves it back.
  await reserve('shorter', 1)
  await until(async () => (await lapsed()).length > 0)
  expect(await lapsedIds()).toEqual(['shorter'])
})

test('more holds than a page has are all found, each once', async () => {
  const names = Array.from({ length: LAPSED_BATCH_MAX * 3 }, (_, n) => `h${n}`)
  await Promise.all(names.map((name) => reserve(name, 1)))
  await until(async () => (await lapsed()).length > 0)
  expect(await lapsedIds()).toEqual([...names].sort())
})

test('a put-back hold is found when it lapses', async () => {
  await engine.renew({
    ...ref('back'),
    ...{ micros: micros(7), progressMicros: micros(3), day: 1, reservedAtMs: 1, tokens: 0 },
    ...{ leaseMs: 1, owner: 'one', draft: '{}' },
  })
  await until(async () => (await lapsed()).length > 0)
  expect(await lapsedIds()).toEqual(['back'])
})

/** As the release before listed it: by itself, in `due`. */
async function listedByItself(holdId: string): Promise<number> {
  const deadlineMs = Date.now() - 5_000
  const times = `${deadlineMs - 30_000} ${deadlineMs}`
  await redis.send('HSET', keyOf('holds'), holdId, `1 H 9 4 0 20000 0 ${times} key_1 old one`)
  await redis.send('HSET', keyOf('receipts'), holdId, '{"old":1}')
  await redis.send('ZADD', `${tag()}:due`, deadlineMs, `${holdId} key_1 ${accountId}`)
  return deadlineMs
}

test('holds that a release before listed by themselves are found, ended and cleared', async () => {
  const deadlineMs = await listedByItself('old')
  expect(await dueByItself('old')).toBe(String(deadlineMs))
  expect(await lapsed()).toEqual([{ ...ref('old'), deadlineMs }])
  const reply = await engine.recover({ ...ref('old'), deadlineMs })
  expect(reply).toMatchObject({ kind: 'post', micros: 4, receipt: '{"old":1}' })
  await engine.clear({ accountId, items: [{ ...ref('old'), rev: 1, version: 2 }] })
  expect(await lapsed()).toEqual([])
  expect(await dueByItself('old')).toBeNull()
})

test('one of these that is renewed is found once, and gone from both lists with its end', async () => {
  await listedByItself('old')
  await engine.renew({
    ...ref('old'),
    ...{ micros: micros(9), progressMicros: micros(4), day: 20_000, reservedAtMs: 1, tokens: 0 },
    ...{ leaseMs: 1, owner: 'one', draft: '{}' },
  })
  await until(async () => (await lapsed()).length > 0)
  expect(await lapsedIds()).toEqual(['old'])
  expect(await dueByItself('old')).not.toBeNull()
  await engine.release(ref('old'))
  expect(await lapsed()).toEqual([])
  expect(await dueByItself('old')).toBeNull()
  expect(await marked()).toBeNull()
})
