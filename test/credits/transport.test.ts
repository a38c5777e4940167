import { expect, test } from 'vitest'
import { makeRedisTransport, readScripts } from '../../src/credits/redis/transport.ts'
import { micros } from '../../src/kernel/money.ts'
import { RedisReplyError, type RedisStore } from '../../src/store/redis.ts'
import { oneNode } from '../../src/store/redis-nodes.ts'

const reserve = (hold: number) => ({
  ...{ accountId: 'a', keyId: 'key of a', holdId: `h${String(hold)}`, keySeq: 0 },
  ...{ wantMicros: micros(1), leastMicros: micros(1), fitShares: 1, tokens: 0 },
  ...{ leaseMs: 30_000, notAfterMs: 9, owner: 'one' },
})

test('commands whose node leaves the cluster while it answers all come to an end', async () => {
  const down = new RedisReplyError('CLUSTERDOWN')
  let hasLeft = false
  const store: RedisStore = {
    send: () => Promise.reject(down),
    async sendLate(build) {
      await Promise.resolve()
      build()
      hasLeft = true
      throw down
    },
    onReconnect: () => undefined,
    close: () => Promise.resolve(),
  }
  const one = oneNode(store)
  const nodes = {
    ...one,
    of(slot: number) {
      if (hasLeft) throw down
      return one.of(slot)
    },
  }
  const transport = makeRedisTransport({ nodes, scripts: readScripts() })
  const runs = [1, 2, 3].map((hold) => transport.run('reserve', 0, reserve(hold), 1))
  for (const run of await Promise.allSettled(runs)) {
    expect(run).toEqual({ status: 'rejected', reason: down })
  }
})
