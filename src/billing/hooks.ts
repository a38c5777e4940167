import type { Micros } from '../kernel/money.ts'

/** What became of a delivery. Anything but the first three is not a 2xx. */
export type DeliveryResult =
  'stored' | 'duplicate' | 'ignored' | 'bad_signature' | 'malformed' | 'not_stored'

/** How an attempt to recharge ended. */
export interface RechargeEnd {
  /** "succeeded", or why not: a kind of failure. */
  readonly outcome: string
  /** Credits that it brought; zero where it failed. */
  readonly micros: Micros
}

/** What operations watch of billing. */
export interface BillingHooks {
  delivery(result: DeliveryResult): void
  /**
   * An event that was worked on: `durationMs` from its arrival to its effect; null = it was fetched
   * or set to work again by hand.
   */
  processed(result: 'done' | 'failed' | 'dead', durationMs: number | null): void
  /** Credits are usable: `durationMs` from Stripe's payment to the posting of the grant. */
  usable(durationMs: number): void
  /** Something was paid that could not be granted. */
  notGranted(): void
  recharged(end: RechargeEnd): void
}
