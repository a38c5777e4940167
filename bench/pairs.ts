import { readFileSync } from 'node:fs'
import { makeEngine } from '../src/credits/engine.ts'
import { makeRedisTransport, readScripts } from '../src/credits/redis/transport.ts'
import type { CreditEngine } from '../src/credits/commands.ts'
import { systemClock } from '../src/kernel/clock.ts'
import { makeIds } from '../src/kernel/ids.ts'
import { silentLog } from '../src/kernel/log.ts'
import { micros, ZERO } from '../src/kernel/money.ts'
import { oneNode } from '../src/store/redis-nodes.ts'
import { openRedis } from '../src/store/redis.ts'
import { durableRedis } from './durable.ts'
import { number, print } from './table.ts'

const LANES = 256
const ACCOUNTS = 64
const CLEAR_EACH = 64
const ids = makeIds(systemClock)

const cpuS = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Ids as long as real ones are: of short ones Redis keeps lists, which it has to search. */
const refOf = (lane: number) => {
  const digits = String(lane % ACCOUNTS).padStart(32, '0')
  return { accountId: `acct_${digits}`, keyId: `key_${digits}` }
}

async function load(engine: CreditEngine, accountId: string, keyId: string): Promise<void> {
  const token = await engine.beginAccount(accountId)
  await engine.loadAccount(token, {
    accountId,
    postedMicros: micros(1e15),
    creditLimitMicros: ZERO,
    status: 'active',
    ...{ requestsPerMinute: null, tokensPerMinute: null, maxConcurrency: null },
    version: 1,
    changeSeq: 1,
  })
  const keyToken = await engine.beginKey(accountId, keyId)
  await engine.loadKey(keyToken, accountId, {
    keyId,
    accountId,
    status: 'active',
    expiresAtMs: null,
    budgetMicros: null,
    budgetPeriod: null,
    periodStartDay: 0,
    spendMicros: ZERO,
    requestsPerMinute: null,
    tokensPerMinute: null,
    maxConcurrency: null,
    version: 1,
    changeSeq: 1,
  })
}

/** One lane: reserve, settle, and now and then clear what was settled. */
async function lane(engine: CreditEngine, lane: number, untilMs: number): Promise<number> {
  const ref = refOf(lane)
  let pairs = 0
  let settled: string[] = []
  const receipt = JSON.stringify({
    model: 'gpt-4o-mini',
    protocol: 'openai-chat',
    upstream: 'bench',
  })
  while (performance.now() < untilMs) {
    const holdId = ids.uuid()
    const amount = {
      wantMicros: micros(1_000),
      leastMicros: micros(1_000),
      fitShares: 1,
      keySeq: 0,
    }
    const command = { ...ref, holdId, ...amount, tokens: 76, leaseMs: 30_000, owner: 'bench' }
    const notAfterMs = Date.now() + 60_000
    const reply = await engine.reserve({ ...command, notAfterMs })
    if (reply.kind !== 'ok') throw new Error(`reserve: ${reply.kind}`)
    await engine.settle({ ...ref, holdId, micros: micros(780), rev: 2, tokens: 22, receipt })
    pairs += 1
    settled.push(holdId)
    if (settled.length < CLEAR_EACH) continue
    const items = settled.map((id) => ({
      holdId: id,
      keyId: ref.keyId,
      rev: 2 as const,
      version: pairs + 1,
    }))
    await engine.clear({ accountId: ref.accountId, items })
    settled = []
  }
  return pairs
}

/** Reserve + settle alone on one Redis, clears included, from one client process. */
export async function benchPairs(seconds: number): Promise<void> {
  const redis = await durableRedis()
  const transport = makeRedisTransport({
    nodes: oneNode(openRedis({ url: redis.url, log: silentLog })),
    scripts: readScripts(),
  })
  const incarnations = {
    read: () => Promise.resolve(1),
    bump: () => Promise.resolve({ number: 2, drawn: true }),
  }
  const engine = makeEngine({ transport, incarnations, clock: systemClock, ids })
  try {
    for (let account = 0; account < ACCOUNTS; account++) {
      const { accountId, keyId } = refOf(account)
      await load(engine, accountId, keyId)
    }
    const before = cpuS(redis.pid)
    const startMs = performance.now()
    const lanes = Array.from({ length: LANES }, (_, at) =>
      lane(engine, at, startMs + seconds * 1e3),
    )
    const pairs = (await Promise.all(lanes)).reduce((sum, each) => sum + each, 0)
    const elapsedS = (performance.now() - startMs) / 1000
    const redisS = cpuS(redis.pid) - before
    print(
      'Reserve + settle (+ clear) on one Redis',
      ['', 'pairs/s'],
      [
        ['as this one client drives it', number(pairs / elapsedS, 0)],
        ['per second of Redis CPU', number(pairs / redisS, 0)],
      ],
    )
  } finally {
    await engine.close()
    await redis.stop()
  }
}
