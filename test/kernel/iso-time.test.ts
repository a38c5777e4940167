import { expect, it } from 'vitest'
import { isoTime } from '../../src/kernel/iso-time.ts'

const DAY_MS = 86_400_000

it('writes what Date writes, whichever second came before', () => {
  const times = [
    0,
    1,
    999,
    1_000,
    59_999,
    60_000,
    DAY_MS - 1,
    -1,
    -1_000,
    -1_001,
    1_763_800_000_042,
  ]
  const far = [8.64e15, -8.64e15, Date.UTC(9_999, 11, 31, 23, 59, 59, 999), Date.UTC(10_000, 0)]
  for (const ms of [...times, ...far, ...times]) {
    expect(isoTime(ms)).toBe(new Date(ms).toISOString())
  }
})

it('drops fractions', () => {
  expect(isoTime(1_763_800_000_042.9)).toBe('2025-11-22T08:26:40.042Z')
})

it('refuses what is no time, and goes on', () => {
  for (const none of [NaN, Infinity, -Infinity, 8.65e15]) {
    expect(() => isoTime(none)).toThrow(RangeError)
  }
  expect(isoTime(1_000)).toBe('1970-01-01T00:00:01.000Z')
})
