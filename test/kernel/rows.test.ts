import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { ROW_WAITING_MAX } from '../../src/kernel/limits/answers.ts'
import { makeRows } from '../../src/kernel/rows.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

test('work is done in its order, behind the turn in which it came', async () => {
  const row = makeRows().arrivals
  const done: number[] = []
  for (const each of [1, 2, 3]) row(() => done.push(each))
  expect(done).toEqual([])
  await turn()
  expect(done).toEqual([1, 2, 3])
})

test('rows are done in their order, and what one leaves for a later one in the same turn', async () => {
  const rows = makeRows()
  const done: string[] = []
  rows.commands(() => done.push('command of before'))
  rows.answers(() => {
    done.push('answer')
    queueMicrotask(() => {
      rows.commands(() => done.push('command of the answer'))
    })
  })
  rows.arrivals(() => {
    done.push('arrival')
    process.nextTick(() => {
      rows.bodies(() => {
        done.push('body')
        rows.commands(() => done.push('command of the body'))
        rows.arrivals(() => done.push('arrival of the next turn'))
      })
    })
  })
  await turn()
  const commands = ['command of before', 'command of the answer', 'command of the body']
  expect(done).toEqual(['answer', 'arrival', 'body', ...commands])
  await turn()
  expect(done.at(-1)).toBe('arrival of the next turn')
})

test('what a row of the next turn leaves is done in it as well', async () => {
  const rows = makeRows()
  const done: string[] = []
  rows.bodies(() => {
    rows.arrivals(() => {
      done.push('arrival')
      rows.commands(() => done.push('command'))
    })
  })
  await turn()
  expect(done).toEqual([])
  await turn()
  expect(done).toEqual(['arrival', 'command'])
})

test('work that comes while a row is under way is done too', async () => {
  const row = makeRows().arrivals
  const done: string[] = []
  row(() => {
    done.push('first')
    row(() => done.push('second'))
  })
  await turn()
  await turn()
  expect(done).toEqual(['first', 'second'])
})

test('a row that takes long lets the event loop have its turn in between', async () => {
  let nowMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
  const row = makeRows().arrivals
  const done: number[] = []
  for (const each of [1, 2, 3]) {
    row(() => {
      nowMs += 1.2
      done.push(each)
    })
  }
  await turn()
  expect(done).toEqual([1, 2])
  await turn()
  expect(done).toEqual([1, 2, 3])
})

test('of more than may wait, the rest is done first, however long it takes', async () => {
  let nowMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
  const row = makeRows().arrivals
  let done = 0
  for (let each = 0; each < ROW_WAITING_MAX + 5; each += 1) {
    row(() => {
      nowMs += 1.2
      done += 1
    })
  }
  await turn()
  expect(done).toBe(5)
  await turn()
  expect(done).toBe(7)
})

test('what throws keeps none of the others back', async () => {
  const thrown: unknown[] = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.once('uncaughtException', (error) => thrown.push(error))
  const row = makeRows().arrivals
  const fault = new Error('a fault')
  const done: number[] = []
  row(() => {
    throw fault
  })
  row(() => done.push(2))
  await turn()
  await turn()
  for (const listener of listeners) process.on('uncaughtException', listener)
  expect(thrown).toEqual([fault])
  expect(done).toEqual([2])
})
