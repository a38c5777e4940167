import type { StripeSide } from '../billing/books-side.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import { RECONCILE_STATEMENT_MS_MAX } from '../kernel/limits/books.ts'
import type { Check } from '../reconcile/check.ts'
import { checkOfEngine, checkOfLedger } from '../reconcile/check-books.ts'
import type { AccessLook } from '../reconcile/access.ts'
import { checkOfFields } from '../reconcile/check-fields.ts'
import { checkOfMeters } from '../reconcile/check-meters.ts'
import { checksOfPayments } from '../reconcile/check-payments.ts'
import { checksOfSubscriptions } from '../reconcile/check-subscriptions.ts'
import { checkOfKeySpend } from '../reconcile/check-key-spend.ts'
import { checksOfTables } from '../reconcile/check-tables.ts'
import { checkOfUsageOut } from '../reconcile/check-usage-out.ts'
import type { CostBook } from '../reconcile/costs/config.ts'
import { makeCosts, type Costs } from '../reconcile/costs/costs.ts'
import { makeDrifts } from '../reconcile/drift.ts'
import { makeRepair } from '../reconcile/repair.ts'
import { makeReconcile, type Reconcile } from '../reconcile/run.ts'
import { readOnly } from '../store/read-only.ts'
import type { Reporting } from '../reporting/reporting.ts'
import type { Core } from './credits.ts'
import type { Stores } from './stores.ts'

export interface ReconcileParts {
  readonly core: Pick<Core, 'operations' | 'entitle'> & {
    readonly stores: Pick<Stores, 'db' | 'engine'>
    /** Copies that this process rules by. */
    readonly cached: { readonly of: AccessLook['cached'] }
  }
  /** null = no Stripe key is set: only our own books are compared. */
  readonly stripe: StripeSide | null
  /** null or absent = nothing is reported. */
  readonly meters?: Pick<Reporting, 'comparePairs'> | null
  readonly leaseMs: number
  readonly clock: Clock
  readonly ids: Ids
  /** What is younger is not judged; absent = ten minutes. */
  readonly quarantineMs?: number
  /** Between two calls of Stripe's; absent = as live accounts allow. */
  readonly pauseMs?: number
}

/** The books, in the order in which they are compared: our own first, they are quick. */
function checksOf(parts: ReconcileParts): readonly Check[] {
  const { core, stripe, meters, leaseMs, clock, pauseMs } = parts
  const pause = pauseMs === undefined ? {} : { pauseMs }
  const { db, engine } = core.stores
  // Postgres itself keeps a comparison from writing, and ends a statement that takes too long.
  const reads = readOnly(db, RECONCILE_STATEMENT_MS_MAX)
  const access = { read: core.entitle.read, cached: (id: string) => core.cached.of(id) }
  const own = [
    checkOfLedger(db),
    checkOfEngine({ db, engine, clock, access, sweepMs: leaseMs / 3 }),
    checkOfKeySpend(db),
    ...checksOfTables(reads),
    checkOfFields(reads),
    checkOfUsageOut(reads),
  ]
  if (stripe === null) return own
  return [
    ...own,
    ...checksOfSubscriptions({ db: reads, ...stripe }),
    ...(meters ? [checkOfMeters({ clock, meters, ...pause })] : []),
    ...checksOfPayments({ db: reads, clock, ...stripe, ...pause }),
  ]
}

/** Over what an app is made of. */
export const reconciliationOf = (app: {
  readonly core: Core
  readonly billing: { readonly books: StripeSide } | null
  readonly usage: { readonly reporting: Reporting | null }
  readonly config: { readonly holds: { readonly lease_ms: number } }
  readonly clock: Clock
  readonly ids: Ids
}): Reconcile =>
  makeReconciliation({
    ...app,
    stripe: app.billing?.books ?? null,
    meters: app.usage.reporting,
    leaseMs: app.config.holds.lease_ms,
  })

/** Exports of providers' costs against the receipts of an app. */
export function costsOf(app: {
  readonly stores: Pick<Stores, 'db'>
  readonly costs: { readonly now: CostBook }
  readonly clock: Clock
  readonly ids: Ids
}): Costs {
  const { clock, ids } = app
  const { db } = app.stores
  const drifts = makeDrifts({ db, ids, clock })
  return makeCosts({ db, clock, drifts, book: () => app.costs.now })
}

export function makeReconciliation(parts: ReconcileParts): Reconcile {
  const { core, stripe, clock, ids } = parts
  const { db } = core.stores
  const checks = checksOf(parts)
  const repair = makeRepair({
    ...{ db, ids, clock },
    rebuild: (accountId) => core.operations.rebuild(accountId),
    recover: () => core.operations.recover(),
    async entitle(accountId) {
      await db.tx((tx) => core.entitle.entitle(tx, accountId, clock.now()))
      await core.operations.rebuild(accountId)
    },
    look: stripe === null ? null : (what, id) => stripe.mend(what, id),
  })
  return makeReconcile({
    ...{ db, ids, clock, repair, checks: () => checks },
    drifts: makeDrifts({ db, ids, clock }),
    ...(parts.quarantineMs !== undefined && { quarantineMs: parts.quarantineMs }),
  })
}
