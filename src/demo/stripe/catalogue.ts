import { emit } from './events.ts'
import { ApiFault, invalid } from './faults.ts'
import {
  child,
  flag,
  has,
  int,
  intOr,
  mergeMetadata,
  pick,
  text,
  texts,
  textOr,
  type Obj,
} from './json.ts'
import { matching, page, search } from './paging.ts'
import { route, type Call, type Route } from './route.ts'
import { change, shape, type World } from './world.ts'

export function makeProduct(world: World, input: Obj): Obj {
  const id = textOr(input, 'id') ?? world.id('prod')
  if (world.find(id) !== null) throw exists(`Product already exists: ${id}`)
  const made = shape('product', {
    id,
    created: world.now(),
    updated: world.now(),
    active: has(input, 'active') ? flag(input, 'active') : true,
    type: 'service',
    default_price: null,
    ...pick(input, [
      'description',
      'name',
      'statement_descriptor',
      'tax_code',
      'unit_label',
      'url',
    ]),
    metadata: mergeMetadata({}, input),
  })
  world.keep('product', made)
  emit(world, 'product.created', made)
  return made
}

const exists = (message: string): ApiFault =>
  new ApiFault(400, { type: 'invalid_request_error', code: 'resource_already_exists', message })

function recurringOf(input: Obj): Obj | null {
  const given = child(input, 'recurring')
  if (!has(given, 'interval')) return null
  return {
    interval: text(given, 'interval'),
    interval_count: intOr(given, 'interval_count') ?? 1,
    meter: textOr(given, 'meter'),
    trial_period_days: intOr(given, 'trial_period_days'),
    usage_type: textOr(given, 'usage_type') ?? 'licensed',
  }
}

/** A price, its lookup key taken from another where `transfer_lookup_key` says so. */
export function makePrice(world: World, input: Obj, listed = true): Obj {
  const key = textOr(input, 'lookup_key')
  const holder = world.all('price').find((one) => key !== null && one.lookup_key === key)
  if (holder !== undefined) {
    if (!flag(input, 'transfer_lookup_key')) {
      throw exists(`A price with the lookup key "${key ?? ''}" already exists.`)
    }
    holder.lookup_key = null
  }
  const data = child(input, 'product_data')
  const product = has(input, 'product')
    ? world.get('product', text(input, 'product'), 'product')
    : makeProduct(world, data)
  const recurring = recurringOf(input)
  const decimal = textOr(input, 'unit_amount_decimal') ?? textOr(input, 'unit_amount')
  const made = shape('price', {
    id: textOr(input, 'id') ?? world.id('price'),
    created: world.now(),
    active: listed && (has(input, 'active') ? flag(input, 'active') : true),
    billing_scheme: textOr(input, 'billing_scheme') ?? 'per_unit',
    currency: text(input, 'currency').toLowerCase(),
    lookup_key: key,
    metadata: mergeMetadata({}, input),
    product: text(product, 'id'),
    recurring,
    tax_behavior: textOr(input, 'tax_behavior') ?? 'unspecified',
    type: recurring === null ? 'one_time' : 'recurring',
    unit_amount: decimal?.includes('.') === true ? null : intOr(input, 'unit_amount'),
    unit_amount_decimal: decimal,
    ...pick(input, ['nickname']),
  })
  world.keep('price', made)
  world.note(text(made, 'id')).inline = !listed
  if (listed) emit(world, 'price.created', made)
  return made
}

/** What `quantity` of a price costs, in the currency's smallest unit. */
export function amountOf(price: Obj, quantity: number): number {
  const unit = Number(text(price, 'unit_amount_decimal') || int(price, 'unit_amount'))
  return Math.round(unit * quantity)
}

function updatePrice(world: World, { path, input }: Call): Obj {
  const price = world.get('price', path.id ?? '')
  const key = textOr(input, 'lookup_key')
  if (key !== null) {
    const holder = world.all('price').find((one) => one.lookup_key === key && one !== price)
    if (holder !== undefined && !flag(input, 'transfer_lookup_key')) {
      throw exists(`A price with the lookup key "${key}" already exists.`)
    }
    if (holder !== undefined) holder.lookup_key = null
  }
  const previous = change(price, {
    ...pick(input, ['lookup_key', 'nickname', 'tax_behavior']),
    ...(has(input, 'active') ? { active: flag(input, 'active') } : {}),
    metadata: mergeMetadata(child(price, 'metadata'), input),
  })
  emit(world, 'price.updated', price, previous)
  return price
}

