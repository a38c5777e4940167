import fc from 'fast-check'
import { expect, test } from 'vitest'
import { makeLine, type Place } from '../../src/kernel/line.ts'

const step = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), value: fc.integer() }),
  fc.record({ kind: fc.constant('remove' as const), at: fc.nat(40) }),
  fc.record({ kind: fc.constant('shift' as const) }),
)

test('a line answers like a list of the places that were not left', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const line = makeLine<number>()
      const given: Place<number>[] = []
      let left: { place: Place<number>; value: number }[] = []
      for (const one of steps) {
        if (one.kind === 'add') {
          const place = line.add(one.value)
          given.push(place)
          left.push({ place, value: one.value })
        } else if (one.kind === 'shift') {
          line.shift()
          left = left.slice(1)
        } else {
          const place = given[one.at]
          if (place === undefined) continue
          line.remove(place) // maybe not for the first time
          left = left.filter((other) => other.place !== place)
        }
        expect(line.size).toBe(left.length)
        expect(line.first).toBe(left[0]?.value ?? null)
        expect(line.all()).toEqual(left.map(({ value }) => value))
      }
      for (const place of given) {
        const stands = left.some((other) => other.place === place)
        expect(place.value === null).toBe(!stands)
      }
    }),
  )
})

test('a place that was left points to nothing', () => {
  const line = makeLine<object>()
  const first = line.add({})
  line.add({})
  line.remove(first)
  expect(Object.values(first)).toEqual([null, null, null])
})
