import type { AccountSnapshot, KeySnapshot } from '../ledger/ledger.ts'
import type { Micros } from '../kernel/money.ts'

/**
 * The commands of the credit engine: each is one atomic step on one account's shard, and doing it
 * twice is doing it once. Redis runs them as Lua scripts, the embedded engine as functions; both
 * must give the same answers. Source: design §3–§4.
 */

/** Names a hold: every command carries all three, because they name the keys it touches. */
export interface HoldRef {
  readonly accountId: string
  readonly keyId: string
  readonly holdId: string
}

export interface Reserve extends HoldRef {
  /** What the request wants to hold. */
  readonly wantMicros: Micros
  /**
   * The least that helps. Granted = min(want, max(least, ⌊spendable / fitShares⌋)), where
   * spendable = min(available + credit limit, what the key's budget leaves). least = want: no
   * fitting. Refused when granted > spendable.
   */
  readonly leastMicros: Micros
  readonly fitShares: number
  /** For tokens per minute; more than the limit counts as the limit. */
  readonly tokens: number
  /** change_seq of the key as its caller was authenticated: an older copy is stale. 0 = any. */
  readonly keySeq: number
  readonly leaseMs: number
  /** Engine time (Unix ms) past which the command must do nothing. */
  readonly notAfterMs: number
  readonly owner: string
}

export type ReserveReply =
  | {
      readonly kind: 'ok'
      /** What is held now: between least and want. A repeated command gets the same answer. */
      readonly micros: Micros
      /** UTC day number, fixed for this hold. */
      readonly day: number
      /** Engine time at which the hold was made, Unix ms; the same for a repeated command. */
      readonly reservedAtMs: number
      /** Engine time now, Unix ms: corrects the caller's offset. */
      readonly nowMs: number
      readonly availableMicros: Micros
    }
  | { readonly kind: 'insufficient'; readonly availableMicros: Micros }
  /** Enough credits, or enough of the key's budget, but held by requests in flight. */
  | { readonly kind: 'held'; readonly availableMicros: Micros; readonly heldMicros: Micros }
  /** The key's budget; `heldMicros` of it are set aside for requests in flight. */
  | { readonly kind: 'budget'; readonly leftMicros: Micros; readonly heldMicros: Micros }
  | {
      readonly kind: 'rate'
      /** Whose limit: the key's own, or that of all keys of its account. */
      readonly of: 'key' | 'account'
      readonly limit: 'requests' | 'tokens' | 'concurrency'
      readonly retryAfterMs: number
    }
  | { readonly kind: 'account_blocked'; readonly status: 'frozen' | 'suspended' }
  /** Revoked or expired. */
  | { readonly kind: 'key_invalid' }
  /** Arrived after `notAfterMs`; nothing was done. `nowMs` corrects the caller's offset. */
  | { readonly kind: 'too_late'; readonly nowMs: number }
  | Stale

/** State is missing or of an older incarnation: load what is named, then repeat. */
export interface Stale {
  readonly kind: 'stale'
  readonly what: 'account' | 'key'
}

export interface Renew extends HoldRef {
  readonly micros: Micros
  /** Cost metered so far; the engine never lets it fall. */
  readonly progressMicros: Micros
  /** Day, time and tokens of its reserve: only used where the hold has to be put back. */
  readonly day: number
  readonly reservedAtMs: number
  readonly tokens: number
  readonly leaseMs: number
  readonly owner: string
  /** Receipt JSON that recovery posts. */
  readonly draft: string
}
/**
 * gone: it was settled, by its owner or by recovery. A missing hold is put back, and the reply
 * says so: what recovery may have posted for it meanwhile is then counted twice until a load.
 */
export type RenewReply =
  { readonly kind: 'ok'; readonly putBack: boolean } | { readonly kind: 'gone' } | Stale

export interface Settle extends HoldRef {
  readonly micros: Micros
  readonly rev: 1 | 2
  /** Tokens really used, to correct tokens per minute. */
  readonly tokens: number
  readonly receipt: string
}
/** gone: no such hold. late: settled before with another rev. Either way: post all the same. */
export type SettleReply =
  | { readonly kind: 'ok'; readonly availableMicros: Micros }
  | { readonly kind: 'gone' | 'late' }
  | Stale

export interface Release extends HoldRef {
  /** Its request begins anew on another hold, which counts in requests per minute in its place. */
  readonly isUncounted?: boolean
}
export type ReleaseReply = { readonly kind: 'ok' } | Stale

export interface Recover extends HoldRef {
  /** The deadline (engine time, Unix ms) seen in both sweeps; another one now → alive. */
  readonly deadlineMs: number
}
export type RecoverReply =
  | { readonly kind: 'gone' | 'alive' | 'released' }
  | {
      readonly kind: 'post'
      readonly micros: Micros
      readonly rev: 1 | 2
      /** The receipt kept beside it; for rev 1 the last draft. */
      readonly receipt: string
      readonly day: number
      readonly reservedAtMs: number
    }
  | Stale

