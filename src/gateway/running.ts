/** Requests of this process that are not ended: until then stores and upstreams are needed. */
export interface Running {
  /** One more; call what it answers once, when the request's last write is done. */
  begin(): () => void
  readonly count: number
  /** Resolves when there is none. */
  idle(): Promise<void>
}

export function makeRunning(): Running {
  let count = 0
  let waiting: (() => void)[] = []
  return {
    begin() {
      count += 1
      return () => {
        count -= 1
        if (count > 0) return
        for (const resolve of waiting) resolve()
        waiting = []
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
  }
}
