import type { Clock } from '../kernel/clock.ts'
import { invariant } from '../kernel/invariant.ts'
import { LOOP_BACKOFF_MS_MAX } from '../kernel/limits/processes.ts'
import { describeError, type Log } from '../kernel/log.ts'

export interface Loop {
  /** Names it in logs and metrics. One of a kind in the process. */
  readonly name: string
  /** Pause between the end of one run and the start of the next. */
  readonly periodMs: number
  /** Part of the period by which pauses vary, 0 to 1: processes must not move in step. */
  readonly jitter?: number
  /** Start with a run instead of a pause. */
  readonly atOnce?: boolean
  /** One round. May throw: it is logged, counted and tried again, later each time. */
  run(): Promise<void>
}

/** The one place where background work is started. Source: CONTRIBUTING.md. */
export interface Loops {
  start(loop: Loop): void
  /** No new rounds; resolves when those under way have ended. */
  stop(): Promise<void>
}

export interface LoopsDeps {
  readonly clock: Clock
  readonly log: Log
  /** Even in [0, 1). */
  readonly random: () => number
  readonly onRun: (name: string, ok: boolean, durationMs: number) => void
}

/**
 * Pause after `failures` failed rounds in a row: doubles, up to ten periods (LOOP_BACKOFF_MS_MAX
 * at most), so that what must be quick is quick again soon after a store came back.
 */
export function pauseMs(
  periodMs: number,
  jitter: number,
  failures: number,
  random: number,
): number {
  const most = Math.max(periodMs, Math.min(periodMs * 10, LOOP_BACKOFF_MS_MAX))
  const backedOff = Math.min(periodMs * 2 ** Math.min(failures, 20), most)
  return backedOff * (1 + jitter * (random - 0.5))
}

/** Logs the first failure of a row loudly, the rest at every power of two. */
const isNews = (failures: number): boolean => (failures & (failures - 1)) === 0

export function makeLoops(deps: LoopsDeps): Loops {
  const { clock, log } = deps
  const names = new Set<string>()
  const cancels = new Map<string, () => void>()
  const running = new Set<Promise<void>>()
  let stopped = false

  async function round(loop: Loop, failuresBefore: number): Promise<number> {
    const startMs = clock.monotonicMs()
    const { name } = loop
    try {
      await loop.run()
      deps.onRun(name, true, clock.monotonicMs() - startMs)
      if (failuresBefore > 0) log.info({ loop: name, failures: failuresBefore }, 'loop works again')
      return 0
    } catch (error) {
      const failures = failuresBefore + 1
      deps.onRun(name, false, clock.monotonicMs() - startMs)
      const fields = { loop: name, failures, error: describeError(error) }
      if (isNews(failures)) log.error(fields, 'loop failed')
      return failures
    }
  }

  function schedule(loop: Loop, failures: number, delayMs: number): void {
    if (stopped) return
    const begin = (): void => {
      cancels.delete(loop.name)
      const going = round(loop, failures).then((next) => {
        running.delete(going)
        schedule(loop, next, pauseMs(loop.periodMs, loop.jitter ?? 0.2, next, deps.random()))
      })
      running.add(going)
    }
    cancels.set(loop.name, clock.after(delayMs, begin))
  }

  return {
    start(loop) {
      invariant(!names.has(loop.name), `two loops named ${loop.name}`)
      names.add(loop.name)
      schedule(loop, 0, loop.atOnce === true ? 0 : loop.periodMs * deps.random())
    },
    async stop() {
      stopped = true
      for (const cancel of cancels.values()) cancel()
      cancels.clear()
      await Promise.all(running)
    },
  }
}
