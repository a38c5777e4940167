import type { Clock } from '../kernel/clock.ts'

/** Waits of one length, with one timer for all of them. */
export interface Waits {
  /** `late` is called after the wait, unless the answered function was called before. */
  add(late: () => void): () => void
}

interface Wait {
  readonly dueMs: number
  readonly late: () => void
}

/** `expired` is called before each `late`. */
export function makeWaits(clock: Clock, waitMs: number, expired: () => void): Waits {
  const open = new Set<Wait>() // in the order in which they are due
  let isArmed = false

  function arm(delayMs: number): void {
    isArmed = true
    clock.after(delayMs, () => {
      isArmed = false
      const nowMs = clock.monotonicMs()
      for (const wait of open) {
        if (wait.dueMs > nowMs) break
        open.delete(wait)
        expired()
        wait.late()
      }
      const [next] = open
      if (next !== undefined) arm(next.dueMs - nowMs)
    })
  }

  return {
    add(late) {
      const wait = { dueMs: clock.monotonicMs() + waitMs, late }
      open.add(wait)
      if (!isArmed) arm(waitMs)
      return () => {
        open.delete(wait)
      }
    },
  }
}
