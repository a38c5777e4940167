import {
  METER_AGE_MS_MAX,
  METER_IDENTIFIER_MS,
  METER_SUMMARY_LAG_MS,
} from '../kernel/limits/meters.ts'
import type { ReadyReport } from './rows.ts'

/** What is to be done with a report now. */
export type Decision =
  | { readonly kind: 'send' }
  /** Ask the summaries whether Stripe has it; then `otherwise`. */
  | { readonly kind: 'compare'; readonly otherwise: 'send' | Ending }
  | { readonly kind: 'wait'; readonly untilMs: number }
  /** A cancel of what Stripe never counted: it is not needed, nor is the event. */
  | { readonly kind: 'void' }
  | Ending

/** It will not be sent. */
export type Ending =
  | { readonly kind: 'end'; readonly end: End }
  /** Another report takes its place, at a time that is still open. */
  | { readonly kind: 'replace'; readonly why: string }

export interface End {
  readonly state: 'late' | 'refused'
  readonly why: string
}

const ended = (state: End['state'], why: string): Ending => ({ kind: 'end', end: { state, why } })

/** Puts right what was told before; nobody used anything by it. */
const isCorrection = ({ kind, value, isOfMovedCancel }: ReadyReport): boolean =>
  kind === 'cancel' || value < 0 || isOfMovedCancel

/**
 * What a final invoice leaves of a report. A correction goes to the next one, as it does when it
 * is sealed later; for usage that came too late a person decides.
 */
function afterFinal(report: ReadyReport, invoice: string): Ending {
  const why = `${invoice} is final`
  return isCorrection(report) && report.isMetered ? { kind: 'replace', why } : ended('late', why)
}

/** Why it must not be sent any more; null = it may. */
function endingOf(report: ReadyReport, nowMs: number): Ending | null {
  const { gone, final, isMoved, atMs, kind, canceled } = report
  if (gone !== null) return ended('refused', gone)
  if (final !== null && !isMoved) return afterFinal(report, final)
  if (nowMs - atMs >= METER_AGE_MS_MAX) return ended('late', 'older than 35 days')
  if (kind !== 'cancel' || canceled?.state === 'sent') return null
  return ended('refused', 'the event to be canceled is not there')
}

/** Why a report that Stripe refused in doubt is not told again. */
function refusedOf({ refusal: why, kind }: ReadyReport): Ending | null {
  if (why === null) return null
  return kind === 'cancel' ? { kind: 'replace', why } : ended('refused', why)
}

/**
 * A report that may have been taken is told again only while Stripe would know its identifier;
 * afterwards, where it was refused then, and where it may not be told any more, the summaries are
 * asked first, once they have caught up with the last try that may have been taken.
 * Source: stripe.md §4 (dedupe).
 */
export function decide(report: ReadyReport, nowMs: number): Decision {
  const { canceled } = report
  if (canceled?.state === 'refused') return { kind: 'void' }
  if (canceled?.state === 'replaced') {
    const why = 'the event to be canceled was sent again under another name'
    return { kind: 'replace', why }
  }
  const ending = endingOf(report, nowMs)
  const { firstTriedMs, lastTriedMs } = report
  if (firstTriedMs === null) return ending ?? { kind: 'send' }
  const isYoung = nowMs - firstTriedMs < METER_IDENTIFIER_MS
  const unsure = ending ?? refusedOf(report)
  if (unsure === null && isYoung && report.kind === 'usage') return { kind: 'send' }
  const untilMs = (lastTriedMs ?? firstTriedMs) + METER_SUMMARY_LAG_MS
  if (nowMs < untilMs) return { kind: 'wait', untilMs }
  return { kind: 'compare', otherwise: unsure ?? 'send' }
}
