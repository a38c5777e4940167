import { expect, it } from 'vitest'
import { makeIds } from '../../src/kernel/ids.ts'

it('ids rise within a millisecond and over a clock that goes back, and never repeat', () => {
  let nowMs = 1_700_000_000_000
  const ids = makeIds({ now: () => nowMs })
  const made: string[] = []
  for (let index = 0; index < 20_000; index++) {
    if (index === 5_000) nowMs -= 60_000
    if (index === 10_000) nowMs += 120_000
    made.push(ids.uuid())
  }
  expect([...made].sort()).toEqual(made)
  expect(new Set(made).size).toBe(made.length)
  for (const id of made.slice(0, 100)) {
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  }
})
