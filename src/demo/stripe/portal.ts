import { pick, text, type Obj } from './json.ts'
import { page } from './paging.ts'
import { route, type Route } from './route.ts'
import { shape, type World } from './world.ts'

function defaultConfiguration(world: World): Obj {
  const [known] = world.all('billing_portal.configuration')
  return (
    known ??
    world.make('billing_portal.configuration', 'bpc', {
      active: true,
      is_default: true,
      updated: world.now(),
      metadata: {},
    })
  )
}

/** Customer portal sessions. The page behind one is not simulated. */
export function portalRoutes(world: World): Route[] {
  return [
    route('POST /v1/billing_portal/sessions', ({ input }) => {
      const customer = world.get('customer', text(input, 'customer'), 'customer')
      const id = world.id('bps')
      const made = shape('billing_portal.session', {
        id,
        created: world.now(),
        configuration: text(defaultConfiguration(world), 'id'),
        customer: text(customer, 'id'),
        url: `${world.base}/portal/${id}`,
        ...pick(input, ['return_url', 'locale']),
      })
      return world.keep('billing_portal.session', made)
    }),
    route('GET /v1/billing_portal/configurations', ({ input, url }) => {
      defaultConfiguration(world)
      return page(world.all('billing_portal.configuration'), input, url)
    }),
  ]
}
