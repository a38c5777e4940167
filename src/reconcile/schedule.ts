import { HOUR_MS, DAY_MS, type Clock } from '../kernel/clock.ts'
import {
  RECONCILE_CATCH_UP_MS,
  RECONCILE_HOURLY_MS,
  RECONCILE_NIGHTLY_MS,
} from '../kernel/limits/books.ts'
import type { Reconcile, RunOptions } from './run.ts'

/**
 * Which run is due after the last one, and the last nightly one, began (Unix ms): one each hour,
 * and once a UTC day a longer one.
 */
export function dueRun(startedMs: number, nightlyMs: number, nowMs: number): RunOptions | null {
  const isNewDay = Math.floor(nowMs / DAY_MS) > Math.floor(nightlyMs / DAY_MS)
  if (isNewDay) return { kind: 'nightly', since_ms: nowMs - RECONCILE_NIGHTLY_MS, fix: false }
  if (nowMs - startedMs < HOUR_MS) return null
  return { kind: 'hourly', since_ms: nowMs - RECONCILE_HOURLY_MS, fix: false }
}

/**
 * One round: carries on what is under way, or begins what is due. Any process may that has been
 * there for a while: what waited while none ran is done first, and would be found as left undone.
 */
export function makeSchedule(reconcile: Reconcile, clock: Clock): () => Promise<void> {
  const bornMs = clock.now()
  let [sinceMs, seenMs] = [bornMs, bornMs]
  return async () => {
    const nowMs = clock.now()
    if (nowMs - seenMs > RECONCILE_CATCH_UP_MS) sinceMs = nowMs // it slept
    seenMs = nowMs
    const last = await reconcile.last()
    if (last !== null && last.finishedMs === null) {
      await reconcile.step()
      return
    }
    if (nowMs - sinceMs < RECONCILE_CATCH_UP_MS) return
    const startedMs = last?.startedMs ?? bornMs
    const due = dueRun(startedMs, last?.nightlyMs ?? startedMs, nowMs)
    if (due !== null) await reconcile.begin(due)
  }
}
