import { systemClock } from '../../src/kernel/clock.ts'
import { DRAIN_MS_MAX } from '../../src/kernel/limits/answers.ts'

/**
 * Loaded into a process of its own before its code (`NODE_OPTIONS=--import`): what is read on after
 * its client left is bounded by so many milliseconds instead of DRAIN_MS_MAX.
 */
const shortMs = Number(process.env.TEST_DRAIN_MS ?? DRAIN_MS_MAX)
const after = systemClock.after.bind(systemClock)
Object.assign(systemClock, {
  after: (ms: number, run: () => void) => after(ms === DRAIN_MS_MAX ? shortMs : ms, run),
})
