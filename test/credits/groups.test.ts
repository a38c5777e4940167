import { expect, test } from 'vitest'
import { reserve as codec } from '../../src/credits/redis/codec-groups.ts'
import { makeGroups, type LateCall } from '../../src/credits/redis/groups.ts'
import { keysOf } from '../../src/credits/redis/keys.ts'
import { shardOf } from '../../src/credits/shard.ts'
import { NOSCRIPT } from '../../src/credits/transport.ts'
import { REDIS_GROUP_MAX, REDIS_SHARED_MAX } from '../../src/kernel/limits/stores.ts'
import { micros } from '../../src/kernel/money.ts'
import { NoScriptError, RedisReplyError } from '../../src/store/redis.ts'

/** A call as it was written; its holds by id. */
interface Written {
  readonly inc: number
  readonly keys: readonly string[]
  readonly holds: readonly string[]
}

/** Answers each call when `answer` says so; a list of hold ids is what an honest Redis got. */
function makeWire(answer: (call: Written) => Error | null = () => null) {
  const calls: Written[] = []
  const send: LateCall = async (_shard, _script, inc, build) => {
    await new Promise((resolve) => setImmediate(resolve))
    const { keys, args } = build()
    const holds = args.map(String).filter((arg) => arg.startsWith('h'))
    const call = { inc, keys, holds }
    calls.push(call)
    const error = answer(call)
    if (error !== null) throw error
    return [1, 2, ...holds.flatMap((id) => [Number(id.slice(1)), 7])]
  }
  return { calls, send }
}

const command = (account: string, hold: number, more: Partial<{ leaseMs: number }> = {}) => ({
  ...{ accountId: account, keyId: `key of ${account}`, holdId: `h${String(hold)}`, keySeq: 0 },
  ...{ wantMicros: micros(1), leastMicros: micros(1), fitShares: 1, tokens: 0 },
  ...{ leaseMs: 30_000, notAfterMs: 9, owner: 'one', ...more },
})

function makeClient(wire: ReturnType<typeof makeWire>, isCluster = false) {
  const run = makeGroups({ codec, call: wire.send, isCluster })
  return async (input: ReturnType<typeof command>, inc = 1) => {
    const reply = await run(input, keysOf(shardOf(input.accountId)), inc)
    if (reply === NOSCRIPT) return reply
    return reply.kind === 'ok' ? reply.micros : reply.kind
  }
}

test('all of a turn share a call, key by key, and each gets its own reply', async () => {
  const wire = makeWire()
  const run = makeClient(wire)
  const inputs = [command('a', 1), command('b', 2), command('a', 3), command('c', 4)]
  expect(await Promise.all(inputs.map((input) => run(input)))).toEqual([1, 2, 3, 4])
  expect(wire.calls.map(({ holds }) => holds)).toEqual([['h1', 'h3', 'h2', 'h4']])
  expect(wire.calls[0]?.keys).toHaveLength(12)
  await run(command('a', 5))
  expect(wire.calls[1]?.holds).toEqual(['h5'])
})

test('other leases and other incarnations travel apart', async () => {
  const wire = makeWire()
  const run = makeClient(wire)
  await Promise.all([
    run(command('a', 1)),
    run(command('a', 2, { leaseMs: 5 })),
    run(command('a', 3), 2),
    run(command('a', 4)),
  ])
  expect(wire.calls.map(({ inc, holds }) => [inc, ...holds])).toEqual([
    [1, 'h1'],
    [1, 'h2'],
    [2, 'h3'],
    [1, 'h4'],
  ])
})

test('calls are bounded; a busy key stays together for longer, in its order', async () => {
  const wire = makeWire()
  const run = makeClient(wire)
  const many = Array.from({ length: REDIS_SHARED_MAX + 1 }, (_, n) => command(`a${n}`, n))
  const busy = Array.from({ length: REDIS_GROUP_MAX }, (_, n) => command('a0', 1_000 + n))
  const all = [...many, ...busy]
  const replies = await Promise.all(all.map((input) => run(input)))
  expect(replies).toEqual(all.map(({ holdId }) => Number(holdId.slice(1))))
  expect(wire.calls.map(({ holds }) => holds.length)).toEqual([
    REDIS_GROUP_MAX,
    REDIS_SHARED_MAX + 1,
  ])
  const busiest = wire.calls.flatMap(({ holds }) => holds).filter((id) => Number(id.slice(1)) > 999)
  expect(busiest).toEqual(busy.map(({ holdId }) => holdId))
})

test('in a cluster a call stays within one slot', async () => {
  const wire = makeWire()
  const run = makeClient(wire, true)
  await Promise.all(Array.from({ length: 40 }, (_, n) => run(command(`a${n % 20}`, n))))
  for (const { keys } of wire.calls) {
    expect(new Set(keys.map((key) => /\{\d+\}/.exec(key)?.[0])).size).toBe(1)
  }
  expect(wire.calls.flatMap(({ holds }) => holds)).toHaveLength(40)
})

test('what refuses calls over several slots gets none any more', async () => {
  const tagsOf = (keys: readonly string[]) => new Set(keys.map((key) => /\{\d+\}/.exec(key)?.[0]))
  const wire = makeWire(({ keys }) =>
    tagsOf(keys).size > 1 ? new RedisReplyError('CROSSSLOT Keys in request') : null,
  )
  const run = makeClient(wire)
  const inputs = Array.from({ length: 9 }, (_, n) => command(`a${n % 3}`, n))
  const expected = inputs.map(({ holdId }) => Number(holdId.slice(1)))
  expect(await Promise.all(inputs.map((input) => run(input)))).toEqual(expected)
  expect(wire.calls).toHaveLength(10)
  expect(await Promise.all(inputs.map((input) => run(input)))).toEqual(expected)
  expect(wire.calls).toHaveLength(13)
})

test('an error about one of a call is told to that one alone', async () => {
  const wire = makeWire(({ holds }) =>
    holds.includes('h3') ? new RedisReplyError('hold record not understood') : null,
  )
  const run = makeClient(wire)
  const inputs = [command('a', 1), command('b', 2), command('b', 3), command('c', 4)]
  const replies = await Promise.allSettled(inputs.map((input) => run(input)))
  expect(replies.map((reply) => reply.status)).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'fulfilled',
  ])
  expect(wire.calls).toHaveLength(5)
})

test('a script that is not known is told to all, and nothing is tried again', async () => {
  const wire = makeWire(() => new NoScriptError('NOSCRIPT'))
  const run = makeClient(wire)
  const inputs = [command('a', 1), command('b', 2), command('b', 3)]
  expect(await Promise.all(inputs.map((input) => run(input)))).toEqual([
    NOSCRIPT,
    NOSCRIPT,
    NOSCRIPT,
  ])
  expect(wire.calls).toHaveLength(1)
})
