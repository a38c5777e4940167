import { expect, test } from 'vitest'
import { makeRunning } from '../../src/gateway/running.ts'

test('those that had begun are waited for, and not those that begin after', async () => {
  const running = makeRunning()
  const ends = [running.begin(), running.begin()]
  const heard: string[] = []
  const first = running.earlierEnded().then(() => heard.push('first'))
  const later = running.begin()
  const second = running.earlierEnded().then(() => heard.push('second'))
  running.begin()
  later()
  ends[0]?.()
  await Promise.resolve()
  expect(heard).toEqual([]) // the second waits for the first as well
  ends[1]?.()
  await Promise.all([first, second])
  expect(heard).toEqual(['first', 'second'])
  expect(running.count).toBe(1)
})

test('with nothing under way there is nothing to wait for', async () => {
  const running = makeRunning()
  await running.earlierEnded()
  running.begin()()
  await running.earlierEnded()
  await running.idle()
  expect(running.count).toBe(0)
})

test('what ends twice is one less, not two', async () => {
  const running = makeRunning()
  const end = running.begin()
  const other = running.begin()
  end()
  end()
  expect(running.count).toBe(1)
  let isIdle = false
  const idle = running.idle().then(() => (isIdle = true))
  await Promise.resolve()
  expect(isIdle).toBe(false)
  other()
  await idle
  expect(running.count).toBe(0)
})
