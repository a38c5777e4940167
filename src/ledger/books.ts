import type { Micros } from '../kernel/money.ts'
import type { Usage } from '../kernel/usage.ts'
import type { Turned } from './turn-each.ts'

/** What operators and customers do with the ledger, and read from it. Source: design §5. */
export interface Books {
  /**
   * Adds a lot, repaying debt first. The same (accountId, reference) again gives the same lot with
   * created = false; a future `effectiveAtMs` posts then. null = no such account.
   */
  grant(
    input: GrantInput,
    nowMs: number,
  ): Promise<{ lot: LotView; created: boolean } | PastCount | null>
  /**
   * Moves credits by hand: up = a promo-like lot, down = burns lots in order, then debt. Idempotent
   * by (accountId, reference). null = no such account.
   */
  adjust(
    input: AdjustInput,
    nowMs: number,
  ): Promise<{ micros: Micros; created: boolean } | PastCount | null>
  /**
   * Gives back exactly what a receipt took, to the lots and lines it took it from (an expired lot:
   * given back, then expired again in the same transaction). Once per receipt. null = no receipt.
   */
  reverse(
    holdId: string,
    reason: string,
    nowMs: number,
  ): Promise<{ micros: Micros; created: boolean } | PastCount | null>
  /**
   * Posts lots whose time has come and expires those whose time is over. One account that cannot be
   * turned keeps no other one's lots from it.
   */
  turn(nowMs: number, limit: number): Promise<Turned>
  balance(accountId: string): Promise<BalanceView | null>
  /** The lot that a reference stands for, whatever became of it. null = none. */
  lot(accountId: string, referenceType: string, referenceId: string): Promise<LotView | null>
  /** Newest first. `cursor` = seq of the last one seen, null = from the newest. */
  entries(accountId: string, cursor: number | null, limit: number): Promise<readonly EntryView[]>
  /** The ruling rev. `accountId` null = any account. null = none. */
  receipt(holdId: string, accountId: string | null): Promise<ReceiptView | null>
  /** Newest first, by started_at within [fromMs, toMs). `cursor` = hold id of the last one seen. */
  usage(query: UsageQuery): Promise<readonly ReceiptView[]>
}

/** Nothing happened, because the account's credits could not be counted in Micros any more. */
export interface PastCount {
  readonly ok: false
  /** What would still fit, ≥ 0. */
  readonly roomMicros: Micros
}

export type LotKind = 'promo' | 'included' | 'paid'

export interface GrantInput {
  readonly accountId: string
  readonly micros: Micros
  readonly kind: LotKind
  /** Lower burns first. */
  readonly priority: number
  /** null = now. */
  readonly effectiveAtMs: number | null
  readonly expiresAtMs: number | null
  readonly reason: string
  readonly referenceType: string
  readonly referenceId: string
}

export interface AdjustInput {
  readonly accountId: string
  /** Signed, not zero. */
  readonly micros: Micros
  readonly reason: string
  readonly referenceId: string
}

export interface LotView {
  readonly id: string
  readonly accountId: string
  readonly kind: LotKind
  readonly priority: number
  readonly state: 'pending' | 'active' | 'expired'
  readonly grantedMicros: Micros
  readonly remainingMicros: Micros
  readonly effectiveAtMs: number
  readonly expiresAtMs: number | null
  readonly reason: string
  readonly referenceId: string
  readonly createdAtMs: number
}

export interface BalanceView {
  readonly accountId: string
  readonly postedMicros: Micros
  readonly debtMicros: Micros
  readonly overageMicros: Micros
  /** Active lots with something left, in burn order. */
  readonly lots: readonly LotView[]
}

export interface EntryView {
  readonly seq: number
  readonly lotId: string | null
  readonly line: 'lot' | 'debt' | 'overage'
  readonly movementType: string
  readonly micros: Micros
  readonly reason: string | null
  readonly referenceType: string
  readonly referenceId: string
  readonly opId: string
  readonly createdAtMs: number
}

/** A posted receipt as stored. */
export interface ReceiptView {
  readonly holdId: string
  readonly rev: 1 | 2
  readonly accountId: string
  readonly keyId: string
  readonly micros: Micros
  readonly late: boolean
  readonly estimated: boolean
  readonly protocol: string
  readonly endpoint: string
  readonly upstream: string
  readonly model: string
  readonly stream: boolean
  readonly usage: Usage
  readonly providerCostPicoUsd: string
  readonly priceVersion: string
  readonly httpStatus: number | null
  readonly startedAtMs: number
  readonly firstByteMs: number | null
  readonly durationMs: number | null
  readonly postedAtMs: number
  /** What reversals gave back of it. */
  readonly reversedMicros: Micros
  /** Movements of this hold over all revs and reversals, by lot or line. Negative = taken. */
  readonly entries: readonly { lotId: string | null; line: string; micros: Micros }[]
}

export interface UsageQuery {
  readonly accountId: string
  readonly fromMs: number | null
  readonly toMs: number | null
  readonly cursor: string | null
  readonly limit: number
}
