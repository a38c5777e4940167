import type { Biller } from './billing/biller.ts'
import { composeSubscription, start } from './billing/subscriptions.ts'
import { makeCustomer } from './customers.ts'
import { emit } from './events.ts'
import { invalid } from './faults.ts'
import { child, int, mergeMetadata, pick, ref, rows, text, textOr, type Obj } from './json.ts'
import { attach, makeMethod, setUp } from './payment-methods.ts'
import { TEST_METHODS } from './test-cards.ts'
import { change, type World } from './world.ts'

const BUYER = 'Demo Buyer'

function customerOf(world: World, session: Obj): string | null {
  const known = ref(session, 'customer')
  if (known !== null) return known
  if (session.mode === 'payment' && session.customer_creation !== 'always') return null
  return text(makeCustomer(world, { email: emailOf(session), name: BUYER }), 'id')
}

const emailOf = (session: Obj): string => textOr(session, 'customer_email') ?? 'buyer@example.com'

function detailsOf(session: Obj): Obj {
  const nowhere = { city: null, line1: null, line2: null, postal_code: null, state: null }
  return {
    address: { ...nowhere, country: 'US' },
    email: emailOf(session),
    name: BUYER,
    phone: null,
    tax_exempt: 'none',
    tax_ids: [],
    business_name: null,
    individual_name: null,
  }
}

function complete(world: World, session: Obj, status: string, values: Obj): void {
  change(session, { ...values, status: 'complete', payment_status: status, url: null })
  emit(world, 'checkout.session.completed', session)
}

function payOnce(desk: Biller, session: Obj, method: Obj, customer: string | null): void {
  const { world, payments } = desk
  const data = child(world.note(text(session, 'id')), 'payment_intent_data')
  const intent = payments.create({
    amount: int(session, 'amount_total'),
    currency: text(session, 'currency'),
    customer,
    metadata: mergeMetadata({}, data),
    ...pick(data, ['description', 'receipt_email', 'setup_future_usage']),
    ...(session.mode === 'subscription' ? { setup_future_usage: 'off_session' } : {}),
    ...pick(session, ['presentment_details']),
  })
  world.note(text(intent, 'id')).session = text(session, 'id')
  world.note(text(session, 'id')).intent = text(intent, 'id')
  if (session.mode === 'payment') session.payment_intent = text(intent, 'id')
  payments.attempt(intent, method, false)
  if (intent.status === 'processing') {
    complete(world, session, 'unpaid', subscribe(desk, session, text(method, 'id'), intent))
  }
}

/** What a session of mode subscription began; nothing for others. */
function subscribe(biller: Biller, session: Obj, method: string, intent: Obj | null): Obj {
  if (session.mode !== 'subscription') return {}
  const { world } = biller
  const note = world.note(text(session, 'id'))
  const asked = rows(note, 'lines').map((line) => ({
    price: ref(line, 'price') ?? '',
    recurring: child(line, 'price').recurring !== null,
    ...pick(line, ['quantity']),
  }))
  const made = composeSubscription(world, world.get('customer', text(session, 'customer')), {
    ...child(note, 'subscription_data'),
    ...pick(note, ['discounts']),
    default_payment_method: method,
    items: asked.filter((line) => line.recurring),
  })
  start(
    biller,
    made,
    asked.filter((line) => !line.recurring),
    intent,
  )
  return { subscription: text(made, 'id'), invoice: ref(made, 'latest_invoice') }
}

/** The intent behind a session is through. */
export function settleSession(biller: Biller, intent: Obj, paid: boolean): void {
  const { world } = biller
  const session = world.find(textOr(world.note(text(intent, 'id')), 'session'))
  if (session === null) return
  if (session.status === 'open' && paid) {
    const method = ref(intent, 'payment_method') ?? ''
    complete(world, session, 'paid', subscribe(biller, session, method, intent))
  } else if (paid) {
    session.payment_status = 'paid'
    emit(world, 'checkout.session.async_payment_succeeded', session)
  } else emit(world, 'checkout.session.async_payment_failed', session)
}

/** The payer submits the page with one of Stripe's test methods; `presentment` is what they saw. */
export function paySession(desk: Biller, session: Obj, name: string, presentment: Obj = {}): void {
  const { world } = desk
  const test = TEST_METHODS.get(name)
  if (session.status !== 'open' || test === undefined) return
  const method = makeMethod(world, test, { email: emailOf(session), name: BUYER })
  const customer = customerOf(world, session)
  const seen = Object.keys(presentment).length > 0
  change(session, {
    customer,
    customer_details: detailsOf(session),
    ...(seen ? { presentment_details: presentment } : {}),
  })
  if (session.mode === 'setup') {
    const data = child(world.note(text(session, 'id')), 'setup_intent_data')
    const intent = setUp(world, customer, method, mergeMetadata({}, data))
    complete(world, session, 'no_payment_required', { setup_intent: text(intent, 'id') })
  } else if (int(session, 'amount_total') === 0) {
    if (session.mode === 'subscription' && customer !== null) attach(world, method, customer)
    const begun = subscribe(desk, session, text(method, 'id'), null)
    complete(world, session, 'no_payment_required', begun)
  } else payOnce(desk, session, method, customer)
}

export function expireSession(world: World, session: Obj): void {
  if (session.status !== 'open') {
    throw invalid('Only Checkout Sessions with a status in ["open"] can be expired.')
  }
  change(session, { status: 'expired', url: null })
  emit(world, 'checkout.session.expired', session)
}
