import type { Clock } from '../../src/kernel/clock.ts'

/** A clock that stands still until it is moved. */
export interface ManualClock extends Clock {
  /** Lets `ms` pass: timers run in order, and what they start gets its turn in between. */
  pass(ms: number): Promise<void>
}

interface Timer {
  readonly atMs: number
  readonly run: () => void
}

/** Lets all promises that are ready run, and those that become ready by it. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export function makeManualClock(startMs: number): ManualClock {
  const timers = new Set<Timer>()
  let nowMs = startMs
  return {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    async pass(ms) {
      const untilMs = nowMs + ms
      await settle()
      for (;;) {
        const due = [...timers].filter(({ atMs }) => atMs <= untilMs)
        const [next] = due.sort((a, b) => a.atMs - b.atMs)
        if (next === undefined) break
        timers.delete(next)
        nowMs = next.atMs
        next.run()
        await settle()
      }
      nowMs = untilMs
    },
  }
}
