import type { Tx } from '../store/db.ts'

/** Something about meters that a person must decide. One for each kind and subject. */
export interface MeterFinding {
  readonly kind:
    | 'meter_customer_gone'
    | 'meter_difference'
    | 'meter_error_report'
    | 'meter_invoice_void'
    | 'meter_late'
    | 'meter_missing'
    | 'meter_period_negative'
    | 'meter_refused'
    | 'meter_denied'
    | 'meter_stopped'
    | 'meter_unclear'
    | 'meter_unsent_at_final'
  readonly severity: 'urgent' | 'review'
  /** An id of ours or Stripe's. */
  readonly subject: string
  readonly evidence: Readonly<Record<string, unknown>>
  /** The overage that it is about; absent = it is not about credits, or nobody can tell. */
  readonly atStakeMicros?: number
}

/** Notes one, in a transaction or by itself; the same again is the same finding. */
export type NoteFinding = (finding: MeterFinding, tx?: Tx) => Promise<void>
