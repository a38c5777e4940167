import type { Clock } from '../kernel/clock.ts'
import { makeLine } from '../kernel/line.ts'

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
  const open = makeLine<Wait>() // in the order in which they are due
  let isArmed = false

  function arm(delayMs: number): void {
    isArmed = true
    clock.after(delayMs, () => {
      isArmed = false
      const nowMs = clock.monotonicMs()
      for (let wait = open.first; wait !== null; wait = open.first) {
        if (wait.dueMs > nowMs) {
          arm(wait.dueMs - nowMs)
          return
        }
        open.shift()
        expired()
        wait.late()
      }
    })
  }

  return {
    add(late) {
      const place = open.add({ dueMs: clock.monotonicMs() + waitMs, late })
      if (!isArmed) arm(waitMs)
      return () => {
        open.remove(place)
      }
    },
  }
}
