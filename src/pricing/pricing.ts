import type { Micros } from '../kernel/money.ts'
import type { BucketName, Buckets, Usage } from '../kernel/usage.ts'
import type { KeptPrice } from './kept.ts'

/** Provider cost: integer pico-dollars (10⁻¹² USD). Source: design §1. */
export type PicoUsd = bigint

/** The two books for one model at one upstream, resolved and ready for exact arithmetic. */
export interface Price {
  /**
   * Names the version on receipts, e.g. "config:3f9a…" or "seed:77c0…": the source that rules and
   * a hash of everything the charge follows from (prices, sell terms, markup). Stable.
   */
  readonly version: string
  readonly modelPattern: string
  /** The model's own limits; null = unknown. */
  readonly maxOutputTokens: number | null
  readonly contextTokens: number | null
  /** Says what tokens cost, or the whole request, be it nothing. */
  readonly coversTokens: boolean
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
  /** Units other than tokens. `requests` is 1 where it is not named, the others 0. */
  readonly unitsMax?: Readonly<
    Partial<
      Record<
        | 'requests'
        | 'images'
        | 'seconds'
        | 'characters'
        | 'units'
        | 'request_bytes'
        | 'response_bytes',
        number
      >
    >
  >
  /** Units are reported beside tokens, so none has to stand for tokens. Absent = it may. */
  readonly unitsBesideTokens?: boolean
  /**
   * Buckets that this request cannot fill: their prices do not count. A request without
   * `cache_control` cannot write a cache, one without audio cannot fill `input_audio_tokens`.
   */
  readonly absent?: readonly BucketName[]
}

export interface PriceBook {
  /** null = no price: the request is refused, never free. O(1) once resolved. */
  find(query: PriceQuery): Price | null
  /**
   * The price of the model that an answer states: its own where it has one, else `requested`, the
   * price of the model that was asked for. null = the answer states none. Where one price rules
   * both models it is `requested` too, though the books may have changed since that was found.
   */
  findAnswered(query: PriceQuery, answeredModel: string | null, requested: Price): Price
  /**
   * Prices reported usage. `price` is what `find` (or `findAnswered`) gave for the model that the
   * response states; where that model has no price, pass the requested model's. `serviceTier` is
   * what the response states. `query` is used for iterations only, which are priced at their own
   * model's price, or at `price` where it has none. Buckets without a price of their own fall back
   * to the dearer sensible one (cache write → input, audio → input, …), never to zero. A `price`
   * stays good after `replace`: a request in flight is charged as it was bounded.
   * Throws InvariantError for usage with negative numbers, or a charge past 2^53−1 micros.
   */
  charge(price: Price, query: PriceQuery, usage: Usage, serviceTier: string | null): Charge
  /**
   * The most a request within `bound` can be charged in the tier it asks for or in the standard
   * one, without iterations at other models. Saturates at 2^53−1 micros.
   */
  boundMicros(price: Price, query: PriceQuery, bound: Bound): Micros
  /**
   * Output tokens (all choices) that `budget` pays for after the bound's input: the greatest n
   * whose boundMicros is ≤ budget; 0 also where not even the input fits; 2^53−1 = any number.
   */
  outputTokensWithin(price: Price, query: PriceQuery, bound: Bound, budget: Micros): number
  /** A price to be written down: work that ends later, elsewhere, is charged by it. */
  keep(price: Price): KeptPrice
  /** The price that was kept, for `charge`: whatever the books say by now, and in any process. */
  revive(kept: KeptPrice): Price
  /** Whether the price says what any of these units costs, be it nothing. */
  covers(price: Price, usage: Buckets): boolean
}
