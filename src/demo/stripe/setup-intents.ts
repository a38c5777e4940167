import { emit } from './events.ts'
import { ApiFault, invalid } from './faults.ts'
import { child, flag, mergeMetadata, pick, ref, text, textOr, type Obj } from './json.ts'
import { matching, page } from './paging.ts'
import { attach, behaviourOf, methodFrom } from './payment-methods.ts'
import { route, type Call, type Route } from './route.ts'
import { change, shape, type World } from './world.ts'

function make(world: World, input: Obj): Obj {
  const id = world.id('seti')
  const made = shape('setup_intent', {
    id,
    created: world.now(),
    client_secret: `${id}_secret_${world.random.letters(24)}`,
    metadata: mergeMetadata({}, input),
    payment_method_types: ['card'],
    status: 'requires_payment_method',
    usage: textOr(input, 'usage') ?? 'off_session',
    ...pick(input, ['customer', 'description']),
  })
  world.keep('setup_intent', made)
  emit(world, 'setup_intent.created', made)
  return made
}

const failure = (code: string, message: string): Obj => ({ type: 'card_error', code, message })

function fail(world: World, intent: Obj, error: Obj): ApiFault {
  const status = 'requires_payment_method'
  change(intent, { status, payment_method: null, next_action: null, last_setup_error: error })
  emit(world, 'setup_intent.setup_failed', intent)
  return new ApiFault(402, { ...error, setup_intent: structuredClone(intent) })
}

function succeed(world: World, intent: Obj, method: Obj): void {
  const customer = ref(intent, 'customer')
  if (customer !== null) attach(world, method, customer)
  change(intent, { status: 'succeeded', next_action: null, last_setup_error: null })
  emit(world, 'setup_intent.succeeded', intent)
}

function confirm(world: World, intent: Obj, input: Obj): Obj {
  if (/^(succeeded|canceled)$/.test(text(intent, 'status'))) {
    const message = `This SetupIntent is ${text(intent, 'status')}.`
    throw invalid(message, undefined, 'setup_intent_unexpected_state')
  }
  const id = textOr(input, 'payment_method') ?? ref(intent, 'payment_method')
  if (id === null) throw invalid('Missing required param: payment_method.', 'payment_method')
  const method = world.find(id) ?? methodFrom(world, id)
  intent.payment_method = text(method, 'id')
  const how = behaviourOf(world, method)
  if (how.kind === 'declines') {
    throw fail(world, intent, failure(how.code, 'Your card was declined.'))
  }
  if (how.kind !== 'authenticates') succeed(world, intent, method)
  else {
    const url = `${world.base}/pay/${text(intent, 'id')}`
    const redirect_to_url = { url, return_url: textOr(input, 'return_url') }
    const next_action = { type: 'redirect_to_url', redirect_to_url }
    change(intent, { status: 'requires_action', next_action })
    emit(world, 'setup_intent.requires_action', intent)
  }
  return intent
}

/** The payer came back from the bank. */
export function authenticateSetup(world: World, intent: Obj, passed: boolean): void {
  const method = world.find(ref(intent, 'payment_method'))
  if (intent.status !== 'requires_action' || method === null) return
  const why = failure('setup_intent_authentication_failure', 'We are unable to authenticate you.')
  if (passed) succeed(world, intent, method)
  else fail(world, intent, why)
}

export function setupIntentRoutes(world: World): Route[] {
  const one = ({ path }: Call): Obj => world.get('setup_intent', path.id ?? '')
  return [
    route('POST /v1/setup_intents', ({ input }) => {
      const customer = textOr(input, 'customer')
      if (customer !== null) world.get('customer', customer, 'customer')
      const intent = make(world, input)
      const id = textOr(input, 'payment_method')
      if (id !== null) {
        const method = text(methodFrom(world, id), 'id')
        change(intent, { status: 'requires_confirmation', payment_method: method })
      }
      return flag(input, 'confirm') ? confirm(world, intent, pick(input, ['return_url'])) : intent
    }),
    route('GET /v1/setup_intents', ({ input, url }) =>
      page(
        world.all('setup_intent').filter(matching(input, ['customer', 'payment_method'])),
        input,
        url,
      ),
    ),
    route('GET /v1/setup_intents/{id}', one),
    route('POST /v1/setup_intents/{id}', (call) => {
      const intent = one(call)
      const metadata = mergeMetadata(child(intent, 'metadata'), call.input)
      change(intent, { ...pick(call.input, ['customer', 'description']), metadata })
      return intent
    }),
    route('POST /v1/setup_intents/{id}/confirm', (call) => {
      const intent = one(call)
      return confirm(world, intent, call.input)
    }),
    route('POST /v1/setup_intents/{id}/cancel', (call) => {
      const intent = one(call)
      const cancellation_reason = textOr(call.input, 'cancellation_reason')
      change(intent, { status: 'canceled', cancellation_reason })
      emit(world, 'setup_intent.canceled', intent)
      return intent
    }),
  ]
}
