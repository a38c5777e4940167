import { METER_RETRY_MS_MAX, METER_RETRY_MS_MIN, METER_WAIT_MS } from '../kernel/limits/meters.ts'
import { backoffMs } from '../kernel/work-pool.ts'
import { HOUR_MS, type Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { decide, type End, type Ending } from './decide.ts'
import type { MeterDirectory, StripeMeter } from './directory.ts'
import type { NoteFinding } from './findings.ts'
import type { Lane, Lanes } from './lanes.ts'
import type { ReadyReport } from './rows.ts'
import type { MeterSender, SendOutcome } from './sender.ts'

export interface StepDeps {
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
export interface Leaving {
  readonly dueMs: number | null
  readonly isWell: boolean
}

/** The next report can have its turn, or the lane is left. */
export type Step = Leaving | 'next'

/** A report on its turn, in the lane that it is in. */
interface Turn {
  readonly lane: Lane
  readonly report: ReadyReport
  readonly meter: StripeMeter
  /** No earlier try of it is in doubt. */
  readonly isNew: boolean
}

function evidenceOf(report: ReadyReport, why: string) {
  const { id, identifier, accountId, customerId, eventName, value, atMs } = report
  const told = { account_id: accountId, customer_id: customerId, event_name: eventName, value }
  const at = new Date(atMs).toISOString()
  return { id, identifier, ...told, at, overage_micros: report.overageMicros, reason: why }
}

/** A report that Stripe will not have, or of which nobody knows: told, and out of the way. */
async function giveUp(
  { lanes, note, clock }: StepDeps,
  report: ReadyReport,
  { state, why }: { readonly state: End['state'] | 'unclear'; readonly why: string },
): Promise<Step> {
  const kinds = { late: 'meter_late', refused: 'meter_refused', unclear: 'meter_unclear' } as const
  const evidence = evidenceOf(report, why)
  const finding = { kind: kinds[state], severity: 'urgent' } as const
  const atStakeMicros = Math.abs(report.overageMicros)
  await note({ ...finding, subject: report.identifier, evidence, atStakeMicros })
  await lanes.end(report, state, { note: why }, clock.now())
  return 'next'
}

/** Whether Stripe has a report, by what it says of the hour; text = neither fits, and why. */
async function isRecorded(
  { directory, lanes }: StepDeps,
  { report, meter }: Turn,
): Promise<boolean | string> {
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

function call({ sender }: StepDeps, { report, meter }: Turn): Promise<SendOutcome> {
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

/** The end of a report that Stripe does not have. */
async function finish(deps: StepDeps, report: ReadyReport, ending: Ending): Promise<Step> {
  if (ending.kind === 'end') return giveUp(deps, report, ending.end)
  await deps.compensate(report, ending.why)
  return 'next'
}

/** Refused in doubt it may be because Stripe has it: the summaries know, later. */
async function refused(deps: StepDeps, { report, isNew }: Turn, why: string): Promise<Step> {
  if (isNew) {
    const isUsage = report.kind === 'usage'
    const end = { state: 'refused', why } as const
    return finish(deps, report, isUsage ? { kind: 'end', end } : { kind: 'replace', why })
  }
  await deps.lanes.untry(report, { note: why, isNew, isRefused: true })
  return 'next'
}

function backoff({ clock, random }: StepDeps, { tries }: Lane): Leaving {
  const bounds = { minMs: METER_RETRY_MS_MIN, maxMs: METER_RETRY_MS_MAX }
  return { dueMs: clock.now() + backoffMs(tries, random(), bounds), isWell: false }
}

/** The key may not tell meters anything: a person must act, and nothing was done. */
async function denied(deps: StepDeps, { eventName }: Lane, why: string): Promise<Step> {
  const evidence = { event_name: eventName, reason: why }
  await deps.note({ kind: 'meter_denied', severity: 'urgent', subject: eventName, evidence })
  return { dueMs: deps.clock.now() + METER_WAIT_MS, isWell: false }
}

async function send(deps: StepDeps, turn: Turn): Promise<Step> {
  const { lanes, clock } = deps
  const { lane, report, isNew } = turn
  const isOurs = await lanes.noteTry(lane, report, isNew, clock.now())
  if (!isOurs) return 'next' // which finds that the lane is lost
  const outcome = await call(deps, turn)
  deps.onCall(outcome.kind)
  switch (outcome.kind) {
    case 'accepted':
      await lanes.end(report, 'sent', { note: null, isSure: true }, clock.now())
      return 'next'
    case 'duplicate': {
      // Taken by a try before this one, which decides whether it is on the period's invoice.
      const takenMs = isNew ? null : report.lastTriedMs
      await lanes.end(report, 'sent', { note: null, takenMs }, clock.now())
      return 'next'
    }
    case 'throttled':
    case 'denied':
      await lanes.untry(report, { note: outcome.why, isNew, isRefused: false })
      return outcome.kind === 'denied' ? denied(deps, lane, outcome.why) : backoff(deps, lane)
    case 'refused':
      return refused(deps, turn, outcome.why)
    case 'unknown':
      deps.log.warn({ report: report.identifier, error: outcome.why }, 'meter event in doubt')
      return backoff(deps, lane)
  }
}

/** Does what is to be done with one report now. Source: stripe.md §4. */
export async function takeStep(
  deps: StepDeps,
  lane: Lane,
  report: ReadyReport,
  meter: StripeMeter,
): Promise<Step> {
  const decision = decide(report, deps.clock.now())
  const turn = { lane, report, meter, isNew: report.firstTriedMs === null }
  if (decision.kind === 'end' || decision.kind === 'replace') return finish(deps, report, decision)
  if (decision.kind === 'wait') return { dueMs: decision.untilMs, isWell: true }
  if (decision.kind === 'send') return send(deps, turn)
  if (decision.kind === 'void') {
    await deps.lanes.void(report, 'the event to be canceled was refused')
    return 'next'
  }
  const found = await isRecorded(deps, turn)
  if (typeof found === 'string') return giveUp(deps, report, { state: 'unclear', why: found })
  if (found) {
    const note = 'found in the summaries'
    await deps.lanes.end(report, 'sent', { note }, deps.clock.now())
    return 'next'
  }
  const { otherwise } = decision
  return otherwise === 'send'
    ? send(deps, { ...turn, isNew: true })
    : finish(deps, report, otherwise)
}
