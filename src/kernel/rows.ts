import { ROW_WAITING_MAX } from './limits-body.ts'

/** Does a piece of work soon: in this turn of the event loop, or in the next. */
export type Row = (work: () => void) => void

/**
 * Gathers work of one kind and does it in a row, behind what else the turn brings: amid the reading
 * of many sockets each piece would find its code and data pushed out of the processor's caches.
 * What takes longer than `msMax` goes on in the next turn, so that others have theirs; Infinity
 * where more could come meanwhile than is done. Of more than ROW_WAITING_MAX the rest is done at
 * once, so that no more is read meanwhile. A piece that throws keeps none back.
 */
export function makeRow(msMax: number): Row {
  let waiting: (() => void)[] = []
  let isDue = false

  const turn = (): void => {
    const until = performance.now() + msMax
    let done = 0
    try {
      for (const work of waiting) {
        done += 1
        work()
        if (performance.now() >= until && waiting.length - done <= ROW_WAITING_MAX) break
      }
    } finally {
      waiting = waiting.slice(done)
      isDue = waiting.length > 0
      if (isDue) setImmediate(turn)
    }
  }
  return (work) => {
    waiting.push(work)
    if (isDue) return
    isDue = true
    setImmediate(turn)
  }
}
