import type { Micros } from '../kernel/money.ts'
import type { Usage } from '../kernel/usage.ts'

/** Provider cost: integer pico-dollars (10⁻¹² USD). Source: design §1. */
export type PicoUsd = bigint

/** The two books for one model at one upstream, resolved and ready for exact arithmetic. */
export interface Price {
  /** Names the version on receipts, e.g. "config:3f9a…" or "seed:2026-11-17". Stable. */
  readonly version: string
  readonly modelPattern: string
  /** The model's own limits; null = unknown. */
  readonly maxOutputTokens: number | null
  readonly contextTokens: number | null
}

export interface PriceQuery {
  readonly upstream: string
  readonly model: string
  /** Unix ms: which version rules. */
  readonly atMs: number
  /** The account's own markup, decimal string, null = the book's. */
  readonly accountMarkup: string | null
}

export interface Charge {
  readonly costPicoUsd: PicoUsd
  /** What the account pays: summed exactly, rounded up once. */
  readonly micros: Micros
  readonly priceVersion: string
}

export interface Bound {
  readonly inputTokensMax: number
  /** Output tokens over all choices. */
  readonly outputTokensMax: number
  readonly webSearchesMax: number
  readonly serviceTier: string | null
}

export interface PriceBook {
  /** null = no price: the request is refused, never free. */
  find(query: PriceQuery): Price | null
  /**
   * Prices reported usage. `query.model` and `serviceTier` are what the response states; buckets
   * without a price of their own fall back to the dearer sensible one (cache write → input, audio
   * → input, …), never to zero. Iterations are priced at their own model's price.
   */
  charge(price: Price, query: PriceQuery, usage: Usage, serviceTier: string | null): Charge
  /** The most a request within `bound` can be charged. */
  boundMicros(price: Price, query: PriceQuery, bound: Bound): Micros
  /** Output tokens (all choices) that `budget` pays for after the bound's input; ≥ 0. */
  outputTokensWithin(price: Price, query: PriceQuery, bound: Bound, budget: Micros): number
}
