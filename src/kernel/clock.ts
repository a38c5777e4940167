export const HOUR_MS = 3_600_000
/** As UTC has them. */
export const DAY_MS = 24 * HOUR_MS

/** Time as an argument, so that the simulator can own it. Source: CONTRIBUTING.md. */
export interface Clock {
  /** Unix time, milliseconds. May jump; use it for what is stored, never for durations. */
  now(): number
  /** Milliseconds that only grow. Use it for durations and deadlines inside this process. */
  monotonicMs(): number
  /**
   * Calls `run` once after `delayMs`, never before. The returned function cancels. Keeps no process
   * alive.
   */
  after(delayMs: number, run: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const dueMs = performance.now() + delayMs
    let timer: NodeJS.Timeout
    const wait = (leftMs: number): void => {
      timer = setTimeout(check, leftMs).unref()
    }
    // A timer drops fractions of both its delay and the time it counts from: it may be early.
    const check = (): void => {
      const leftMs = dueMs - performance.now()
      if (leftMs > 0) wait(leftMs)
      else run()
    }
    wait(delayMs)
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
