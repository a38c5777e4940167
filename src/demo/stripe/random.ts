/** Numbers and ids that are the same for the same seed (splitmix32). */
export interface Random {
  /** 0 ≤ x < `below`, whole. */
  below(below: number): number
  /** `length` letters and digits, as in Stripe's ids. */
  letters(length: number): string
  shuffle<T>(list: readonly T[]): T[]
}

const LETTERS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

export function makeRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x9e37_79b9) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0_aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
  const below = (limit: number): number => next() % limit
  return {
    below,
    letters: (length) =>
      Array.from({ length }, () => LETTERS.charAt(below(LETTERS.length))).join(''),
    shuffle(list) {
      const left = [...list]
      return list.map(() => left.splice(below(left.length), 1)).flat()
    },
  }
}
