import { expect, test } from 'vitest'
import { GroupsFullError, makeGroups } from '../../src/billing/groups.ts'
import { UnknownOutcomeError } from '../../src/kernel/errors.ts'
import { StoreAwayError } from '../../src/store/errors.ts'

const MOST = { items: 4, size: 100, waiting: 200 }

/** A store whose writes end when the test says so. */
function gatedStore(most = MOST) {
  const groups: string[][] = []
  const gates: PromiseWithResolvers<undefined>[] = []
  const keep = makeGroups<string, string>({
    most,
    sizeOf: (item) => item.length,
    async write(group) {
      groups.push([...group])
      const gate = Promise.withResolvers<undefined>()
      gates.push(gate)
      await gate.promise
      return group.map((item) => `${item} kept`)
    },
  })
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return { groups, gates, keep, turn }
}

test('what comes while one is written goes together, and each waits for its own group', async () => {
  const { groups, gates, keep, turn } = gatedStore()
  const done: string[] = []
  const all = ['a', 'b', 'c', 'd', 'e', 'f'].map(async (item) => done.push(await keep(item)))
  await turn()
  expect(groups).toEqual([['a']])
  expect(done).toEqual([])
  gates[0]?.resolve(undefined)
  await turn()
  expect(done).toEqual(['a kept'])
  expect(groups).toEqual([['a'], ['b', 'c', 'd', 'e']])
  gates[1]?.resolve(undefined)
  await turn()
  expect(done).toHaveLength(5)
  gates[2]?.resolve(undefined)
  await Promise.all(all)
  expect(groups.at(-1)).toEqual(['f'])
})

test('a group is bounded by size, one larger item goes alone, and too many are refused', async () => {
  const { groups, gates, keep, turn } = gatedStore()
  const all = ['a', 'x'.repeat(60), 'y'.repeat(60), 'z'.repeat(80)].map((item) => keep(item))
  await turn()
  await expect(keep('w')).rejects.toThrow(GroupsFullError)
  for (let at = 0; at < 4; at += 1) {
    gates[at]?.resolve(undefined)
    await turn()
  }
  await Promise.all(all)
  expect(groups.map((group) => group.length)).toEqual([1, 1, 1, 1])
  const later = keep('w')
  await turn()
  gates[4]?.resolve(undefined)
  await expect(later).resolves.toBe('w kept')
})

test('one that cannot be written fails alone', async () => {
  const groups: string[][] = []
  const keep = makeGroups<string, string>({
    most: MOST,
    sizeOf: () => 1,
    async write(group) {
      groups.push([...group])
      await Promise.resolve()
      if (group.includes('bad')) throw new Error('poison')
      return group
    },
  })
  const all = await Promise.allSettled(['first', 'a', 'bad', 'b'].map((item) => keep(item)))
  expect(all.map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'fulfilled',
  ])
  expect(groups).toEqual([['first'], ['a', 'bad', 'b'], ['a'], ['bad'], ['b']])
})

test.each([new StoreAwayError('away'), new UnknownOutcomeError('cut')])(
  'a store that fails them all is asked once: %s',
  async (fault) => {
    let calls = 0
    const keep = makeGroups<string, string>({
      most: MOST,
      sizeOf: () => 1,
      write: () => {
        calls += 1
        return Promise.reject(fault)
      },
    })
    const all = await Promise.allSettled(['first', 'a', 'b'].map((item) => keep(item)))
    expect(all.every((one) => one.status === 'rejected' && one.reason === fault)).toBe(true)
    expect(calls).toBe(2)
  },
)
