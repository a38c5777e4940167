import type { Micros } from '../kernel/money.ts'
import type { PostItem, PostOutcome } from './receipt.ts'

/** What a load of an account into the credit engine needs, read in one statement. */
export interface AccountSnapshot {
  readonly accountId: string
  readonly postedMicros: Micros
  /** Credit limit plus what the plan lets through as overage. */
  readonly creditLimitMicros: Micros
  readonly status: 'active' | 'frozen' | 'suspended'
  /** Of all its keys together; null = no limit. */
  readonly requestsPerMinute: number | null
  readonly tokensPerMinute: number | null
  readonly maxConcurrency: number | null
  readonly version: number
  readonly changeSeq: number
}

export type BudgetPeriod = 'day' | 'week' | 'month' | 'total'

/** What a load of a key into the credit engine needs, read in one statement. */
export interface KeySnapshot {
  readonly keyId: string
  /** Who pays: of a client key its own account, of a backend key the one that it acts for. */
  readonly accountId: string
  readonly status: 'active' | 'revoked'
  readonly expiresAtMs: number | null
  readonly budgetMicros: Micros | null
  readonly budgetPeriod: BudgetPeriod | null
  /** First UTC day (Unix days) of the budget period that `today` falls into; 0 for total. */
  readonly periodStartDay: number
  /** Posted spend of the period: Σ key_spend over days ≥ periodStartDay. */
  readonly spendMicros: Micros
  /** The last UTC day with posted spend, later than `today` where a clock went back; 0 = none. */
  readonly lastDay: number
  readonly requestsPerMinute: number | null
  readonly tokensPerMinute: number | null
  readonly maxConcurrency: number | null
  /** `accounts.version` of that account in the same snapshot. */
  readonly version: number
  readonly changeSeq: number
}

/** The part of the ledger that the credit engine's protocol stands on. Source: design §3–§5. */
export interface PostingLedger {
  /**
   * Posts all items in one transaction (accounts locked in id order), or throws and posted
   * nothing, or throws UnknownOutcomeError: then repeat the whole batch. Outcomes are in the
   * order of the items. Two items of one hold in a batch: the higher rev rules.
   */
  post(items: readonly PostItem[], nowMs: number): Promise<readonly PostOutcome[]>
  /** Writes a finding for one receipt that can never be posted. Idempotent by hold and rev. */
  park(item: PostItem, reason: string, nowMs: number): Promise<PostOutcome>
  /** null = no such account. */
  snapshotAccount(accountId: string): Promise<AccountSnapshot | null>
  /** `today` = UTC day number. null = no such key. */
  snapshotKey(accountId: string, keyId: string, today: number): Promise<KeySnapshot | null>
  /** Accounts and keys changed after a place in their order, oldest first, at most `limit`. */
  changedSince(after: ChangePlace, limit: number): Promise<ChangedPage>
}

/** A place in the order of changes: by time, kind and id. */
export interface ChangePlace {
  /** As Postgres reads and writes it: exact to the microsecond. */
  readonly at: string
  readonly kind: string
  readonly id: string
}

/** Before everything that changed at `ms` (Unix) or later. */
export const changesFrom = (ms: number): ChangePlace => ({
  at: new Date(ms).toISOString(),
  kind: '',
  id: '',
})

export interface ChangedPage {
  readonly changed: readonly Changed[]
  /** Where the next page begins; null = this was the last. */
  readonly next: ChangePlace | null
}

/** Something whose copy in the credit engine may be stale: load it where `changeSeq` differs. */
export interface Changed {
  readonly kind: 'account' | 'key'
  /** Account id or key id. */
  readonly id: string
  readonly accountId: string
  readonly changeSeq: number
}
