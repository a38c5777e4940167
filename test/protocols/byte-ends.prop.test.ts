import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ByteEnds } from '../../src/protocols/byte-ends.ts'

it('the first and the last bytes are kept, whatever the pieces', () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 30 })
  const bytes = fc.integer({ min: 1, max: 50 })
  fc.assert(
    fc.property(pieces, bytes, bytes, (all, headMax, tailMax) => {
      const ends = new ByteEnds(headMax, tailMax)
      for (const piece of all) ends.add(Buffer.from(piece))
      const whole = Buffer.concat(all)
      expect(ends.size).toBe(whole.length)
      expect(ends.head()).toEqual(whole.subarray(0, headMax))
      expect(ends.tail()).toEqual(whole.subarray(-tailMax))
    }),
  )
})
