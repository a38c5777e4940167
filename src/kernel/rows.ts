import { ROW_MS_MAX, ROW_WAITING_MAX } from './limits/answers.ts'

/** Does a piece of work soon: in this turn of the event loop, or in the next. */
export type Row = (work: () => void) => void

/** The rows of a turn, in the order in which they are done, each with the most ms it may take. */
const MS_MAX = {
  /** What comes of upstreams' answers: more could come meanwhile than is done. */
  answers: Infinity,
  /** Requests that came. */
  arrivals: ROW_MS_MAX,
  /** Bodies that came to their end. */
  bodies: ROW_MS_MAX,
  /** Commands for Redis, which the rows before make. */
  commands: Infinity,
}

export type Rows = Readonly<Record<keyof typeof MS_MAX, Row>>

interface Step {
  readonly add: Row
  readonly run: () => void
}

/** `ask` has a turn's rows done; asking in the middle of a turn means the next one. */
function makeStep(msMax: number, ask: () => void): Step {
  let waiting: (() => void)[] = []
  return {
    add(work) {
      waiting.push(work)
      ask()
    },
    run() {
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
        if (waiting.length > 0) ask()
      }
    },
  }
}

/**
 * Gathers work of one kind and does it in a row, behind what else the turn brings: amid the reading
 * of many sockets each piece would find its code and data pushed out of the processor's caches.
 * What one row leaves for a later one is done in the same turn. What takes longer than a row's ms
 * goes on in the next turn, so that others have theirs; of more than ROW_WAITING_MAX the rest is
 * done at once, so that no more is read meanwhile. A piece that throws keeps none back.
 */
export function makeRows(): Rows {
  const askers: (() => void)[] = []

  const makeRow = (msMax: number): Row => {
    let due = 0
    const step = makeStep(msMax, () => {
      if (due === 0) for (const ask of askers) ask()
    })
    const run = (): void => {
      due -= 1
      step.run()
    }
    askers.push(() => {
      due += 1
      setImmediate(run)
    })
    return step.add
  }

  return {
    answers: makeRow(MS_MAX.answers),
    arrivals: makeRow(MS_MAX.arrivals),
    bodies: makeRow(MS_MAX.bodies),
    commands: makeRow(MS_MAX.commands),
  }
}

export const rows = makeRows()
