import { refuse, type Refusal } from '../../kernel/errors.ts'
import { InvariantError } from '../../kernel/invariant.ts'
import type { Micros } from '../../kernel/money.ts'
import { nonZero, type Buckets } from '../../kernel/usage.ts'
import type { PriceBook } from '../../pricing/pricing.ts'

/** What work takes: credits, or units of what its hold names a price for. */
export type Amount = { readonly micros: Micros } | { readonly units: Buckets }

/** Which price the units have. */
export interface Terms {
  readonly price: { readonly upstream: string; readonly model: string } | null
  readonly markup: string | null
  /** Unix ms: which version rules, the same for all of a hold's life. */
  readonly atMs: number
}

/** An amount in the words of a receipt. */
export interface Priced {
  readonly micros: Micros
  readonly usage: Buckets
  readonly providerCostPicoUsd: string
  readonly priceVersion: string
}

const NO_PRICE = 'units: this hold is counted in credits; name a price when it is made.'
const NO_UNITS = 'credits: this hold is counted in units of its price; send units.'
const TOO_MUCH = 'units: this comes to more than an account can hold.'

/** Prices an amount exactly, rounded up once. */
export function priceOf(
  prices: Pick<PriceBook, 'find' | 'charge'>,
  { price, markup, atMs }: Terms,
  amount: Amount,
): Priced | Refusal {
  if ('micros' in amount) {
    if (price !== null) return refuse('invalid_request', NO_UNITS)
    return { ...amount, usage: {}, providerCostPicoUsd: '0', priceVersion: 'credits' }
  }
  if (price === null) return refuse('invalid_request', NO_PRICE)
  const query = { ...price, atMs, accountMarkup: markup }
  const found = prices.find(query)
  if (found === null) {
    return refuse('model_not_found', `price: ${price.upstream}/${price.model} has no price here.`)
  }
  try {
    const charge = prices.charge(found, query, amount.units, null)
    return {
      micros: charge.micros,
      usage: nonZero(amount.units),
      providerCostPicoUsd: charge.costPicoUsd.toString(),
      priceVersion: charge.priceVersion,
    }
  } catch (error) {
    if (error instanceof InvariantError) return refuse('invalid_request', TOO_MUCH)
    throw error
  }
}