export interface ClearItem {
  readonly holdId: string
  readonly keyId: string
  readonly rev: 1 | 2
  /** `accounts.version` of its posting. */
  readonly version: number
}
export interface Clear {
  readonly accountId: string
  readonly items: readonly ClearItem[]
}
/** One answer an item. load: load account and key, then it is done (nothing to repeat). */
export type ClearReply =
  { readonly kind: 'done'; readonly items: readonly ('ok' | 'load')[] } | Stale

/**
 * A load in progress. Opaque to the caller. A load is refused where its token no longer stands or
 * the snapshot is older than a posting already cleared: begin again. Repeated with its own token
 * it answers ok, also where a load under the same token brought the same or newer facts.
 */
export interface LoadToken {
  readonly token: string
  /** Somebody had loaded it, if under another incarnation. */
  readonly wasLoaded: boolean
  /** The clock of the node that has it, Unix ms: nodes of a cluster may differ. */
  readonly nowMs: number
}
export interface LoadReply {
  readonly kind: 'ok' | 'refused'
}

export interface LapsedHold extends HoldRef {
  readonly deadlineMs: number
}

/** What the engine believes of one account, for balances, verify and the simulator. */
export interface AccountView {
  readonly accountId: string
  readonly availableMicros: Micros
  readonly creditLimitMicros: Micros
  readonly status: 'active' | 'frozen' | 'suspended'
  readonly changeSeq: number
  readonly loadVersion: number
  /** Of all keys together. */
  readonly requestsPerMinute: number | null
  readonly tokensPerMinute: number | null
  readonly maxConcurrency: number | null
  /** Kept only where concurrency is limited, else 0. */
  readonly openHolds: number
  readonly holds: readonly HoldView[]
}
export interface HoldView extends HoldRef {
  readonly state: 'held' | 'settled'
  readonly micros: Micros
  readonly progressMicros: Micros
  readonly rev: 0 | 1 | 2
  readonly day: number
  readonly deadlineMs: number
}
export interface KeyView {
  readonly keyId: string
  readonly status: 'active' | 'revoked'
  readonly budgetMicros: Micros | null
  /** Posted in the period plus what live holds count in it. Kept only where there is a budget. */
  readonly spendMicros: Micros
  readonly periodStartDay: number
  readonly requestsPerMinute: number | null
  readonly tokensPerMinute: number | null
  readonly maxConcurrency: number | null
  /** Kept only where concurrency is limited, else 0. */
  readonly openHolds: number
  readonly changeSeq: number
  readonly loadVersion: number
  /** Live holds of the key, of the same moment. Read only where there is a budget. */
  readonly holds: readonly HoldView[]
}

/**
 * The credit engine. Every method throws UnknownOutcomeError when no answer came; the command may
 * then still be carried out later. Incarnations and NOSCRIPT are handled inside; a `load` that
 * meets a new incarnation answers refused.
 */
export interface CreditEngine {
  readonly kind: 'redis' | 'embedded'
  reserve(command: Reserve): Promise<ReserveReply>
  renew(command: Renew): Promise<RenewReply>
  settle(command: Settle): Promise<SettleReply>
  release(command: Release): Promise<ReleaseReply>
  recover(command: Recover): Promise<RecoverReply>
  clear(command: Clear): Promise<ClearReply>
  beginAccount(accountId: string): Promise<LoadToken>
  loadAccount(token: LoadToken, snapshot: AccountSnapshot): Promise<LoadReply>
  beginKey(accountId: string, keyId: string): Promise<LoadToken>
  /** `accountId` acts through the key: for a backend key not the snapshot's own. */
  loadKey(token: LoadToken, accountId: string, snapshot: KeySnapshot): Promise<LoadReply>
  /** Holds whose lease has passed by the engine's clock, all shards; stops at LAPSED_SEEN_MAX. */
  lapsed(): Promise<readonly LapsedHold[]>
  /** change_seq of each account as the engine has it; null = not loaded. */
  accountChangeSeqs(accountIds: readonly string[]): Promise<readonly (number | null)[]>
  keyChangeSeqs(
    keys: readonly { accountId: string; keyId: string }[],
  ): Promise<readonly (number | null)[]>
  /** null = not loaded in this incarnation. */
  viewAccount(accountId: string): Promise<AccountView | null>
  viewKey(accountId: string, keyId: string): Promise<KeyView | null>
  /** Engine time, Unix ms. */
  timeMs(): Promise<number>
  close(): Promise<void>
}

/** Numbers of credit nodes, kept in Postgres. Source: design §4 (incarnation). */
export interface Incarnations {
  /** The number in force for `node`, drawing the first one where there is none. */
  read(node: string): Promise<number>
  /** Draws a new number if the one in force is still `seen`; answers the one now in force. */
  bump(node: string, seen: number): Promise<{ number: number; drawn: boolean }>
}
