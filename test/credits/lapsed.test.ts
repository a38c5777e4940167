import { expect, test } from 'vitest'
import { lapsedEverywhere, type Run } from '../../src/credits/lapsed.ts'

const hold = { accountId: 'good', holdId: 'h', keyId: 'k', deadlineMs: 1 }
const due = ['bad', 'good'].map((accountId) => ({ accountId, deadlineMs: 1 }))

/** Answers of a store in which one account cannot be read. */
const readerOf =
  (accounts: readonly object[]): ((name: string, shard: number, input: object) => unknown) =>
  (name, _shard, input) => {
    if (name === 'lapsed') return []
    if (name === 'lapsed-accounts') return accounts
    if ('accountId' in input && input.accountId === 'bad') throw new Error('a record of later')
    return { cursor: '0', holds: [hold] }
  }
const told: unknown[] = []
const log = { error: (...words: unknown[]) => told.push(words) }
const lapsedAmong = (accounts: readonly object[]) => {
  const read = readerOf(accounts)
  const run = (async (...command: Parameters<typeof read>) =>
    Promise.resolve(read(...command))) as unknown as Run
  return lapsedEverywhere(run, { kind: 'redis', shards: 1 }, log)
}

test('an account that cannot be read hides no other, and is told', async () => {
  expect(await lapsedAmong(due)).toEqual([hold])
  const fault = { faults: 1, error: expect.stringContaining('a record of later') as string }
  expect(told).toEqual([[fault, 'lapsed holds were not looked for everywhere']])
})

test('and is thrown where there is no other', async () => {
  await expect(lapsedAmong(due.slice(0, 1))).rejects.toThrow('a record of later')
})
