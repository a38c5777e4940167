import { describe, expect, it } from 'vitest'
import { makeRoom } from '../../src/kernel/room.ts'

describe('room that owners share', () => {
  it('is half of it for one alone, and says whether others have some', () => {
    const room = makeRoom(10)
    expect([1, 2, 3, 4, 5].map(() => room.take('a', 1))).toEqual([null, null, null, null, null])
    expect(room.take('a', 1)).toBe('own')
    expect(room.take('b', 5)).toBeNull()
    expect([room.take('b', 1), room.take('c', 1)]).toEqual(['all', 'all'])
    room.give('b', 5)
    expect(room.take('a', 1)).toBe('own')
    room.give('a', 4)
    expect(room.take('a', 4)).toBeNull()
    expect(room.taken).toBe(5)
  })

  it('is left for whoever comes where several take all they can', () => {
    const room = makeRoom(1_000)
    for (let owner = 0; owner < 6; owner += 1) {
      expect(room.take(String(owner), 1)).toBeNull()
      while (room.take(String(owner), 1) === null);
    }
    expect(room.take('late', 10)).toBeNull()
  })
})
