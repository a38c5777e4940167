import type { Tx } from '../store/db.ts'

/** What billing has somebody told of. Amounts are credits as decimal text. */
export interface CreditsReceived {
  readonly kind: 'credits_received'
  /** Names what happened, unique for good. */
  readonly occasion: string
  readonly accountId: string
  readonly data: { readonly credits: string; readonly available: string }
}

/** Notes it in the transaction that it tells of; the same occasion again is told once. */
export type Tell = (told: CreditsReceived, nowMs: number, tx: Tx) => Promise<void>
