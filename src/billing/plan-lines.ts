import type Stripe from 'stripe'

/** What a session asks for of each price. */
export type LineAsked = Pick<Stripe.Checkout.SessionCreateParams.LineItem, 'price' | 'quantity'>

const isMetered = ({ recurring }: Stripe.Price): boolean => recurring?.usage_type === 'metered'

/** Items of one subscription are billed in one rhythm and one currency. */
const goTogether = (a: Stripe.Price, b: Stripe.Price): boolean =>
  a.currency === b.currency &&
  a.recurring?.interval === b.recurring?.interval &&
  a.recurring?.interval_count === b.recurring?.interval_count

/**
 * The lines that sell a plan: the first of its prices that is not metered, and beside it all
 * metered ones of the same rhythm, for what is used; of metered ones alone, the first and those
 * beside it. A metered price takes no quantity. Reads each price once; throws what Stripe throws.
 */
export async function linesOfPlan(
  stripe: Pick<Stripe, 'prices'>,
  names: readonly [string, ...string[]],
): Promise<LineAsked[]> {
  const prices = await Promise.all(names.map((name) => stripe.prices.retrieve(name)))
  const base = prices.find((price) => !isMetered(price)) ?? prices[0]
  if (base === undefined) throw new Error('unreachable: there is a name')
  const beside = prices.filter(
    (price) => price !== base && price.active && isMetered(price) && goTogether(price, base),
  )
  return [base, ...beside].map((price) =>
    isMetered(price) ? { price: price.id } : { price: price.id, quantity: 1 },
  )
}
