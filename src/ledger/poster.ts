import type { PostItem, PostOutcome } from './receipt.ts'

/** The group commit: one queue, one transaction at a time. Source: design §2.8. */
export interface Poster {
  /**
   * Queues a receipt. Always accepted: what is settled is never dropped.
   * `outcome` resolves when it is in Postgres (or parked), after any number of repeats; it never
   * rejects. `wait` resolves with it, or as 'deferred' after post_wait_ms, or at once while the
   * breaker is open (opened by a wait that ran out, closed by the next posted batch).
   */
  submit(item: PostItem): {
    readonly outcome: Promise<PostOutcome>
    wait(): Promise<'posted' | 'deferred'>
  }
  /** Past a limit of count, bytes or age: new requests are refused with 503. */
  readonly full: boolean
  readonly backlog: { readonly count: number; readonly bytes: number; readonly oldestMs: number }
  readonly breakerOpen: boolean
  /** Posts what is queued, for at most `deadlineMs`; answers what is left. */
  drain(deadlineMs: number): Promise<number>
}
