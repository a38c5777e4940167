import type { Clock } from '../kernel/clock.ts'
import type { CreditEngine } from './commands.ts'

/** The engine's clock as seen from here: learned from its answers. Source: design §3. */
export interface EngineTime {
  /** Unix ms; asks the engine where it never answered before. */
  now(): Promise<number>
  /** The same at once; null where the engine never answered before. */
  known(): number | null
  /** An answer said what time it is there. */
  learn(nowMs: number): void
}

export function makeEngineTime(engine: Pick<CreditEngine, 'timeMs'>, clock: Clock): EngineTime {
  let offsetMs: number | null = null
  const learn = (nowMs: number): void => {
    offsetMs = nowMs - clock.monotonicMs()
  }
  return {
    learn,
    known: () => (offsetMs === null ? null : clock.monotonicMs() + offsetMs),
    async now() {
      if (offsetMs === null) learn(await engine.timeMs())
      return clock.monotonicMs() + (offsetMs ?? 0)
    },
  }
}
