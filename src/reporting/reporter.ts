import {
  METER_LANES_AT_ONCE_MAX,
  METER_LANE_REPORTS_MAX,
  METER_WAIT_MS,
} from '../kernel/limits/meters.ts'
import { describeError } from '../kernel/log.ts'
import { makeWorkPool, type WorkPool } from '../kernel/work-pool.ts'
import { whyUnfit } from './fit.ts'
import type { Lane } from './lanes.ts'
import { takeStep, type Leaving, type StepDeps } from './step.ts'

function makeLaneWork(deps: StepDeps) {
  const { lanes, directory, clock, note } = deps

  /** null = the lane is lost. */
  async function run(lane: Lane): Promise<Leaving | null> {
    const meter = await directory.byEvent(lane.eventName)
    const why = whyUnfit(meter)
    if (meter === null || why !== null) {
      const evidence = { event_name: lane.eventName, reason: why }
      await note({ kind: 'meter_missing', severity: 'urgent', subject: lane.eventName, evidence })
      return { dueMs: clock.now() + METER_WAIT_MS, isWell: false }
    }
    for (let count = 0; count < METER_LANE_REPORTS_MAX; count += 1) {
      const report = await lanes.next(lane, clock.now())
      if (report === 'lost') return null
      if (report === null) return { dueMs: null, isWell: true }
      const done = await takeStep(deps, lane, report, meter)
      if (done !== 'next') return done
    }
    return { dueMs: clock.now(), isWell: true }
  }

  return async (lane: Lane): Promise<void> => {
    const fields = { customer: lane.customerId, meter: lane.eventName }
    try {
      const leaving = await run(lane)
      if (leaving !== null) await lanes.leave(lane, leaving.dueMs, leaving.isWell, clock.now())
    } catch (error) {
      deps.log.warn({ ...fields, error: describeError(error) }, 'meter lane left to its lease')
    }
  }
}

/**
 * Sends what is sealed: METER_LANES_AT_ONCE_MAX calls at once in a process, one at a time for a
 * customer and meter over all processes. Nothing here is waited for by a request.
 * Source: design §7, stripe.md §4.
 */
export const makeReporter = (deps: StepDeps): WorkPool =>
  makeWorkPool({
    max: METER_LANES_AT_ONCE_MAX,
    claim: (room) => deps.lanes.claim(deps.clock.now(), room),
    work: makeLaneWork(deps),
  })
