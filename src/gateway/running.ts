/** Requests of this process that are not ended: until then stores and upstreams are needed. */
export interface Running {
  /** One more; call what it answers once, when the request's last write is done. */
  begin(): () => void
  readonly count: number
  /** Resolves when there is none. */
  idle(): Promise<void>
  /** Resolves when all that had begun before this call have ended, whatever begins after it. */
  earlierEnded(): Promise<void>
}

/** Requests that began between two calls of `earlierEnded`. */
interface Generation {
  count: number
  isLast: boolean
  readonly over: PromiseWithResolvers<void>
}

const newGeneration = (): Generation => ({
  count: 0,
  isLast: true,
  over: Promise.withResolvers(),
})

export function makeRunning(): Running {
  let count = 0
  let waiting: (() => void)[] = []
  let last = newGeneration()
  let earlier: Promise<unknown> = Promise.resolve()
  const endIn = (generation: Generation): void => {
    generation.count -= 1
    if (generation.count === 0 && !generation.isLast) generation.over.resolve()
    count -= 1
    if (count > 0) return
    for (const resolve of waiting) resolve()
    waiting = []
  }
  return {
    begin() {
      const generation = last
      generation.count += 1
      count += 1
      return () => {
        endIn(generation)
      }
    },
    get count() {
      return count
    },
    idle: () =>
      count === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiting.push(resolve)
          }),
    async earlierEnded() {
      const generation = last
      generation.isLast = false
      if (generation.count === 0) generation.over.resolve()
      last = newGeneration()
      earlier = Promise.all([earlier, generation.over.promise])
      await earlier
    },
  }
}
