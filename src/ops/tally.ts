/** Sums by name that wait for the next scrape: a counter of the library's costs far more a time. */
export interface Tally {
  add(name: string, value: number): void
  /** What was added since it was last asked. */
  take(): IterableIterator<[name: string, sum: number]>
}

export function makeTally(): Tally {
  let sums = new Map<string, number>()
  return {
    add(name, value) {
      sums.set(name, (sums.get(name) ?? 0) + value)
    },
    take() {
      const taken = sums
      sums = new Map()
      return taken.entries()
    },
  }
}
