import type { Clock } from '../kernel/clock.ts'
import {
  METER_LANE_REPORTS_MAX,
  METER_LANES_AT_ONCE_MAX,
  METER_RETRY_MS_MAX,
  METER_RETRY_MS_MIN,
  METER_WAIT_MS,
} from '../kernel/limits-outside.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { backoffMs, makeWorkPool, type WorkPool } from '../kernel/work-pool.ts'
import { decide, type End } from './decide.ts'
import type { MeterDirectory, StripeMeter } from './directory.ts'
import type { NoteFinding } from './findings.ts'
import type { Lane, Lanes } from './lanes.ts'
import type { ReadyReport } from './rows.ts'
import type { MeterSender, SendOutcome } from './sender.ts'

export interface ReporterDeps {
  readonly lanes: Lanes
  readonly directory: MeterDirectory
  readonly sender: MeterSender
  /** Makes a report that lowers what a cancel could not take back. */
  readonly compensate: (report: ReadyReport, why: string) => Promise<void>
  readonly note: NoteFinding
  readonly clock: Clock
  /** Even in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly onCall: (result: SendOutcome['kind']) => void
}

/** How a lane is left. */
interface Leaving {
  readonly dueMs: number | null
  readonly isWell: boolean
}

/** The next report can have its turn, or the lane is left. */
type Step = Leaving | 'next'

const HOUR_MS = 3_600_000

function evidenceOf(report: ReadyReport, why: string) {
  const { identifier, customerId, eventName, value, atMs } = report
  const at = new Date(atMs).toISOString()
  const told = { customer_id: customerId, event_name: eventName, value, at, reason: why }
  return { identifier, account_id: report.accountId, ...told }
}

function makeSteps(deps: ReporterDeps) {
  const { lanes, directory, sender, clock, note } = deps

  async function end(report: ReadyReport, { state, why }: End): Promise<Step> {
    const kind = state === 'late' ? 'meter_late' : 'meter_refused'
    const evidence = evidenceOf(report, why)
    await note({ kind, severity: 'urgent', subject: report.identifier, evidence })
    await lanes.end(report, state, why, clock.now())
    return 'next'
  }

  async function unclear(report: ReadyReport, why: string): Promise<Step> {
    const evidence = evidenceOf(report, why)
    const finding = { kind: 'meter_unclear', severity: 'urgent' } as const
    await note({ ...finding, subject: report.identifier, evidence })
    await lanes.end(report, 'unclear', why, clock.now())
    return 'next'
  }

  /** Whether Stripe has a report, by what it says of the hour; null = neither fits. */
  async function isRecorded(report: ReadyReport, meter: StripeMeter): Promise<boolean | string> {
    const startMs = Math.floor(report.atMs / HOUR_MS) * HOUR_MS
    const endMs = startMs + HOUR_MS
    const { customerId, value } = report
    const sums = await directory.summaries(meter.id, customerId, startMs / 1000, endMs / 1000)
    const actual = sums.get(startMs / 1000) ?? 0
    const known = await lanes.sentInHour(report, startMs, endMs)
    if (actual === known) return false
    if (actual === known + value) return true
    return `Stripe has ${actual} of the hour, ${known} without it and ${known + value} with it`
  }

  const backoff = (lane: Lane): Leaving => {
    const bounds = { minMs: METER_RETRY_MS_MIN, maxMs: METER_RETRY_MS_MAX }
    return { dueMs: clock.now() + backoffMs(lane.tries, deps.random(), bounds), isWell: false }
  }
  const patience = (): Leaving => ({ dueMs: clock.now() + METER_WAIT_MS, isWell: false })

  async function refused(report: ReadyReport, why: string, isNew: boolean): Promise<Step> {
    // Refused again it may be because it was done: the summaries know, later.
    if (report.kind === 'usage') return end(report, { state: 'refused', why })
    if (!isNew) return { dueMs: clock.now() + METER_WAIT_MS, isWell: true }
    await deps.compensate(report, why)
    return 'next'
  }

  function call(report: ReadyReport, meter: StripeMeter): Promise<SendOutcome> {
    const { canceled, identifier, eventName, tries } = report
    if (canceled !== null) {
      return sender.cancel(eventName, canceled.identifier, `${identifier}-${tries}`)
    }
    const own = {
      [meter.customerKey]: report.customerId,
      [meter.valueKey]: String(report.value),
    }
    const payload = { ...report.dimensions, ...own }
    return sender.send({ eventName, identifier, payload, atS: report.atMs / 1000 })
  }

  async function send(
    lane: Lane,
    report: ReadyReport,
    meter: StripeMeter,
    isNew: boolean,
  ): Promise<Step> {
    if (!(await lanes.noteTry(lane, report, isNew, clock.now()))) return 'next' // told by `next`
    const outcome = await call(report, meter)
    deps.onCall(outcome.kind)
    switch (outcome.kind) {
      case 'accepted':
      case 'duplicate':
        await lanes.end(report, 'sent', null, clock.now())
        return 'next'
      case 'throttled':
        if (isNew) await lanes.untry(report, outcome.why)
        return backoff(lane)
      case 'denied': {
        if (isNew) await lanes.untry(report, outcome.why)
        const evidence = { event_name: lane.eventName, reason: outcome.why }
        await note({ kind: 'meter_denied', severity: 'urgent', subject: lane.eventName, evidence })
        return patience()
      }
      case 'refused':
        return refused(report, outcome.why, isNew)
      case 'unknown':
        deps.log.warn({ report: report.identifier, error: outcome.why }, 'meter event in doubt')
        return backoff(lane)
    }
  }

  return async function step(lane: Lane, report: ReadyReport, meter: StripeMeter): Promise<Step> {
    const decision = decide(report, clock.now())
    const isNew = report.firstTriedMs === null
    if (decision.kind === 'end') return end(report, decision.end)
    if (decision.kind === 'wait') return { dueMs: decision.untilMs, isWell: true }
    if (decision.kind === 'send') return send(lane, report, meter, isNew)
    const found = await isRecorded(report, meter)
    if (typeof found === 'string') return unclear(report, found)
    if (found) {
      await lanes.end(report, 'sent', 'found in the summaries', clock.now())
      return 'next'
    }
    if (decision.otherwise !== 'send') return end(report, decision.otherwise)
    return send(lane, report, meter, true)
  }
}

/** Why a meter cannot be told anything; null = it can. */
function whyNot(meter: StripeMeter | null): string | null {
  if (meter === null) return 'Stripe has no meter of this event name'
  if (!meter.isSum) return 'the meter does not add up: its aggregation must be sum'
  return meter.isActive ? null : 'the meter is not active'
}

function makeLaneWork(deps: ReporterDeps) {
  const { lanes, directory, clock, note } = deps
  const step = makeSteps(deps)

  /** null = the lane is lost. */
  async function run(lane: Lane): Promise<Leaving | null> {
    const meter = await directory.byEvent(lane.eventName)
    const why = whyNot(meter)
    if (meter === null || why !== null) {
      const evidence = { event_name: lane.eventName, reason: why }
      await note({ kind: 'meter_missing', severity: 'urgent', subject: lane.eventName, evidence })
      return { dueMs: clock.now() + METER_WAIT_MS, isWell: false }
    }
    for (let count = 0; count < METER_LANE_REPORTS_MAX; count += 1) {
      const report = await lanes.next(lane, clock.now())
      if (report === 'lost') return null
      if (report === null) return { dueMs: null, isWell: true }
      const done = await step(lane, report, meter)
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
 * Source: design §7, stripe/facts.md §4.
 */
export const makeReporter = (deps: ReporterDeps): WorkPool =>
  makeWorkPool({
    max: METER_LANES_AT_ONCE_MAX,
    claim: (room) => deps.lanes.claim(deps.clock.now(), room),
    work: makeLaneWork(deps),
  })
