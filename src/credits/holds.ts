import type { Refusal } from '../kernel/errors.ts'
import type { Micros } from '../kernel/money.ts'
import type { Receipt, StoredAnswer } from '../ledger/receipt.ts'

/** The life of a hold as the gateway sees it. Source: design §3. */
export interface Holds {
  /** One round trip where account and key are loaded. Never throws: an absent store refuses. */
  open(request: HoldRequest): Promise<OpenHold | Refusal>
  /** Why nothing of an account would be let through now; null = nothing is known. Never throws. */
  blocked(accountId: string): Promise<Refusal | null>
  /** Holds of this process that are not ended yet. */
  readonly openCount: number
}

/** The receipt's fields that are known when the request starts. */
export type ReceiptDraft = Omit<Receipt, 'rev' | 'micros' | 'day' | 'reservedAtMs'>

export interface HoldRequest {
  readonly draft: ReceiptDraft
  readonly wantMicros: Micros
  readonly leastMicros: Micros
  readonly tokens: number
  /** change_seq of the key as the caller was authenticated. */
  readonly keySeq: number
  /** How long it stands without being renewed, ms; absent = as the configuration says. */
  readonly leaseMs?: number
}

/** A hold made earlier, in this process or another. */
export interface LentHold {
  readonly draft: ReceiptDraft
  readonly micros: Micros
  readonly day: number
  readonly reservedAtMs: number
}

export interface OpenHold {
  readonly ok: true
  readonly micros: Micros
  readonly day: number
  readonly reservedAtMs: number
  /** Before anything is sent upstream: renews when half the lease has passed. false = lost. */
  ensureFresh(): boolean | Promise<boolean>
  /**
   * Names the function that tells what the request has cost so far, null while the upstream has
   * not answered. The renewing loop calls it (never the hot path): progress is first written
   * within 1 s of its first non-null answer, later a third of a lease apart.
   */
  watch(read: () => HoldProgress | null): void
  /**
   * Ends the hold with its charge. Resolves when the engine answered or was given up; never
   * throws. `posted` resolves when the charge is in Postgres, or 'deferred' after post_wait_ms or
   * while the breaker is open (the receipt then stays queued).
   */
  settle(final: SettleFinal): Promise<Settled>
  /**
   * Ends the hold without a charge. Never throws. false = not confirmed: what the hold sets aside,
   * and its progress, may stand until its lease ends. `isUncounted`: its request begins anew on
   * another hold, which counts in requests per minute in its place.
   */
  release(isUncounted?: boolean): Promise<boolean>
  /**
   * This process renews it no longer: whoever goes on with it must, before its lease ends. Resolves
   * when no renewal is under way.
   */
  handOver(): Promise<void>
}

export interface HoldProgress {
  readonly micros: Micros
  readonly draft: ReceiptDraft
}

export interface SettleFinal {
  readonly draft: ReceiptDraft
  readonly micros: Micros
  readonly tokens: number
  readonly answer: StoredAnswer | null
}

export interface Settled {
  /** Credits available after this charge; null when the engine did not answer. */
  readonly availableMicros: Micros | null
  /** With durability `settled` already resolved. */
  readonly posted: Promise<'posted' | 'deferred'>
}
