import {
  METER_AGE_MS_MAX,
  METER_IDENTIFIER_MS,
  METER_SUMMARY_LAG_MS,
} from '../kernel/limits-outside.ts'
import type { ReadyReport } from './rows.ts'

/** What is to be done with a report now. */
export type Decision =
  | { readonly kind: 'send' }
  /** Ask the summaries whether Stripe has it; then `otherwise`. */
  | { readonly kind: 'compare'; readonly otherwise: 'send' | End }
  | { readonly kind: 'wait'; readonly untilMs: number }
  /** A cancel of what Stripe never counted: it is not needed, nor is the event. */
  | { readonly kind: 'void' }
  /** A cancel of what goes by another name now: its successor is lowered. */
  | { readonly kind: 'lower' }
  | { readonly kind: 'end'; readonly end: End }

/** It will not be sent. */
export interface End {
  readonly state: 'late' | 'refused'
  readonly why: string
}

/** Why it must not be sent any more; null = it may. */
function endOf({ gone, final, atMs, kind, canceled }: ReadyReport, nowMs: number): End | null {
  if (gone !== null) return { state: 'refused', why: gone }
  if (final !== null) return { state: 'late', why: `${final} is final` }
  if (nowMs - atMs >= METER_AGE_MS_MAX) return { state: 'late', why: 'older than 35 days' }
  if (kind === 'cancel' && canceled?.state !== 'sent') {
    return { state: 'refused', why: 'the event to be canceled is not there' }
  }
  return null
}

/**
 * A report that may have been taken is told again only while Stripe would know its identifier;
 * afterwards, and where it may not be told any more, the summaries are asked first, once they have
 * caught up with the last try. Source: stripe/facts.md §4 (dedupe), issue of metered usage.
 */
export function decide(report: ReadyReport, nowMs: number): Decision {
  const { canceled } = report
  if (canceled?.state === 'refused') return { kind: 'void' }
  if (canceled?.state === 'replaced') return { kind: 'lower' }
  const end = endOf(report, nowMs)
  const { firstTriedMs, lastTriedMs } = report
  if (firstTriedMs === null) return end === null ? { kind: 'send' } : { kind: 'end', end }
  const isYoung = nowMs - firstTriedMs < METER_IDENTIFIER_MS
  if (end === null && isYoung && report.kind === 'usage') return { kind: 'send' }
  const untilMs = (lastTriedMs ?? firstTriedMs) + METER_SUMMARY_LAG_MS
  if (nowMs < untilMs) return { kind: 'wait', untilMs }
  return { kind: 'compare', otherwise: end ?? 'send' }
}
