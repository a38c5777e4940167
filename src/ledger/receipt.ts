import type { Micros } from '../kernel/money.ts'
import type { Usage } from '../kernel/usage.ts'

/**
 * The account of one request. `rev` 2 is written by the gateway that served it, `rev` 1 by
 * recovery from the last progress. Posting brings the hold's total to the `micros` of the highest
 * rev. Kept as JSON beside its hold in Redis, so every field is JSON-safe. Source: design §3.
 */
export interface Receipt {
  /** UUIDv7; also the request id the client sees. */
  readonly holdId: string
  readonly rev: 1 | 2
  readonly accountId: string
  readonly keyId: string
  /** What is charged. */
  readonly micros: Micros
  /** UTC day number (Unix days) fixed at reserve: where the key's budget counts it. */
  readonly day: number
  /** Unix ms by Redis' clock at reserve: burning is as of this moment. */
  readonly reservedAtMs: number
  readonly startedAtMs: number
  readonly protocol: string
  readonly endpoint: string
  readonly upstream: string
  readonly model: string
  readonly stream: boolean
  readonly estimated: boolean
  readonly usage: Usage
  /** Integer pico-dollars as decimal digits. */
  readonly providerCostPicoUsd: string
  readonly priceVersion: string
  readonly httpStatus: number | null
  readonly firstByteMs: number | null
  readonly durationMs: number | null
  /** What the provider keeps of it: the response's id and those of its items. Absent = nothing. */
  readonly storedIds?: readonly string[]
  /** Told after its hold had lapsed. A later rev is late without it. */
  readonly late?: true
}

/** Answer kept for duplicates of an idempotent request; null body = charged, answer not kept. */
export interface StoredAnswer {
  readonly idempotencyKey: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | null
}

/** One receipt on its way to Postgres. */
export interface PostItem {
  readonly receipt: Receipt
  /** Settle was not confirmed by the credit engine: its writer must bump `change_seq`. */
  readonly unbacked: boolean
  readonly answer: StoredAnswer | null
}

export interface PostOutcome {
  readonly holdId: string
  /**
   * new: this rev is now the hold's total. noop: an equal or higher rev was there.
   * parked: the row cannot be posted (finding written); the hold stays for a person.
   */
  readonly kind: 'new' | 'noop' | 'parked'
  /** An earlier rev was posted before: whoever counts the hold whole counts that part twice. */
  readonly isCorrection?: true
  /** `accounts.version` of the posting that rules (for noop: of the existing one). */
  readonly version: number
}
