import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/kernel/clock.ts'
import { LOOP_BACKOFF_MS_MAX } from '../../src/kernel/limits/processes.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { makeLoops, pauseMs } from '../../src/ops/loops.ts'

/** Time that moves when told to, running what is due in order. */
function makeManualClock() {
  let nowMs = 0
  let timers: { atMs: number; run: () => void }[] = []
  const clock: Clock = {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run }
      timers.push(timer)
      return () => {
        timers = timers.filter((other) => other !== timer)
      }
    },
  }
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  return {
    clock,
    pending: () => timers.length,
    advance: async (ms: number): Promise<void> => {
      const endMs = nowMs + ms
      for (;;) {
        const [next] = timers.filter((timer) => timer.atMs <= endMs).sort((a, b) => a.atMs - b.atMs)
        if (next === undefined) break
        nowMs = next.atMs
        timers = timers.filter((timer) => timer !== next)
        next.run()
        await settle()
      }
      nowMs = endMs
    },
  }
}

function setup() {
  const manual = makeManualClock()
  const runs: { name: string; ok: boolean }[] = []
  const loops = makeLoops({
    clock: manual.clock,
    log: silentLog,
    random: () => 0.5,
    onRun: (name, ok) => runs.push({ name, ok }),
  })
  return { ...manual, runs, loops }
}

describe('background loops', () => {
  it('run a round, pause, and run again', async () => {
    const { loops, advance, runs } = setup()
    loops.start({ name: 'sweep', periodMs: 100, atOnce: true, run: () => Promise.resolve() })
    await advance(350)
    expect(runs).toEqual(Array.from({ length: 4 }, () => ({ name: 'sweep', ok: true })))
  })

  it('survive a failure, wait longer each time, and come back to their period', async () => {
    const { loops, advance, runs } = setup()
    let broken = true
    const run = () => (broken ? Promise.reject(new Error('away')) : Promise.resolve())
    loops.start({ name: 'sweep', periodMs: 100, atOnce: true, run })
    await advance(800)
    expect(runs.map((one) => one.ok)).toEqual([false, false, false]) // at 0, 200, 600
    broken = false
    await advance(600) // at 1 400
    await advance(200)
    expect(runs.map((one) => one.ok)).toEqual([false, false, false, true, true, true])
  })

  it('never start a round while the last one runs', async () => {
    const { loops, advance, clock } = setup()
    let [open, most] = [0, 0]
    const run = async () => {
      open += 1
      most = Math.max(most, open)
      await new Promise<void>((resolve) => clock.after(1_000, resolve))
      open -= 1
    }
    loops.start({ name: 'slow', periodMs: 10, atOnce: true, run })
    await advance(5_000)
    expect(most).toBe(1)
  })

  it('stop: the round under way ends, no other begins', async () => {
    const { loops, advance, runs, pending } = setup()
    const gate = Promise.withResolvers<undefined>()
    loops.start({ name: 'sweep', periodMs: 100, atOnce: true, run: () => gate.promise.then() })
    loops.start({ name: 'idle', periodMs: 10_000, run: () => Promise.resolve() })
    await advance(1)
    const stopping = loops.stop()
    gate.resolve(undefined)
    await stopping
    expect(runs).toEqual([{ name: 'sweep', ok: true }])
    expect(pending()).toBe(0)
    await advance(60_000)
    expect(runs).toHaveLength(1)
  })

  it('pause at most ten periods or LOOP_BACKOFF_MS_MAX; a long period stays as it is', () => {
    expect(pauseMs(100, 0, 50, 0.9)).toBe(1_000)
    expect(pauseMs(10_000, 0, 50, 0.9)).toBe(LOOP_BACKOFF_MS_MAX)
    expect(pauseMs(3_600_000, 0, 5, 0.9)).toBe(3_600_000)
    expect(pauseMs(100, 0.2, 0, 0)).toBeCloseTo(90)
    expect(pauseMs(100, 0.2, 0, 1)).toBeCloseTo(110)
  })
})
