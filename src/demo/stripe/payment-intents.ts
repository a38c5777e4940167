import { LISTED } from './charges.ts'
import { invalid } from './faults.ts'
import {
  child,
  flag,
  int,
  intOr,
  mergeMetadata,
  pick,
  ref,
  text,
  textOr,
  type Obj,
} from './json.ts'
import { methodFrom } from './payment-methods.ts'
import { unexpectedState, type Payments } from './payments.ts'
import { matching, page, search } from './paging.ts'
import { route, type Call, type Route } from './route.ts'
import { change, type World } from './world.ts'

const AMOUNT_MAX = 99_999_999

function create(world: World, payments: Payments, { input }: Call): Obj {
  const amount = intOr(input, 'amount')
  if (amount === null || amount < 1 || amount > AMOUNT_MAX || !Number.isInteger(amount)) {
    throw invalid('Invalid positive integer', 'amount', 'parameter_invalid_integer')
  }
  const customer = textOr(input, 'customer')
  if (customer !== null) world.get('customer', customer, 'customer')
  const id = textOr(input, 'payment_method')
  const method = id === null ? null : methodFrom(world, id)
  ownedBy(method, customer)
  const intent = payments.create({
    amount,
    currency: text(input, 'currency').toLowerCase(),
    metadata: mergeMetadata({}, input),
    status: method === null ? 'requires_payment_method' : 'requires_confirmation',
    payment_method: method === null ? null : text(method, 'id'),
    ...pick(input, ['customer', 'description', 'receipt_email', 'setup_future_usage']),
    ...pick(input, ['statement_descriptor', 'statement_descriptor_suffix']),
  })
  if (flag(input, 'confirm')) confirm(world, payments, intent, input)
  return intent
}

/** Another customer's payment method cannot pay. */
function ownedBy(method: Obj | null, customer: string | null): void {
  const owner = method === null ? null : ref(method, 'customer')
  if (owner === null || owner === customer) return
  throw invalid(
    'The customer does not have a payment method with the ID provided. ' +
      'The payment method must be attached to the customer.',
    'payment_method',
  )
}

function confirm(world: World, payments: Payments, intent: Obj, input: Obj): void {
  const wanted = textOr(input, 'payment_method')
  const id = ref(intent, 'payment_method') ?? wanted
  if (id === null) {
    throw invalid(
      'You cannot confirm this PaymentIntent because it is missing a payment method.',
      undefined,
      'payment_intent_unexpected_state',
    )
  }
  if (/^(succeeded|canceled|processing)$/.test(text(intent, 'status'))) {
    throw unexpectedState(intent, 'confirmed')
  }
  const method = world.find(id) ?? methodFrom(world, id)
  ownedBy(method, ref(intent, 'customer'))
  world.note(text(intent, 'id')).return_url = text(input, 'return_url')
  const offSession = text(input, 'off_session') !== '' && text(input, 'off_session') !== 'false'
  payments.attempt(intent, method, offSession || flag(input, 'error_on_requires_action'))
  const refusal = payments.refusal(intent)
  if (refusal !== null) throw refusal
}

export function paymentIntentRoutes(world: World, payments: Payments): Route[] {
  const one = (call: Call): Obj => world.get('payment_intent', call.path.id ?? '')
  return [
    route('POST /v1/payment_intents', (call) => create(world, payments, call)),
    route('GET /v1/payment_intents', ({ input, url }) =>
      page(world.all('payment_intent').filter(matching(input, LISTED)), input, url),
    ),
    route('GET /v1/payment_intents/search', ({ input, url }) =>
      search(world.all('payment_intent'), input, url),
    ),
    route('GET /v1/payment_intents/{id}', one),
    route('POST /v1/payment_intents/{id}', (call) => {
      const intent = one(call)
      if (
        /^(succeeded|canceled)$/.test(text(intent, 'status')) &&
        call.input.amount !== undefined
      ) {
        throw unexpectedState(intent, 'updated')
      }
      change(intent, {
        metadata: mergeMetadata(child(intent, 'metadata'), call.input),
        ...pick(call.input, ['customer', 'description', 'receipt_email', 'payment_method']),
        amount: intOr(call.input, 'amount') ?? int(intent, 'amount'),
      })
      return intent
    }),
    route('POST /v1/payment_intents/{id}/confirm', (call) => {
      const intent = one(call)
      const wanted = textOr(call.input, 'payment_method')
      if (wanted !== null) intent.payment_method = text(methodFrom(world, wanted), 'id')
      confirm(world, payments, intent, call.input)
      return intent
    }),
    route('POST /v1/payment_intents/{id}/cancel', (call) => {
      const intent = one(call)
      payments.cancel(intent, textOr(call.input, 'cancellation_reason'))
      return intent
    }),
  ]
}
