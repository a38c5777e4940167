import type { Control } from './workers/worker.ts'

/** A start that may be told to stop. */
export interface Starting {
  /** A migration is under way; what it answers is called when it is over, done or undone. */
  migrates(): () => void
}

/**
 * Until something else heeds `control`, a stop ends the process at once: nothing is under way but a
 * migration, perhaps, which may end first, unless told again. `leave` is given the exit code.
 */
export function makeStarting(
  control: Pick<Control, 'onStop'>,
  leave: (code: number) => void,
): Starting {
  let isMigrating = false
  let isTold = false
  control.onStop(() => {
    if (!isMigrating || isTold) leave(isMigrating ? 1 : 0)
    isTold = true
  })
  return {
    migrates() {
      isMigrating = true
      return () => {
        isMigrating = false
        if (isTold) leave(0)
      }
    },
  }
}
