import { makePrice } from '../catalogue.ts'
import { invalid } from '../faults.ts'
import { child, has, int, intOr, mergeMetadata, pick, text, textOr, type Obj } from '../json.ts'
import { listOf } from '../paging.ts'
import { shape, type World } from '../world.ts'
import { isMetered } from './biller.ts'
import type { Period } from './lines.ts'

const PLAN = ['id', 'active', 'billing_scheme', 'created', 'currency', 'nickname', 'product']

/** The old name of a recurring price, which items still carry. */
function planOf(price: Obj): Obj {
  const recurring = child(price, 'recurring')
  return shape('plan', {
    ...pick(price, PLAN),
    amount: price.unit_amount ?? null,
    amount_decimal: price.unit_amount_decimal ?? null,
    metadata: structuredClone(child(price, 'metadata')),
    ...pick(recurring, ['interval', 'interval_count', 'meter', 'usage_type']),
  })
}

/** The price that a call names or describes. Throws 400 and 404. */
export function priceIn(world: World, input: Obj, param: string): Obj {
  const id = textOr(input, 'price') ?? textOr(child(input, 'pricing'), 'price')
  if (id !== null) {
    const found = world.get('price', id, param)
    const isInline = world.note(id).inline === true
    if (found.active !== true && !isInline) throw invalid('The price specified is inactive.', param)
    return found
  }
  if (!has(input, 'price_data')) throw invalid('Missing required param: price.', param)
  return makePrice(world, child(input, 'price_data'), false)
}

export function setItemPrice(item: Obj, price: Obj): void {
  item.price = structuredClone(price)
  item.plan = planOf(price)
}

export function makeItem(world: World, subscription: string, input: Obj, period: Period): Obj {
  const price = priceIn(world, input, 'items[0][price]')
  if (price.recurring === null) {
    throw invalid('The price specified is set to `type=one_time`.', 'items[0][price]')
  }
  const item = shape('subscription_item', {
    id: world.id('si'),
    created: world.now(),
    current_period_start: period.start,
    current_period_end: period.end,
    metadata: mergeMetadata({}, input),
    ...(isMetered(price) ? {} : { quantity: intOr(input, 'quantity') ?? 1 }),
    subscription,
    tax_rates: [],
  })
  setItemPrice(item, price)
  return world.keep('subscription_item', item)
}

export const itemList = (subscription: string, items: Obj[]): Obj =>
  listOf(items, false, `/v1/subscription_items?subscription=${subscription}`)

/** All items of one subscription are billed in one rhythm here, and in one currency. */
export function checkRhythm(items: readonly Obj[]): void {
  const [first, ...rest] = items
  if (first === undefined) throw invalid('A subscription must have at least one item.', 'items')
  const rhythmOf = (item: Obj): string => {
    const recurring = child(child(item, 'price'), 'recurring')
    const count = int(recurring, 'interval_count')
    return [text(recurring, 'interval'), count, text(child(item, 'price'), 'currency')].join(' ')
  }
  const others = rest.some((item) => rhythmOf(item) !== rhythmOf(first))
  if (others) throw invalid('Items of several intervals or currencies are not simulated.', 'items')
}