function updateProduct(world: World, { path, input }: Call): Obj {
  const product = world.get('product', path.id ?? '')
  const previous = change(product, {
    ...pick(input, ['description', 'name', 'default_price', 'unit_label', 'url']),
    ...(has(input, 'active') ? { active: flag(input, 'active') } : {}),
    metadata: mergeMetadata(child(product, 'metadata'), input),
    updated: world.now(),
  })
  emit(world, 'product.updated', product, previous)
  return product
}

function withActive(input: Obj): (row: Obj) => boolean {
  return (row) => !has(input, 'active') || row.active === flag(input, 'active')
}

function priceList(world: World, { input, url }: Call): Obj {
  const keys = texts(input, 'lookup_keys')
  const recurring = child(input, 'recurring')
  const found = world
    .all('price')
    .filter(withActive(input))
    .filter(matching(input, ['product', 'currency', 'type']))
    .filter((one) => keys.length === 0 || keys.includes(text(one, 'lookup_key')))
    .filter((one) => matching(recurring, ['interval', 'meter'])(child(one, 'recurring')))
  return page(found, input, url)
}

function makeCoupon(world: World, { input }: Call): Obj {
  const percent = textOr(input, 'percent_off')
  if ((percent === null) === (textOr(input, 'amount_off') === null)) {
    throw invalid('Must pass either percent_off or amount_off.', 'percent_off')
  }
  const id = textOr(input, 'id') ?? world.random.letters(8)
  const made = shape('coupon', {
    id,
    created: world.now(),
    amount_off: intOr(input, 'amount_off'),
    percent_off: percent === null ? null : Number(percent),
    duration: textOr(input, 'duration') ?? 'once',
    duration_in_months: intOr(input, 'duration_in_months'),
    metadata: mergeMetadata({}, input),
    valid: true,
    ...pick(input, ['currency', 'name']),
  })
  world.keep('coupon', made)
  emit(world, 'coupon.created', made)
  return made
}

export function catalogueRoutes(world: World): Route[] {
  return [
    route('POST /v1/products', ({ input }) => makeProduct(world, input)),
    route('GET /v1/products', ({ input, url }) => {
      const ids = texts(input, 'ids')
      const found = world.all('product').filter(withActive(input))
      const chosen = found.filter((one) => ids.length === 0 || ids.includes(text(one, 'id')))
      return page(chosen, input, url)
    }),
    route('GET /v1/products/search', ({ input, url }) => search(world.all('product'), input, url)),
    route('GET /v1/products/{id}', ({ path }) => world.get('product', path.id ?? '')),
    route('POST /v1/products/{id}', (call) => updateProduct(world, call)),
    route('DELETE /v1/products/{id}', ({ path }) => {
      const product = world.get('product', path.id ?? '')
      if (world.all('price').some((one) => one.product === product.id)) {
        throw invalid('This product cannot be deleted because it has one or more prices.')
      }
      world.drop('product', text(product, 'id'))
      emit(world, 'product.deleted', product)
      return shape('deleted_product', { id: text(product, 'id') })
    }),
    route('POST /v1/prices', ({ input }) => makePrice(world, input)),
    route('GET /v1/prices', (call) => priceList(world, call)),
    route('GET /v1/prices/search', ({ input, url }) => search(world.all('price'), input, url)),
    route('GET /v1/prices/{id}', ({ path }) => world.get('price', path.id ?? '')),
    route('POST /v1/prices/{id}', (call) => updatePrice(world, call)),
    route('POST /v1/coupons', (call) => makeCoupon(world, call)),
    route('GET /v1/coupons', ({ input, url }) => page(world.all('coupon'), input, url)),
    route('GET /v1/coupons/{id}', ({ path }) => world.get('coupon', path.id ?? '')),
  ]
}
