import type { Tx } from '../store/db.ts'

interface About {
  /** Names what happened, unique for good. */
  readonly occasion: string
  readonly accountId: string
}

/** Amounts are credits as decimal text. */
export interface CreditsReceived extends About {
  readonly kind: 'credits_received'
  readonly data: { readonly credits: string; readonly available: string }
}

export interface RechargeFailed extends About {
  readonly kind: 'recharge_failed'
  readonly data: { readonly reason: string }
}

/** The bank wants to see the customer: `url` is where. */
export interface AuthenticationRequired extends About {
  readonly kind: 'authentication_required'
  readonly data: { readonly url: string }
}

/** The same of an invoice of a plan. */
export interface PaymentActionRequired extends About {
  readonly kind: 'payment_action_required'
  readonly data: { readonly url: string }
}

/** The link itself is made when it is sent. */
export interface ClaimLinkDue extends About {
  readonly kind: 'claim_link'
  readonly data: { readonly claim_id: string; readonly round: number }
}

/** What billing has somebody told of. */
export type Told =
  CreditsReceived | RechargeFailed | AuthenticationRequired | PaymentActionRequired | ClaimLinkDue

/** Notes it in the transaction that it tells of; the same occasion again is told once. */
export type Tell = (told: Told, nowMs: number, tx: Tx) => Promise<void>
