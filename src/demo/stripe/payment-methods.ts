import { emit } from './events.ts'
import { invalid } from './faults.ts'
import { child, int, mergeMetadata, pick, ref, text, textOr, type Obj } from './json.ts'
import { matching, page } from './paging.ts'
import { route, type Call, type Route } from './route.ts'
import { PAYS, TEST_METHODS, type Behaviour, type TestMethod } from './test-cards.ts'
import { change, shape, type World } from './world.ts'

export function makeMethod(world: World, method: TestMethod, billing: Obj = {}): Obj {
  const made = world.make('payment_method', 'pm', {
    type: method.type,
    [method.type]: structuredClone(method.details),
    allow_redisplay: 'unspecified',
    metadata: {},
  })
  made.billing_details = { ...child(made, 'billing_details'), ...billing }
  setBehaviour(world, text(made, 'id'), method.behaviour)
  return made
}

export function setBehaviour(world: World, id: string, behaviour: Behaviour): void {
  world.note(id).behaviour = { ...behaviour }
}

export function behaviourOf(world: World, method: Obj): Behaviour {
  const note = child(world.note(text(method, 'id')), 'behaviour')
  const known = [...TEST_METHODS.values()].map((one) => one.behaviour)
  const same = (one: Behaviour): boolean => JSON.stringify(one) === JSON.stringify(note)
  return known.find(same) ?? PAYS
}

/** The object, or a fresh one for Stripe's test names (`pm_card_visa`). Throws 404. */
export function methodFrom(world: World, id: string): Obj {
  const test = TEST_METHODS.get(id)
  return test === undefined
    ? world.get('payment_method', id, 'payment_method')
    : makeMethod(world, test)
}

export function attach(world: World, method: Obj, customer: string): void {
  const owner = ref(method, 'customer')
  if (owner === customer) return
  if (owner !== null || world.note(text(method, 'id')).detached === true) {
    throw invalid(
      'The payment method you provided has already been attached to a customer.',
      'payment_method',
      'payment_method_unexpected_state',
    )
  }
  method.customer = customer
  emit(world, 'payment_method.attached', method)
}

function detach(world: World, method: Obj): Obj {
  const customer = ref(method, 'customer')
  if (customer === null) {
    throw invalid('The payment method you provided is not attached to a customer.', 'id')
  }
  const previous = change(method, { customer: null })
  world.note(text(method, 'id')).detached = true
  emit(world, 'payment_method.detached', method, previous)
  const owner = world.find(customer)
  const settings = owner === null ? {} : child(owner, 'invoice_settings')
  if (settings.default_payment_method === method.id) settings.default_payment_method = null
  return method
}

function create(world: World, { input }: Call): Obj {
  const token = textOr(child(input, 'card'), 'token') ?? 'tok_visa'
  const name = token.replace('tok_', 'pm_card_')
  const known = TEST_METHODS.get(text(input, 'type') === 'sepa_debit' ? 'pm_sepaDebit' : name)
  if (known === undefined) throw invalid(`No such token: '${token}'`, 'card[token]')
  const made = makeMethod(world, known, child(input, 'billing_details'))
  made.metadata = mergeMetadata({}, input)
  return made
}

function update(world: World, { input, path }: Call): Obj {
  const method = world.get('payment_method', path.id ?? '')
  const card = child(method, 'card')
  const previous = change(method, {
    metadata: mergeMetadata(child(method, 'metadata'), input),
    billing_details: { ...child(method, 'billing_details'), ...child(input, 'billing_details') },
    ...(method.card === undefined
      ? {}
      : {
          card: {
            ...card,
            ...Object.fromEntries(
              Object.entries(pick(child(input, 'card'), ['exp_month', 'exp_year'])).map(
                ([key, value]) => [key, Number(value)],
              ),
            ),
          },
        }),
  })
  emit(world, 'payment_method.updated', method, previous)
  return method
}

/** The card's network says that it was renewed, as its updater does: it pays again. */
export function renewCard(world: World, input: Obj): Obj {
  const method = world.get('payment_method', text(input, 'payment_method'), 'payment_method')
  const old = child(method, 'card')
  if (method.card === undefined) throw invalid('Only cards are renewed.', 'payment_method')
  const last4 = textOr(input, 'last4') ?? text(old, 'last4')
  const isOther = last4 !== old.last4
  const fingerprint = isOther ? `fp${last4}` : text(old, 'fingerprint')
  const card = { ...old, last4, fingerprint, exp_year: int(old, 'exp_year') + 4 }
  const previous = change(method, { card })
  setBehaviour(world, text(method, 'id'), PAYS)
  emit(world, 'payment_method.automatically_updated', method, previous)
  return method
}

export function paymentMethodRoutes(world: World): Route[] {
  const listed = (call: Call, customer: string | null): Obj =>
    page(
      world
        .all('payment_method')
        .filter((one) => customer === null || one.customer === customer)
        .filter(matching(call.input, ['type'])),
      call.input,
      call.url,
    )
  return [
    route('POST /v1/payment_methods', (call) => create(world, call)),
    route('GET /v1/payment_methods', (call) => listed(call, textOr(call.input, 'customer'))),
    route('GET /v1/payment_methods/{id}', ({ path }) => methodFrom(world, path.id ?? '')),
    route('POST /v1/payment_methods/{id}', (call) => update(world, call)),
    route('POST /v1/payment_methods/{id}/attach', ({ path, input }) => {
      const customer = world.get('customer', text(input, 'customer'), 'customer')
      const method = methodFrom(world, path.id ?? '')
      attach(world, method, text(customer, 'id'))
      return method
    }),
    route('POST /v1/payment_methods/{id}/detach', ({ path }) =>
      detach(world, world.get('payment_method', path.id ?? '')),
    ),
    route('GET /v1/customers/{id}/payment_methods', (call) =>
      listed(call, text(world.get('customer', call.path.id ?? ''), 'id')),
    ),
    route('GET /v1/customers/{customerId}/payment_methods/{id}', ({ path }) =>
      world.get('payment_method', path.id ?? ''),
    ),
  ]
}

/** A setup intent that has taken a payment method for later. */
export function setUp(world: World, customer: string | null, method: Obj, metadata: Obj): Obj {
  const made = shape('setup_intent', {
    id: world.id('seti'),
    created: world.now(),
    client_secret: world.id('seti_secret'),
    customer,
    metadata,
    payment_method: text(method, 'id'),
    payment_method_types: [text(method, 'type')],
    status: 'succeeded',
    usage: 'off_session',
  })
  world.keep('setup_intent', made)
  if (customer !== null) attach(world, method, customer)
  emit(world, 'setup_intent.created', made)
  emit(world, 'setup_intent.succeeded', made)
  return made
}
