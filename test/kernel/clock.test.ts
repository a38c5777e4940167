import { expect, test } from 'vitest'
import { sleep, systemClock } from '../../src/kernel/clock.ts'

test('nothing is called before its time, whatever a timer rounds', async () => {
  for (let round = 0; round < 50; round += 1) {
    const askedMs = performance.now()
    await sleep(systemClock, 3.9)
    expect(performance.now() - askedMs).toBeGreaterThanOrEqual(3.9)
  }
})

test('what was cancelled is not called', async () => {
  let calls = 0
  const cancel = systemClock.after(5, () => (calls += 1))
  cancel()
  await sleep(systemClock, 20)
  expect(calls).toBe(0)
})
