import { emit } from './events.ts'
import { invalid } from './faults.ts'
import { child, has, mergeMetadata, ref, rows, text, textOr, type Obj } from './json.ts'
import { listOf, matching, page } from './paging.ts'
import { route, type Call, type Route } from './route.ts'
import { change, shape, type World } from './world.ts'

const FEATURE = 'entitlements.feature'
const ACTIVE = 'entitlements.active_entitlement'
/** So many a summary holds. */
const SUMMARY_MAX = 10

/** A subscription that gives its products' features. */
const GIVES = /^(active|trialing|past_due)$/

const featuresOf = (world: World, product: string): Obj[] =>
  world.all('product_feature').filter((one) => world.note(text(one, 'id')).product === product)

const entitlementsOf = (world: World, customer: string): Obj[] =>
  world.all(ACTIVE).filter((one) => world.note(text(one, 'id')).customer === customer)

/** Features of all that a customer is subscribed to, each once. */
function wanted(world: World, customer: string): Map<string, Obj> {
  const products = world
    .all('subscription')
    .filter((one) => ref(one, 'customer') === customer && GIVES.test(text(one, 'status')))
    .flatMap((one) => rows(one, 'items'))
    .map((item) => ref(child(item, 'price'), 'product') ?? '')
  const features = products
    .flatMap((product) => featuresOf(world, product))
    .map((one) => child(one, 'entitlement_feature'))
  return new Map(features.map((feature) => [text(feature, 'id'), feature]))
}

/** Brings what a customer is entitled to after its subscriptions, and tells where it changed. */
function refresh(world: World, customer: string): void {
  const should = wanted(world, customer)
  const before = entitlementsOf(world, customer)
  const lost = before.filter((one) => !should.has(ref(one, 'feature') ?? ''))
  const had = new Set(before.map((one) => ref(one, 'feature')))
  const gained = [...should].filter(([id]) => !had.has(id))
  if (lost.length === 0 && gained.length === 0) return
  for (const one of lost) world.drop(ACTIVE, text(one, 'id'))
  for (const [feature, { lookup_key: key = '' }] of gained) {
    const id = world.id('ent')
    world.keep(ACTIVE, shape(ACTIVE, { id, feature, lookup_key: key }))
    world.note(id).customer = customer
  }
  const now = entitlementsOf(world, customer)
  const url = `/v1/customer/${customer}/entitlements`
  const entitlements = listOf(now.slice(0, SUMMARY_MAX), now.length > SUMMARY_MAX, url)
  const summary = shape('entitlements.active_entitlement_summary', { customer, entitlements })
  emit(world, 'entitlements.active_entitlement_summary.updated', summary)
}

/** Follows what customers are subscribed to. */
export function watchSubscriptions(world: World): void {
  world.watchers.push((type, source) => {
    if (type.startsWith('customer.subscription.')) refresh(world, ref(source, 'customer') ?? '')
  })
}

function makeFeature(world: World, input: Obj): Obj {
  const key = text(input, 'lookup_key')
  if (world.all(FEATURE).some((one) => one.lookup_key === key)) {
    throw invalid(`A feature with the lookup key ${key} exists.`, 'lookup_key')
  }
  const id = world.id('feat')
  const values = { active: true, lookup_key: key, name: text(input, 'name') }
  const metadata = mergeMetadata({}, input)
  return world.keep(FEATURE, shape(FEATURE, { id, ...values, metadata }))
}

function updateFeature(world: World, { path, input }: Call): Obj {
  const found = world.get(FEATURE, path.id ?? '')
  change(found, {
    ...(has(input, 'name') ? { name: text(input, 'name') } : {}),
    ...(has(input, 'active') ? { active: text(input, 'active') === 'true' } : {}),
    metadata: mergeMetadata(child(found, 'metadata'), input),
  })
  return found
}

function attach(world: World, product: Obj, input: Obj): Obj {
  const feature = world.get(FEATURE, text(input, 'entitlement_feature'), 'entitlement_feature')
  const id = world.id('prodft')
  const made = shape('product_feature', { id, entitlement_feature: structuredClone(feature) })
  world.note(id).product = text(product, 'id')
  return world.keep('product_feature', made)
}

function productRoutes(world: World): Route[] {
  return [
    route('POST /v1/products/{id}/features', ({ path, input }) =>
      attach(world, world.get('product', path.id ?? ''), input),
    ),
    route('GET /v1/products/{id}/features', ({ path, input, url }) =>
      page(featuresOf(world, text(world.get('product', path.id ?? ''), 'id')), input, url),
    ),
    route('GET /v1/products/{productId}/features/{id}', ({ path }) =>
      world.get('product_feature', path.id ?? ''),
    ),
    route('DELETE /v1/products/{productId}/features/{id}', ({ path }) => {
      const id = text(world.get('product_feature', path.id ?? ''), 'id')
      world.drop('product_feature', id)
      return shape('deleted_product_feature', { id })
    }),
  ]
}

/**
 * Features, what products give them, and what customers are entitled to by their subscriptions. As
 * at Stripe, a product's change reaches who has it when the subscription changes next.
 */
export function entitlementRoutes(world: World): Route[] {
  return [
    route('POST /v1/entitlements/features', ({ input }) => makeFeature(world, input)),
    route('GET /v1/entitlements/features', ({ input, url }) => {
      const archived = textOr(input, 'archived') === 'true'
      const found = world.all(FEATURE).filter((one) => (one.active !== true) === archived)
      return page(found.filter(matching(input, ['lookup_key'])), input, url)
    }),
    route('GET /v1/entitlements/features/{id}', ({ path }) => world.get(FEATURE, path.id ?? '')),
    route('POST /v1/entitlements/features/{id}', (call) => updateFeature(world, call)),
    route('GET /v1/entitlements/active_entitlements', ({ input, url }) => {
      const customer = world.get('customer', text(input, 'customer'), 'customer')
      return page(entitlementsOf(world, text(customer, 'id')), input, url)
    }),
    route('GET /v1/entitlements/active_entitlements/{id}', ({ path }) =>
      world.get(ACTIVE, path.id ?? ''),
    ),
    ...productRoutes(world),
  ]
}
