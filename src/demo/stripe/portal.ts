import { invalid } from './faults.ts'
import { child, flag, has, isObj, mergeMetadata, pick, rows, text, texts } from './json.ts'
import type { Json, Obj } from './json.ts'
import { page } from './paging.ts'
import { route, type Call, type Route } from './route.ts'
import { change, shape, type World } from './world.ts'

export const PORTAL_SETTINGS = 'billing_portal.configuration'
const KIND = PORTAL_SETTINGS

/** What an account has that saved its settings in the Dashboard once. */
function defaultConfiguration(world: World): Obj {
  const known = world.all(KIND).find((one) => one.is_default === true)
  if (known !== undefined) return known
  const first = { active: true, is_default: true, updated: world.now(), metadata: {} }
  return world.make(KIND, 'bpc', first)
}

const typed = (value: Json): Json => (value === 'true' ? true : value === 'false' ? false : value)

/** What a call says of one feature over what it was; lists are replaced whole. */
function merged(old: Obj, input: Obj): Obj {
  const made: Obj = { ...old }
  for (const [key, value] of Object.entries(input)) {
    const before = old[key]
    made[key] = isObj(value) && isObj(before) ? merged(before, value) : typed(value)
  }
  return made
}

const QUANTITY = { enabled: false, maximum: null, minimum: 1 }

function productOf(world: World, input: Obj): Obj {
  const product = world.get('product', text(input, 'product'), 'product')
  const rhythms = new Set<string>()
  for (const id of texts(input, 'prices')) {
    const price = world.get('price', id, 'prices')
    const recurring = child(price, 'recurring')
    if (price.product !== product.id) throw invalid(`${id} is of another product.`, 'prices')
    if (recurring.usage_type === 'metered') throw invalid(`${id} is metered.`, 'prices')
    rhythms.add(`${text(recurring, 'interval')} ${text(recurring, 'interval_count')}`)
  }
  const prices = texts(input, 'prices')
  if (rhythms.size < prices.length) {
    throw invalid('Each price of a product needs an interval of its own.', 'prices')
  }
  return { adjustable_quantity: QUANTITY, product: text(product, 'id'), prices }
}

function featuresOf(world: World, old: Obj, input: Obj): Obj {
  const made = merged(old, input)
  const update = child(input, 'subscription_update')
  const now = child(made, 'subscription_update')
  if (has(update, 'products')) {
    now.products = rows(update, 'products').map((one) => productOf(world, one))
  }
  const cancel = child(made, 'subscription_cancel')
  if (cancel.mode === 'at_period_end' && cancel.proration_behavior !== 'none') {
    const message = 'At the period end there is nothing to prorate.'
    if (has(child(input, 'subscription_cancel'), 'proration_behavior')) throw invalid(message)
    cancel.proration_behavior = 'none'
  }
  if (now.enabled === true && rows(now, 'products').length === 0) {
    throw invalid('Products are needed where subscriptions can be updated.', 'features')
  }
  return made
}

/** The products are only told where they are asked for. */
function told(configuration: Obj, { input }: Call): Obj {
  const asked = texts(input, 'expand').some((path) => path.endsWith('subscription_update.products'))
  const copy = structuredClone(configuration)
  const update = child(child(copy, 'features'), 'subscription_update')
  if (asked) update.products ??= null
  else Reflect.deleteProperty(update, 'products')
  return copy
}

const VALUES = ['business_profile', 'default_return_url', 'name']

function configurationRoutes(world: World): Route[] {
  return [
    route('GET /v1/billing_portal/configurations', (call) => {
      defaultConfiguration(world)
      const { active, is_default: isDefault } = call.input
      const listed = world
        .all(KIND)
        .filter((one) => active === undefined || text(one, 'active') === active)
        .filter((one) => isDefault === undefined || text(one, 'is_default') === isDefault)
        .map((one) => told(one, call))
      return page(listed, call.input, call.url)
    }),
    route('POST /v1/billing_portal/configurations', (call) => {
      const { input } = call
      const made = shape(KIND, {})
      const values = { active: true, is_default: false, updated: world.now() }
      const features = featuresOf(world, child(made, 'features'), child(input, 'features'))
      const metadata = mergeMetadata({}, input)
      const kept = { ...values, features, metadata, ...pick(input, VALUES) }
      return told(world.make(KIND, 'bpc', kept), call)
    }),
    route('GET /v1/billing_portal/configurations/{id}', (call) =>
      told(world.get(KIND, call.path.id ?? ''), call),
    ),
    route('POST /v1/billing_portal/configurations/{id}', (call) => {
      const { input, path } = call
      const found = world.get(KIND, path.id ?? '')
      change(found, {
        ...pick(input, VALUES),
        ...(has(input, 'active') ? { active: flag(input, 'active') } : {}),
        features: featuresOf(world, child(found, 'features'), child(input, 'features')),
        metadata: mergeMetadata(child(found, 'metadata'), input),
        updated: world.now(),
      })
      return told(found, call)
    }),
  ]
}

/** Customer portal sessions and what they offer. */
export function portalRoutes(world: World): Route[] {
  return [
    route('POST /v1/billing_portal/sessions', ({ input }) => {
      const customer = world.get('customer', text(input, 'customer'), 'customer')
      const asked = has(input, 'configuration')
        ? world.get(KIND, text(input, 'configuration'), 'configuration')
        : defaultConfiguration(world)
      if (asked.active !== true) throw invalid('This configuration is inactive.', 'configuration')
      const id = world.id('bps')
      const made = shape('billing_portal.session', {
        id,
        created: world.now(),
        configuration: text(asked, 'id'),
        customer: text(customer, 'id'),
        url: `${world.base}/portal/${id}`,
        ...pick(input, ['return_url', 'locale']),
      })
      return world.keep('billing_portal.session', made)
    }),
    ...configurationRoutes(world),
  ]
}
