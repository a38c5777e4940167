import { z } from 'zod'
import type { Row } from '../store/db.ts'
import { choiceOf, numberOf, orNull, textOf } from '../store/rows.ts'

/** A report on its turn. */
export interface ReadyReport {
  readonly id: string
  readonly identifier: string
  readonly accountId: string
  readonly customerId: string
  readonly eventName: string
  readonly dimensions: Readonly<Record<string, string>>
  readonly kind: 'usage' | 'cancel'
  readonly value: number
  readonly atMs: number
  readonly tries: number
  /** Since when nobody can tell whether Stripe has it; null = it has not. */
  readonly firstTriedMs: number | null
  readonly lastTriedMs: number | null
  /** Of a cancel: the event to be taken back; `billed` = a final invoice has closed it. */
  readonly canceled: { readonly identifier: string; readonly state: string } | null
  /** Why the customer takes nothing any more. */
  readonly gone: string | null
  /** The final invoice of its time. */
  readonly final: string | null
}

const dimensions = z.record(z.string(), z.string())

export function readReady(row: Row): ReadyReport {
  const canceled = orNull(row, 'canceled', textOf)
  return {
    id: textOf(row, 'id'),
    identifier: textOf(row, 'identifier'),
    accountId: textOf(row, 'account_id'),
    customerId: textOf(row, 'customer_id'),
    eventName: textOf(row, 'event_name'),
    dimensions: dimensions.parse(JSON.parse(textOf(row, 'dimensions'))),
    kind: choiceOf(row, 'kind', ['usage', 'cancel']),
    value: numberOf(row, 'value'),
    atMs: numberOf(row, 'at'),
    tries: numberOf(row, 'tries'),
    firstTriedMs: orNull(row, 'first_tried_at', numberOf),
    lastTriedMs: orNull(row, 'last_tried_at', numberOf),
    canceled:
      canceled === null ? null : { identifier: canceled, state: textOf(row, 'canceled_state') },
    gone: orNull(row, 'gone', textOf),
    final: orNull(row, 'final', textOf),
  }
}
