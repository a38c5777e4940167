import { z } from 'zod'
import { METER_KEPT_MS, METER_NAMED_MAX } from '../kernel/limits/meters.ts'
import { addMicros } from '../kernel/money.ts'
import type { Row, Tx } from '../store/db.ts'
import { microsOf, numberOf, textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'
import type { MeterBook } from './config.ts'
import type { NoteFinding } from './findings.ts'
import type { Closing } from './invoices.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['period-state'])

export interface JudgeDeps {
  readonly book: () => MeterBook
  readonly note: NoteFinding
}

const texts = z.array(z.string())

/** The meters whose usage goes to an event: under its own name too, should none be called so. */
function metersOf({ meters }: MeterBook, eventName: string): string[] {
  const named = meters.filter((meter) => meter.eventName === eventName).map(({ name }) => name)
  return [...new Set([...named, eventName])]
}

function evidenceOf(row: Row, of: Closing & { readonly quantity: number }, meters: string[]) {
  const { accountId, invoice, quantity, period } = of
  return {
    ...{ account_id: accountId, invoice, event_name: period.eventName, meters },
    ...{ reports: numberOf(row, 'unsent'), value: numberOf(row, 'unsent_value') },
    ...{ receipts: numberOf(row, 'open'), unsealed_value: textOf(row, 'open_units') },
    overage_micros: addMicros(microsOf(row, 'unsent_micros'), microsOf(row, 'open_micros')),
    ...{ told: numberOf(row, 'value'), billed_quantity: quantity },
    names: texts.parse(row.names),
    // Stripe may have taken these in time: then they are in the quantity that it bills.
    in_doubt: texts.parse(row.in_doubt),
  }
}

/**
 * Tells what a final invoice should have billed and does not: what Stripe was told too late or
 * never, and what was not even sealed. The next invoice has what is sealed from now on; for the
 * rest a person decides (`farebox meters resend --now`). Source: stripe.md §3.
 */
export async function judgeInvoice(
  tx: Tx,
  { book, note }: JudgeDeps,
  of: Closing & { readonly quantity: number },
): Promise<void> {
  // Not all of its reports are there any more.
  if (of.nowMs - of.finalMs > METER_KEPT_MS) return
  const { accountId, invoice, period } = of
  const { eventName, startMs, endMs } = period
  const meters = metersOf(book(), eventName)
  const key = [accountId, eventName, new Date(startMs), new Date(endMs)]
  const params = [...key, meters, new Date(of.finalMs), METER_NAMED_MAX]
  const [row] = await tx.query(sql['period-state'], params)
  if (row === undefined) return
  const subject = `${invoice}:${eventName}`
  const evidence = evidenceOf(row, of, meters)
  if (evidence.reports + evidence.receipts > 0) {
    const atStakeMicros = Math.abs(evidence.overage_micros)
    const finding = { kind: 'meter_unsent_at_final', severity: 'urgent', subject } as const
    await note({ ...finding, evidence, atStakeMicros }, tx)
  }
  if (evidence.told >= 0) return
  const kind = 'meter_period_negative'
  await note({ kind, severity: 'review', subject, evidence }, tx)
}
