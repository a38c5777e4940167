import { refuse, type Refusal } from '../../kernel/errors.ts'
import { InvariantError } from '../../kernel/invariant.ts'
import type { Micros } from '../../kernel/money.ts'
import { nonZero, type Buckets } from '../../kernel/usage.ts'
import type { KeptPrice } from '../../pricing/kept.ts'
import type { Price, PriceBook, PriceQuery } from '../../pricing/pricing.ts'

/** What work takes: credits, or units of what its hold names a price for. */
export type Amount = { readonly micros: Micros } | { readonly units: Buckets }

/** Which price the units have. */
export interface Terms {
  readonly price: { readonly upstream: string; readonly model: string } | null
  /** What it was when the hold was made: rules all of its life. null = the books say it. */
  readonly keptPrice: KeptPrice | null
  readonly markup: string | null
  /** Unix ms: which version of the books rules. */
  readonly atMs: number
}

export type WorkPrices = Pick<PriceBook, 'find' | 'charge' | 'keep' | 'revive' | 'covers'>

/** An amount in the words of a receipt. */
export interface Priced {
  readonly micros: Micros
  readonly usage: Buckets
  readonly providerCostPicoUsd: string
  readonly priceVersion: string
  /** To be kept with the hold; null = counted in credits. */
  readonly keptPrice: KeptPrice | null
}

const NO_PRICE = 'units: this hold is counted in credits; name a price when it is made.'
const NO_UNITS = 'credits: this hold is counted in units of its price; send units.'
const NOT_COVERED = 'units: the price says of none of them what it costs.'
const TOO_MUCH = 'units: this comes to more than an account can hold.'

const priceBy = (prices: WorkPrices, kept: KeptPrice | null, query: PriceQuery): Price | null =>
  kept === null ? prices.find(query) : prices.revive(kept)

/** Prices an amount exactly, rounded up once. */
export function priceOf(prices: WorkPrices, terms: Terms, amount: Amount): Priced | Refusal {
  const { price, keptPrice, markup, atMs } = terms
  if ('micros' in amount) {
    if (price !== null) return refuse('invalid_request', NO_UNITS)
    const none = { usage: {}, providerCostPicoUsd: '0', priceVersion: 'credits', keptPrice: null }
    return { ...amount, ...none }
  }
  if (price === null) return refuse('invalid_request', NO_PRICE)
  const query = { ...price, atMs, accountMarkup: markup }
  const found = priceBy(prices, keptPrice, query)
  if (found === null) {
    return refuse('model_not_found', `price: ${price.upstream}/${price.model} has no price here.`)
  }
  if (!prices.covers(found, amount.units)) return refuse('invalid_request', NOT_COVERED)
  try {
    const charge = prices.charge(found, query, amount.units, null)
    return {
      micros: charge.micros,
      usage: nonZero(amount.units),
      providerCostPicoUsd: charge.costPicoUsd.toString(),
      priceVersion: charge.priceVersion,
      keptPrice: keptPrice ?? prices.keep(found),
    }
  } catch (error) {
    if (error instanceof InvariantError) return refuse('invalid_request', TOO_MUCH)
    throw error
  }
}
