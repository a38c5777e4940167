import { PAGE_MAX } from '../kernel/limits/access.ts'
import {
  RECONCILE_UNBILLED_MS,
  RECONCILE_UNBILLED_MS_MAX,
  RECONCILE_USAGE_LATE_MS,
  RECONCILE_USAGE_MS,
} from '../kernel/limits/books.ts'
import { METER_NAMED_MAX } from '../kernel/limits/meters.ts'
import type { Row, Tx } from '../store/db.ts'
import { choiceOf, microsOf, numberOf, orNull, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { Check } from './check.ts'
import type { Drift } from './drift.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'account-page',
  'usage-unreported',
  'overage-reported',
  'overage-unbilled',
])

/** Why usage waits, for a person. */
function reasonOf(row: Row, stage: 'unsealed' | 'unsent'): string {
  const stopped = orNull(row, 'stopped', textOf)
  if (stopped !== null) return stopped
  if (row.customer_id === null) return 'the account has no Stripe customer'
  return stage === 'unsealed' ? 'it was not sealed' : 'it was not sent'
}

const severityOf = (oldestMs: number, untilMs: number): Drift['severity'] =>
  untilMs - oldestMs > RECONCILE_USAGE_LATE_MS ? 'urgent' : 'review'

/** Usage that nobody tells Stripe of. Its worth is the overage in it. */
function unreported(row: Row, untilMs: number): Drift {
  const [accountId, name] = [textOf(row, 'account_id'), textOf(row, 'name')]
  const stage = choiceOf(row, 'stage', ['unsealed', 'unsent'])
  const [oldestMs, overage] = [numberOf(row, 'oldest'), microsOf(row, 'overage_micros')]
  return {
    kind: 'usage_not_reported',
    severity: severityOf(oldestMs, untilMs),
    direction: 'unpaid_but_active',
    subject: `${accountId} ${name} ${stage}`,
    atStakeMicros: Math.abs(overage),
    evidence: {
      ...{ account_id: accountId, customer: orNull(row, 'customer_id', textOf) },
      ...{ meter: name, stage, rows: numberOf(row, 'rows'), value: textOf(row, 'value') },
      ...{ oldest: new Date(oldestMs).toISOString(), reason: reasonOf(row, stage) },
    },
    repair: null,
  }
}

const NO_INVOICE =
  'no invoice of that time is known: does the subscription have a price of this meter? Where it ' +
  'has, farebox stripe sync looks again; what none bills, farebox meters resend --now moves on, ' +
  'each of the reports'

/** Overage that was told, and that nobody was billed for when its period had ended. */
function unbilled(row: Row, untilMs: number): Drift {
  const [accountId, event] = [textOf(row, 'account_id'), textOf(row, 'event_name')]
  const [oldestMs, draft] = [numberOf(row, 'oldest'), orNull(row, 'draft', textOf)]
  const overage = microsOf(row, 'overage_micros')
  return {
    kind: 'overage_unbilled',
    // What was given back and is on no invoice hurts a customer, and cannot wait for a review.
    severity: overage < 0 ? 'urgent' : severityOf(oldestMs, untilMs),
    direction: overage < 0 ? null : 'unpaid_but_active',
    subject: `${accountId} ${event}`,
    atStakeMicros: Math.abs(overage),
    evidence: {
      ...{ account_id: accountId, customer: textOf(row, 'customer_id'), event_name: event },
      ...{ reports: numberOf(row, 'reports'), value: textOf(row, 'value'), names: row.names },
      ...{ overage_micros: overage, oldest: new Date(oldestMs).toISOString(), draft },
      reason: draft === null ? NO_INVOICE : `${draft} is not final, or was deleted`,
    },
    repair: null,
  }
}

/** The overage line of an account against what is told of it; null = they agree. */
function overageDrift(row: Row): Drift | null {
  const of = (column: string): number => microsOf(row, column)
  const [line, told, unsealed] = [of('overage_micros'), of('told_micros'), of('unsealed_micros')]
  const surplus = of('surplus_micros')
  const untold = line - told - unsealed - surplus
  if (untold === 0) return null
  const accountId = textOf(row, 'id')
  return {
    kind: 'overage_differs',
    // More told than used will be billed: that hurts a customer, and cannot wait for a review.
    severity: untold > 0 ? 'review' : 'urgent',
    direction: untold > 0 ? 'unpaid_but_active' : null,
    subject: accountId,
    atStakeMicros: Math.abs(untold),
    evidence: {
      ...{ account_id: accountId, overage_micros: line, unbilled_reports_micros: told },
      ...{ unsealed_receipts_micros: unsealed, billed_ahead_micros: surplus },
    },
    repair: null,
  }
}

/**
 * Usage on its way out, by our own books: what waits for too long, whatever the reason; what was
 * told and is on no invoice; and the overage line of each account ↔ its receipts that are not
 * sealed, its reports that no invoice has closed, and what invoices billed ahead. Each statement
 * sees one moment. Source: design §6, §7.
 */
export const checkOfUsageOut = (db: Tx, accountsMax = PAGE_MAX): Check => ({
  name: 'usage out',
  kinds: ['usage_not_reported', 'overage_differs', 'overage_unbilled'],
  isOfTime: false,
  async page(cursor, { untilMs }) {
    const accounts = await db.query(sql['account-page'], [cursor ?? '', null, accountsMax])
    const last = accounts.at(-1)
    if (last === undefined) return { drifts: [], seen: 0, next: null }
    const to = textOf(last, 'id')
    const page = [cursor ?? '', to]
    const before = new Date(untilMs - RECONCILE_USAGE_MS)
    const waiting = await db.query(sql['usage-unreported'], [...page, before])
    const lines = await db.query(sql['overage-reported'], page)
    const ended = new Date(untilMs - RECONCILE_UNBILLED_MS)
    const old = new Date(untilMs - RECONCILE_UNBILLED_MS_MAX)
    const times = [ended, old, METER_NAMED_MAX]
    const told = await db.query(sql['overage-unbilled'], [...page, ...times])
    const drifts = [
      ...waiting.map((row) => unreported(row, untilMs)),
      ...lines.flatMap((row) => overageDrift(row) ?? []),
      ...told.map((row) => unbilled(row, untilMs)),
    ]
    return { drifts, seen: accounts.length, next: accounts.length < accountsMax ? null : to }
  },
})
