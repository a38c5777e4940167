import { z } from 'zod'
import type { Micros } from '../kernel/money.ts'
import type { Row } from '../store/db.ts'
import { choiceOf, flagOf, microsOf, numberOf, orNull, textOf } from '../store/rows.ts'

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
  readonly overageMicros: Micros
  readonly atMs: number
  readonly tries: number
  /** Since when nobody can tell whether Stripe has it; null = it has not. */
  readonly firstTriedMs: number | null
  readonly lastTriedMs: number | null
  /** What Stripe said when it refused it in doubt: it is not tried again before it is found. */
  readonly refusal: string | null
  /** Of a cancel: the event to be taken back; `billed` = a final invoice has closed it. */
  readonly canceled: { readonly identifier: string; readonly state: string } | null
  /** Why the customer takes nothing any more. */
  readonly gone: string | null
  /** The final invoice of its time. */
  readonly final: string | null
  /** Whether there will be another one with its usage. */
  readonly isMetered: boolean
  /** Its place was taken, and it only sets right what Stripe has of its time, billed or not. */
  readonly isMoved: boolean
  /** Part of a correction whose other part, a cancel, had to go to another time. */
  readonly isOfMovedCancel: boolean
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
    overageMicros: microsOf(row, 'overage_micros'),
    atMs: numberOf(row, 'at'),
    tries: numberOf(row, 'tries'),
    firstTriedMs: orNull(row, 'first_tried_at', numberOf),
    lastTriedMs: orNull(row, 'last_tried_at', numberOf),
    canceled:
      canceled === null ? null : { identifier: canceled, state: textOf(row, 'canceled_state') },
    gone: orNull(row, 'gone', textOf),
    final: orNull(row, 'final', textOf),
    refusal: orNull(row, 'refusal', textOf),
    isMetered: flagOf(row, 'is_metered'),
    isMoved: orNull(row, 'successor', textOf) !== null,
    isOfMovedCancel: flagOf(row, 'is_of_moved_cancel'),
  }
}
