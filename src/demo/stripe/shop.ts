import { makePrice, makeProduct } from './catalogue.ts'
import { makeEndpoint } from './endpoints.ts'
import { invalid } from './faults.ts'
import { adoptCustomer } from './customers.ts'
import { text, textOr, texts, type Obj } from './json.ts'
import type { World } from './world.ts'

/** What a demo sells. The prices' ids are fixed, so that a configuration can name them. */
const PRICES = [
  { id: 'price_demo_starter', name: 'Demo credits', unit_amount: '1000' },
  {
    id: 'price_demo_pro',
    name: 'Demo plan',
    unit_amount: '2000',
    recurring: { interval: 'month' },
  },
] as const

/** Nobody listens there: where the demo's events go is said once it is known. */
const NOWHERE = 'http://127.0.0.1:9/'
const ENDPOINT = 'we_demo'

/** Puts the demo's prices up and makes its webhook endpoint; answers the endpoint's secret. */
export function openDemoShop(world: World): string {
  for (const { id, name, ...price } of PRICES) {
    const product = text(makeProduct(world, { name }), 'id')
    makePrice(world, { ...price, id, currency: 'usd', lookup_key: id, product })
  }
  return makeEndpoint(world, { id: ENDPOINT, url: NOWHERE, enabled_events: ['*'] }).secret
}

/**
 * Says where the demo shop's events go, and makes anew the customers that an earlier demo made: a
 * simulator forgets everything when it stops.
 */
export function connectDemoShop(world: World, input: Obj): Obj {
  const endpoint = world.get('webhook_endpoint', ENDPOINT)
  const url = textOr(input, 'url')
  if (url === null) throw invalid('Missing required param: url.', 'url')
  endpoint.url = url
  for (const customer of texts(input, 'customers')) {
    if (world.find(customer) === null) adoptCustomer(world, customer)
  }
  return endpoint
}
