import type { Accounts } from '../access/accounts.ts'
import { writeAudit, type AuditEntry } from '../access/audit.ts'
import type { Claims } from '../access/claims/claims.ts'
import type { Keys } from '../access/keys.ts'
import type { Entitle } from '../access/plans/entitle.ts'
import type { Exceptions } from '../access/plans/exceptions.ts'
import type { Inbox } from '../billing/inbox.ts'
import type { Recharges } from '../billing/recharge/recharges.ts'
import type { Sync } from '../billing/sync.ts'
import type { CreditEngine } from '../credits/commands.ts'
import type { Clock } from '../kernel/clock.ts'
import { refuse, type Refusal } from '../kernel/errors.ts'
import type { Ids } from '../kernel/ids.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { formatCredits } from '../kernel/money.ts'
import type { Books, PastCount } from '../ledger/books.ts'
import type { Margins } from '../ledger/margins/margins.ts'
import type { Outbox } from '../notify/outbox.ts'
import type { Reporting } from '../reporting/reporting.ts'
import type { MeterViews } from '../reporting/status.ts'
import type { Db } from '../store/db.ts'
import type { Reload } from '../access/reload.ts'
import type { Costs } from '../reconcile/costs/costs.ts'
import type { Reconcile } from '../reconcile/run.ts'
import type { Operations } from './operations.ts'
import type { PriceAdmin } from './prices.ts'

/** Whoever holds the admin token. */
export interface Operator {
  readonly actor: string
}

export interface AdminDeps {
  readonly db: Db
  readonly accounts: Accounts
  readonly keys: Keys
  readonly entitle: Pick<Entitle, 'read'>
  readonly exceptions: Exceptions
  readonly claims: Claims
  readonly books: Books
  readonly margins: Margins
  readonly engine: CreditEngine
  readonly prices: PriceAdmin
  readonly operations: Operations
  readonly reconcile: Reconcile
  /** Exports of providers' costs against receipts. */
  readonly costs: Costs
  /** null = no Stripe key is set. */
  readonly stripe: {
    readonly inbox: Inbox
    readonly sync: Sync
    readonly recharges: Recharges
    /** Where customers come back to who named nothing else; null = nowhere. */
    returnUrl(): string | null
  } | null
  readonly outbox: Outbox
  /** Usage on its way to Stripe; `reporting` null = no Stripe key is set. */
  readonly usage: { readonly views: MeterViews; readonly reporting: Reporting | null }
  /** Loads an account (and a key) into the credit engine after it changed. */
  readonly reload: Reload
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
}

/** A change is made before it is told; where telling fails the sweep tells it within seconds. */
export async function reloadQuietly(
  deps: Pick<AdminDeps, 'reload' | 'log'>,
  accountId: string,
  keyId?: string,
): Promise<void> {
  try {
    await (keyId === undefined ? deps.reload(accountId) : deps.reload(accountId, keyId))
  } catch (error) {
    const fields = { account_id: accountId, error: describeError(error) }
    deps.log.warn(fields, 'changed in Postgres, not yet loaded into the credit engine')
  }
}

/** Before money moves: what is asked for is kept even where the answer gets lost. */
export async function audit(
  deps: Pick<AdminDeps, 'db' | 'ids' | 'clock'>,
  entry: AuditEntry,
): Promise<void> {
  await writeAudit(deps.db, deps.ids, entry, deps.clock.now())
}

export const noAccount = (id: string): Refusal => refuse('not_found', `There is no account ${id}.`)
/** More than can be counted on an account: its lots, its debt and its balance are Micros. */
export const tooMuch = (
  { roomMicros }: PastCount,
  code: 'invalid_request' | 'conflict' = 'invalid_request',
): Refusal => {
  const room = formatCredits(roomMicros)
  return refuse(code, `More credits than can be counted: ${room} would fit. Nothing was done.`)
}
export const noKey = (id: string): Refusal =>
  refuse('not_found', `There is no key ${id}, or it is revoked.`)
