import { emit } from './events.ts'
import { child, intOr, mergeMetadata, pick, text, textOr, type Obj } from './json.ts'
import { matching, page, search } from './paging.ts'
import { methodFrom } from './payment-methods.ts'
import { route, type Call, type Route } from './route.ts'
import { change, shape, type World } from './world.ts'

const PLAIN = ['address', 'description', 'email', 'name', 'phone', 'shipping', 'tax_exempt']

export function makeCustomer(world: World, input: Obj): Obj {
  const made = shape('customer', {
    id: textOr(input, 'id') ?? world.id('cus'),
    created: world.now(),
    address: null,
    currency: null,
    delinquent: false,
    name: null,
    phone: null,
    preferred_locales: [],
    tax_exempt: 'none',
    test_clock: null,
    invoice_prefix: world.random.letters(8).toUpperCase(),
    next_invoice_sequence: 1,
    ...pick(input, PLAIN),
    ...pick(input, ['test_clock']),
    balance: intOr(input, 'balance') ?? 0,
    metadata: mergeMetadata({}, input),
  })
  world.keep('customer', made)
  setDefaultMethod(world, made, child(input, 'invoice_settings'))
  emit(world, 'customer.created', made)
  return made
}

/** A customer under an id that an earlier simulator gave. */
export const adoptCustomer = (world: World, id: string): Obj => makeCustomer(world, { id })

function setDefaultMethod(world: World, customer: Obj, settings: Obj): void {
  const id = text(settings, 'default_payment_method')
  if (id === '') return
  const method = methodFrom(world, id)
  customer.invoice_settings = {
    ...child(customer, 'invoice_settings'),
    default_payment_method: text(method, 'id'),
  }
}

function update(world: World, { path, input }: Call): Obj {
  const customer = world.get('customer', path.id ?? '')
  const before = structuredClone(customer)
  const previous = change(customer, {
    ...pick(input, PLAIN),
    metadata: mergeMetadata(child(customer, 'metadata'), input),
    balance: intOr(input, 'balance') ?? customer.balance ?? 0,
  })
  setDefaultMethod(world, customer, child(input, 'invoice_settings'))
  if (JSON.stringify(before.invoice_settings) !== JSON.stringify(customer.invoice_settings)) {
    previous.invoice_settings = before.invoice_settings ?? null
  }
  emit(world, 'customer.updated', customer, previous)
  return customer
}

export function customerRoutes(world: World, onDelete: (customer: Obj) => void): Route[] {
  const gone = (id: string): Obj | null =>
    world.note(id).deleted === true ? shape('deleted_customer', { id }) : null
  return [
    route('POST /v1/customers', ({ input }) => makeCustomer(world, input)),
    route('GET /v1/customers', ({ input, url }) =>
      page(world.all('customer').filter(matching(input, ['email', 'test_clock'])), input, url),
    ),
    route('GET /v1/customers/search', ({ input, url }) =>
      search(world.all('customer'), input, url),
    ),
    route('GET /v1/customers/{id}', ({ path }) => {
      const id = path.id ?? ''
      return gone(id) ?? world.get('customer', id)
    }),
    route('POST /v1/customers/{id}', (call) => update(world, call)),
    route('DELETE /v1/customers/{id}', ({ path }) => {
      const customer = world.get('customer', path.id ?? '')
      onDelete(customer)
      world.drop('customer', text(customer, 'id'))
      world.note(text(customer, 'id')).deleted = true
      emit(world, 'customer.deleted', customer)
      return shape('deleted_customer', { id: text(customer, 'id') })
    }),
  ]
}
