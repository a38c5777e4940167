import { readFileSync } from 'node:fs'
import { makeEngine } from '../src/credits/engine.ts'
import { makeRedisTransport, readScripts } from '../src/credits/redis/transport.ts'
import type { ClearItem, CreditEngine } from '../src/credits/commands.ts'
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
/** Long enough for the clock of a process's CPU time (10 ms), short enough for few open holds. */
const TURN_S = 0.25
const WARM_S = 1
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
    lastDay: 0,
    requestsPerMinute: null,
    tokensPerMinute: null,
    maxConcurrency: null,
    version: 1,
    changeSeq: 1,
  })
}

const receipt = JSON.stringify({
  model: 'gpt-4o-mini',
  protocol: 'openai-chat',
  upstream: 'bench',
})

/** One lane: reserve, settle, and so on. Answers the holds that are left to be cleared. */
async function lane(engine: CreditEngine, at: number, untilMs: number): Promise<ClearItem[]> {
  const ref = refOf(at)
  const settled: ClearItem[] = []
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
    const amounts = { micros: micros(780), rev: 2 as const, tokens: 22 }
    const ended = await engine.settle({ ...ref, holdId, ...amounts, receipt })
    if (ended.kind !== 'ok') throw new Error(`settle: ${ended.kind}`)
    settled.push({ holdId, keyId: ref.keyId, rev: 2, version: settled.length + 2 })
  }
  return settled
}

async function clear(engine: CreditEngine, at: number, settled: readonly ClearItem[]) {
  const { accountId } = refOf(at)
  for (let from = 0; from < settled.length; from += CLEAR_EACH) {
    await engine.clear({ accountId, items: settled.slice(from, from + CLEAR_EACH) })
  }
}

/** Turns of reserve + settle; what they left is cleared after each, and measured apart. */
async function measure(engine: CreditEngine, pid: number, seconds: number) {
  const total = { pairs: 0, elapsedS: 0, pairsS: 0, clearS: 0 }
  for (let turn = 0; turn < seconds / TURN_S; turn++) {
    const startMs = performance.now()
    const startS = cpuS(pid)
    const untilMs = startMs + TURN_S * 1e3
    const settled = await Promise.all(
      Array.from({ length: LANES }, (_, at) => lane(engine, at, untilMs)),
    )
    total.elapsedS += (performance.now() - startMs) / 1e3
    const settledS = cpuS(pid)
    total.pairsS += settledS - startS
    await Promise.all(settled.map((items, at) => clear(engine, at, items)))
    total.clearS += cpuS(pid) - settledS
    total.pairs += settled.flat().length
  }
  return total
}

/** Reserve + settle alone on one Redis, from one client process; and with the clears they lead to. */
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
  const engine = makeEngine({ transport, incarnations, clock: systemClock, ids, log: silentLog })
  try {
    for (let account = 0; account < ACCOUNTS; account++) {
      const { accountId, keyId } = refOf(account)
      await load(engine, accountId, keyId)
    }
    await measure(engine, redis.pid, WARM_S)
    const { pairs, elapsedS, pairsS, clearS } = await measure(engine, redis.pid, seconds)
    print(
      'Reserve + settle on one Redis',
      ['', 'pairs/s'],
      [
        ['reserve + settle, per second of Redis CPU', number(pairs / pairsS, 0)],
        [
          'with the clears that follow, per second of Redis CPU',
          number(pairs / (pairsS + clearS), 0),
        ],
        ['reserve + settle, as this one client drives it', number(pairs / elapsedS, 0)],
      ],
    )
  } finally {
    await engine.close()
    await redis.stop()
  }
}
