import type Stripe from 'stripe'
import { refuse, type Refusal } from '../kernel/errors.ts'

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

export const PLAN_INTERVALS = ['day', 'week', 'month', 'year'] as const

/** Which of a plan's prices is bought: one by its id, or the first that is billed so often. */
export type PriceChoice =
  { readonly price: string } | { readonly interval: (typeof PLAN_INTERVALS)[number] }

const isBilledBy = ({ recurring }: Stripe.Price, interval: string): boolean =>
  recurring?.interval === interval && recurring.interval_count === 1

/** The prices that can be bought by themselves: metered ones come beside them, where there are. */
function basesOf(prices: readonly Stripe.Price[]): readonly Stripe.Price[] {
  const licensed = prices.filter((price) => !isMetered(price))
  return licensed.length > 0 ? licensed : prices
}

const no = (message: string): Refusal => refuse('invalid_request', message)

/** The id of the price that is meant, or why there is none. Throws what Stripe throws. */
export async function choosePrice(
  stripe: Pick<Stripe, 'prices'>,
  plan: string,
  names: readonly string[],
  choice: PriceChoice,
): Promise<string | Refusal> {
  if ('price' in choice && !names.includes(choice.price)) {
    return no(`price: ${plan} is not sold by ${choice.price}, but by ${names.join(', ')}.`)
  }
  const prices = await Promise.all(names.map((name) => stripe.prices.retrieve(name)))
  const bases = basesOf(prices)
  if ('interval' in choice) {
    const sold = bases.filter(({ active }) => active)
    const found = sold.find((price) => isBilledBy(price, choice.interval))
    const others = PLAN_INTERVALS.filter((one) => sold.some((price) => isBilledBy(price, one)))
    if (others.length === 0) return no(`interval: name the price of ${plan} instead.`)
    return found?.id ?? no(`interval: ${plan} is sold by the ${others.join(' or ')}.`)
  }
  const base = bases.find(({ id }) => id === choice.price)
  if (base === undefined) return no(`price: ${choice.price} is charged beside a base price.`)
  return base.active ? base.id : no(`price: ${choice.price} is not for sale any more.`)
}
