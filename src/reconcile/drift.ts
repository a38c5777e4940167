import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Db } from '../store/db.ts'
import { textOf } from '../store/rows.ts'
import { loadSql } from '../store/sql.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'note-drift',
  'drift-gone',
  'drift-fixed',
  'drift-kept',
  'explained-over',
  'opened-now',
])

/** What is provably right to do about a drift. Everything else is for a person. */
export type Repair =
  | { readonly kind: 'rebuild'; readonly accountId: string }
  | { readonly kind: 'recover'; readonly accountId: string }
  | { readonly kind: 'entitle'; readonly accountId: string }
  | { readonly kind: 'look'; readonly what: 'payment' | 'invoice' | 'session' | 'subscription' }

/** Everything that reconciliation can find. Each has a seed in the tests. */
export const DRIFT_KINDS = [
  ...['ledger_balance', 'ledger_hold', 'ledger_lines'],
  ...['engine_available', 'engine_lease', 'engine_below_limit', 'engine_fields'],
  ...['key_spend_differs', 'sale_without_lot', 'lot_without_sale', 'sale_amount_differs'],
  ...['checkout_state_differs', 'customer_link_differs', 'several_subscriptions'],
  ...['subscription_blocked', 'subscription_orphaned', 'subscription_unpaid'],
  ...['subscription_not_there', 'subscription_ambiguous', 'subscription_price_unknown'],
  ...['subscription_differs', 'payment_not_granted', 'clawback_differs', 'grant_without_payment'],
  ...['meter_summary_differs', 'meter_not_there', 'usage_not_reported', 'overage_differs'],
  ...['overage_unbilled', 'fields_differ', 'access_stored', 'access_cached'],
  ...['provider_cost_differs', 'provider_cost_unrecorded', 'provider_cost_unbilled'],
  'reconcile_check_failed',
] as const
export type DriftKind = (typeof DRIFT_KINDS)[number]

/** Two books that say different things. Source: design §6. */
export interface Drift {
  readonly kind: DriftKind
  readonly severity: 'urgent' | 'review' | 'info'
  /** Which side is wronged; null = it is about neither access nor payment. */
  readonly direction: 'paid_but_blocked' | 'unpaid_but_active' | null
  /** What it is about: kind and subject make it the same finding when it is seen again. */
  readonly subject: string
  readonly atStakeMicros: number | null
  /** What both sides say. */
  readonly evidence: Readonly<Record<string, unknown>>
  readonly repair: Repair | null
}

export interface NotedDrift {
  readonly id: string
  /** Explained ones are seen, and left alone. */
  readonly isOpen: boolean
}

/** The run that sees something, in the hands of one process. */
export interface Sighting {
  /** null = it has let go of it. */
  readonly lease: string | null
  /** Clocks of processes differ: what a run sees was seen after it began. */
  readonly startedMs: number
}

/** Findings of reconciliation. */
export interface Drifts {
  /** null = the run is in other hands: nothing was noted. Absent = of no run, never null. */
  note(drift: Drift, of?: Sighting): Promise<NotedDrift | null>
  /**
   * What a whole comparison has not seen since its start; `sinceMs` where it was of a time. Nothing
   * where the run is in other hands.
   */
  gone(kinds: readonly DriftKind[], of: Sighting, sinceMs: number | null): Promise<void>
  fixed(id: string): Promise<void>
  /** Leaves open what is open of these subjects: they were not judged. */
  keep(subjects: readonly string[], startedMs: number): Promise<void>
  /** Opens again what was explained until now, unless it is of `kinds`, which runs see again. */
  expire(kinds: readonly DriftKind[]): Promise<void>
}

const keepable = (_key: string, value: unknown): unknown =>
  typeof value === 'string' ? value.replaceAll('\0', '\u{fffd}').toWellFormed() : value

export function makeDrifts(deps: { db: Db; ids: Ids; clock: Clock }): Drifts {
  const { db, ids, clock } = deps
  const seenAt = (startedMs: number): Date => new Date(Math.max(clock.now(), startedMs))
  return {
    async note({ kind, severity, subject, evidence, direction, atStakeMicros }, of) {
      const json = JSON.stringify(evidence, keepable)
      const [row] = await db.query(sql['note-drift'], [
        ...[ids.uuid(), kind, severity, subject, json, direction, atStakeMicros],
        ...[seenAt(of?.startedMs ?? 0), of?.lease ?? null],
      ])
      return row === undefined ? null : { id: textOf(row, 'id'), isOpen: row.state === 'open' }
    },
    async gone(kinds, { lease, startedMs }, sinceMs) {
      await db.query(sql['drift-gone'], [kinds, new Date(startedMs), sinceMs, lease])
    },
    async fixed(id) {
      await db.query(sql['drift-fixed'], [id])
    },
    async keep(subjects, startedMs) {
      if (subjects.length === 0) return
      await db.query(sql['drift-kept'], [subjects, DRIFT_KINDS, seenAt(startedMs)])
    },
    async expire(kinds) {
      const now = new Date(clock.now())
      await db.tx(async (tx) => {
        const rows = await tx.query(sql['explained-over'], [kinds, now])
        if (rows.length === 0) return
        await tx.query(sql['opened-now'], [rows.map((row) => textOf(row, 'id')), now])
      })
    },
  }
}
