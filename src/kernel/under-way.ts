/** Counts what is under way, so that an end can be waited for. */
export interface UnderWay {
  begin(): void
  end(): void
  readonly count: number
  /** Resolves when nothing is. */
  over(): Promise<void>
}

export function makeUnderWay(): UnderWay {
  let count = 0
  let waiting: (() => void)[] = []
  return {
    begin() {
      count += 1
    },
    end() {
      count -= 1
      if (count > 0) return
      for (const resolve of waiting) resolve()
      waiting = []
    },
    get count() {
      return count
    },
    over: () =>
      count === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiting.push(resolve)
          }),
  }
}
