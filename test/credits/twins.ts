import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { LapsedHold } from '../../src/credits/commands.ts'
import { makeEmbeddedStore } from '../../src/credits/embedded/store.ts'
import { lapsedEverywhere, type Run } from '../../src/credits/lapsed.ts'
import { makeRedisTransport, readScripts } from '../../src/credits/redis/transport.ts'
import { shardOf } from '../../src/credits/shard.ts'
import {
  NOSCRIPT,
  type CommandName,
  type Input,
  type Transport,
} from '../../src/credits/transport.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { oneNode } from '../../src/store/redis-nodes.ts'
import { openRedis, type RedisStore } from '../../src/store/redis.ts'
import { startRedis } from '../support/stores.ts'

/** The scripts' clock is set by the test: their only reading of TIME is one of a hash. */
const TIME = "redis.call('TIME')"

/** A real Redis with the scripts, beside which each account has an embedded engine of its own. */
export interface Twins {
  readonly redis: RedisStore
  readonly lua: Transport
  stop(): Promise<void>
}

export async function startTwins(): Promise<Twins> {
  const server = await startRedis()
  const redis = openRedis({ url: server.url, log: silentLog })
  const scripts = new Map(
    [...readScripts()].map(([name, source]) => {
      const body = source.body.replace(TIME, "redis.call('HMGET', 'test:time', 's', 'us')")
      return [name, { ...source, body }]
    }),
  )
  return {
    redis,
    lua: makeRedisTransport({ nodes: oneNode(redis), scripts }),
    async stop() {
      await redis.close()
      await server.stop()
    },
  }
}

/** One account on both sides: every command is given to both, which must answer alike. */
export class TwinAccount {
  readonly account = `acct ${randomUUID()}`
  inc = 1
  nowMs: number
  readonly store = makeEmbeddedStore({ clock: { now: () => this.nowMs } })
  readonly embedded = this.store.connect()
  readonly #twins: Twins
  readonly #keyIds: readonly string[]

  constructor(twins: Twins, keyIds: readonly string[], nowMs: number) {
    this.#twins = twins
    this.#keyIds = keyIds
    this.nowMs = nowMs
  }

  async both<N extends CommandName>(name: N, input: Input<N>) {
    const shard = shardOf(this.account)
    const expected = await this.embedded.run(name, shard, input, this.inc)
    const actual = await this.#twins.lua.run(name, shard, input, this.inc)
    expect({ name, reply: sorted(actual) }).toEqual({ name, reply: sorted(expected) })
    return expected
  }

  async together<N extends CommandName>(name: N, inputs: readonly Input<N>[]) {
    const shard = shardOf(this.account)
    const on = (side: Transport) =>
      Promise.all(inputs.map((input) => side.run(name, shard, input, this.inc)))
    const expected = await on(this.embedded)
    expect({ name, replies: await on(this.#twins.lua) }).toEqual({ name, replies: expected })
  }

  async time(nowMs: number): Promise<void> {
    this.nowMs = nowMs
    const us = (nowMs % 1000) * 1000 + 999
    await this.#twins.redis.send('HSET', 'test:time', 's', Math.floor(nowMs / 1000), 'us', us)
  }

  async incarnation(inc: number): Promise<void> {
    const { lua } = this.#twins
    this.inc = inc
    await this.embedded.loadScripts('', inc)
    await lua.loadScripts(lua.nodeOf(0), inc)
  }

  /** Both lose everything; what comes next is a new incarnation. */
  async lose(): Promise<void> {
    this.store.wipe()
    await this.#twins.redis.send('FLUSHALL')
    await this.time(this.nowMs)
    await this.incarnation(this.inc + 1)
  }

  /** What recovery finds. Looking for it moves what it is found by. */
  async lapsed(side: Transport): Promise<readonly LapsedHold[]> {
    const run: Run = async (name, _shard, input) => {
      const reply = await side.run(name, shardOf(this.account), input, this.inc)
      if (reply === NOSCRIPT) throw new Error('the scripts are not loaded')
      return reply
    }
    const all = await lapsedEverywhere(run, { kind: side.kind, shards: 1 }, silentLog)
    return byHold(all.filter((hold) => hold.accountId === this.account))
  }

  async compareLapsed(): Promise<void> {
    expect(await this.lapsed(this.#twins.lua)).toEqual(await this.lapsed(this.embedded))
  }

  async compareViews(): Promise<void> {
    const { account: accountId } = this
    const shard = shardOf(accountId)
    const views = async (side: Transport) => {
      const account = await side.run('view-account', shard, { accountId }, this.inc)
      const keys = this.#keyIds.map((keyId) =>
        side.run('view-key', shard, { accountId, keyId }, this.inc),
      )
      return {
        account: sorted(account),
        keys: (await Promise.all(keys)).map(sorted),
        lapsed: await this.lapsed(side),
      }
    }
    expect(await views(this.#twins.lua)).toEqual(await views(this.embedded))
  }
}

const byHold = <T extends { holdId: string }>(holds: readonly T[]): readonly T[] =>
  [...holds].sort((a, b) => (a.holdId < b.holdId ? -1 : 1))

const sorted = (view: unknown): unknown =>
  typeof view === 'object' && view !== null && 'holds' in view && Array.isArray(view.holds)
    ? { ...view, holds: byHold(view.holds) }
    : view
