import { expect } from 'vitest'
import { shardOf } from '../../../src/credits/shard.ts'
import { until } from '../../support/until.ts'
import type { FaultWorld } from './world.ts'

/** A hold as Redis has it. */
export interface Held {
  readonly state: 'H' | 'S'
  readonly micros: number
  readonly progress: number
  /** End of its lease, Redis time in Unix ms. */
  readonly deadlineMs: number
}

/** `id`: what the record is of, where it is not of the account alone. */
export const redisKey = (
  kind: 'acct' | 'holds' | 'key',
  accountId: string,
  id = accountId,
): string => `fb:{${String(shardOf(accountId))}}:${kind}:${id}`

/** The records of an account, by hold id. */
export async function readHolds(
  world: FaultWorld,
  accountId: string,
): Promise<ReadonlyMap<string, Held>> {
  const records = await world.redis.hgetall(redisKey('holds', accountId))
  return new Map(
    Object.entries(records).map(([id, record]) => {
      const [version, state, micros, progress, , , , , deadline] = record.split(' ')
      expect(version).toBe('1')
      const held = { state: state === 'S' ? 'S' : 'H', micros: Number(micros) } as const
      return [id, { ...held, progress: Number(progress), deadlineMs: Number(deadline) }]
    }),
  )
}

/** Waits until the gateway has written what each of these requests cost so far. */
export async function waitForProgress(
  world: FaultWorld,
  accountId: string,
  requestIds: readonly string[],
): Promise<void> {
  await until(async () => {
    const holds = await readHolds(world, accountId)
    return requestIds.every((id) => (holds.get(id)?.progress ?? 0) > 0)
  })
}

/** What was last written of these requests, micros. */
export async function readProgress(
  world: FaultWorld,
  accountId: string,
  requestIds: readonly string[],
): Promise<readonly number[]> {
  const holds = await readHolds(world, accountId)
  return requestIds.map((id) => {
    const held = holds.get(id)
    if (held?.state !== 'H') throw new Error(`${id} is not held`)
    return held.progress
  })
}
