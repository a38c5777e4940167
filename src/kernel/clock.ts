/** Time as an argument, so that the simulator can own it. Source: style rule 6. */
export interface Clock {
  /** Unix time, milliseconds. May jump; use it for what is stored, never for durations. */
  now(): number
  /** Milliseconds that only grow. Use it for durations and deadlines inside this process. */
  monotonicMs(): number
  /** Calls `run` once after `delayMs`. The returned function cancels. Keeps no process alive. */
  after(delayMs: number, run: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs)
    timer.unref()
    return () => {
      clearTimeout(timer)
    }
  },
}

/** Resolves after `delayMs` of the clock's time. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve)
  })
}
