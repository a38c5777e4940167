import { makeCharge, type Decline } from './charges.ts'
import { emit } from './events.ts'
import { ApiFault, docUrl, invalid } from './faults.ts'
import { child, int, ref, text, textOr, type Obj } from './json.ts'
import { attach, behaviourOf } from './payment-methods.ts'
import { change, type World } from './world.ts'

/** What others must do once an intent is through: sessions, invoices, disputes of a test card. */
export interface Aftermath {
  /** Called once, when the money is in, or (`false`) when a delayed payment failed. */
  settled(intent: Obj, paid: boolean): void
  /** Called whenever it was declined at once. */
  declined(intent: Obj): void
}

export interface Payments {
  create(values: Obj): Obj
  /** Charges now. Never throws for a decline: the intent says what happened. */
  attempt(intent: Obj, method: Obj, offSession: boolean): void
  /** The payer came back from the bank. */
  authenticate(intent: Obj, passed: boolean): void
  /** A delayed payment arrived or bounced. */
  settle(intent: Obj, paid: boolean): void
  cancel(intent: Obj, reason: string | null): void
  /** The 402 that a declined intent is answered with; null when it was not declined. */
  refusal(intent: Obj): ApiFault | null
}

const MESSAGES: Record<string, string> = {
  insufficient_funds: 'Your card has insufficient funds.',
  expired_card: 'Your card has expired.',
  authentication_required: 'Your card was declined. This transaction requires authentication.',
}

/** What the network says of another try. Source: docs.stripe.com/declines/card */
function adviceOf({ declineCode }: Decline): string {
  return /^(lost|stolen)_card$/.test(declineCode) ? 'do_not_try_again' : 'try_again_later'
}

function declineOf(code: string, declineCode: string): Decline {
  return { code, declineCode, message: MESSAGES[declineCode] ?? 'Your card was declined.' }
}

interface Till {
  readonly world: World
  readonly aftermath: Aftermath
}

function decline(till: Till, intent: Obj, method: Obj, why: Decline, pending?: Obj): void {
  const charge = makeCharge(till.world, intent, method, 'failed', why, pending)
  change(intent, {
    status: 'requires_payment_method',
    payment_method: null,
    next_action: null,
    latest_charge: text(charge, 'id'),
    last_payment_error: {
      type: 'card_error',
      code: why.code,
      decline_code: why.declineCode,
      advice_code: adviceOf(why),
      doc_url: docUrl(why.code),
      message: why.message,
      charge: text(charge, 'id'),
      payment_method: structuredClone(method),
    },
  })
  emit(till.world, 'payment_intent.payment_failed', intent)
}

function declineNow(till: Till, intent: Obj, method: Obj, why: Decline): void {
  decline(till, intent, method, why)
  till.aftermath.declined(intent)
}

function succeed(till: Till, intent: Obj, method: Obj, pending?: Obj): void {
  const charge = makeCharge(till.world, intent, method, 'succeeded', null, pending)
  change(intent, {
    status: 'succeeded',
    amount_received: int(intent, 'amount'),
    latest_charge: text(charge, 'id'),
    last_payment_error: null,
    next_action: null,
    processing: null,
  })
  emit(till.world, 'payment_intent.succeeded', intent)
  till.aftermath.settled(intent, true)
}

function delay(till: Till, intent: Obj, method: Obj, fails: boolean): void {
  const charge = makeCharge(till.world, intent, method, 'pending', null)
  change(intent, { status: 'processing', latest_charge: text(charge, 'id') })
  emit(till.world, 'payment_intent.processing', intent)
  till.world.timeline.schedule(till.world.now() + till.world.settings.delayed_payment_s, () => {
    settle(till, intent, !fails)
  })
}

function settle(till: Till, intent: Obj, paid: boolean): void {
  const charge = till.world.find(ref(intent, 'latest_charge'))
  const method = till.world.find(ref(intent, 'payment_method'))
  if (intent.status !== 'processing' || charge === null || method === null) return
  if (paid) succeed(till, intent, method, charge)
  else {
    const why = declineOf('payment_method_provider_decline', 'generic_decline')
    decline(till, intent, method, why, charge)
    till.aftermath.settled(intent, false)
  }
}

function askTheBank(till: Till, intent: Obj): void {
  const back = textOr(till.world.note(text(intent, 'id')), 'return_url')
  change(intent, {
    status: 'requires_action',
    next_action: {
      type: 'redirect_to_url',
      redirect_to_url: { url: `${till.world.base}/pay/${text(intent, 'id')}`, return_url: back },
    },
  })
  emit(till.world, 'payment_intent.requires_action', intent)
}

function createIntent(world: World, values: Obj): Obj {
  const id = world.id('pi')
  const made = world.make('payment_intent', 'pi', {
    id,
    client_secret: `${id}_secret_${world.random.letters(24)}`,
    payment_method_types: ['card'],
    status: 'requires_payment_method',
    automatic_payment_methods: { allow_redirects: 'always', enabled: true },
    amount_details: { tip: {} },
    payment_method_options: {},
    ...values,
  })
  emit(world, 'payment_intent.created', made)
  return made
}

function attempt(till: Till, intent: Obj, method: Obj, offSession: boolean): void {
  const customer = ref(intent, 'customer')
  intent.payment_method = text(method, 'id')
  if (intent.setup_future_usage !== null && customer !== null) attach(till.world, method, customer)
  const how = behaviourOf(till.world, method)
  if (how.kind === 'declines') {
    declineNow(till, intent, method, declineOf(how.code, how.declineCode))
  } else if (how.kind === 'delays') delay(till, intent, method, how.fails)
  else if (how.kind !== 'authenticates') succeed(till, intent, method)
  else if (offSession) {
    const code = 'authentication_required'
    declineNow(till, intent, method, declineOf(code, code))
  } else askTheBank(till, intent)
}

export function makePayments(world: World, aftermath: Aftermath): Payments {
  const till: Till = { world, aftermath }
  return {
    settle: (intent, paid) => {
      settle(till, intent, paid)
    },
    create: (values) => createIntent(world, values),
    attempt: (intent, method, offSession) => {
      attempt(till, intent, method, offSession)
    },
    authenticate(intent, passed) {
      const method = world.find(ref(intent, 'payment_method'))
      if (intent.status !== 'requires_action' || method === null) return
      if (passed) succeed(till, intent, method)
      else {
        const code = 'payment_intent_authentication_failure'
        declineNow(till, intent, method, declineOf(code, 'generic_decline'))
      }
    },
    cancel(intent, reason) {
      if (!/^requires_|^processing$/.test(text(intent, 'status'))) {
        throw unexpectedState(intent, 'canceled')
      }
      const previous = change(intent, {
        status: 'canceled',
        canceled_at: world.now(),
        cancellation_reason: reason,
      })
      emit(world, 'payment_intent.canceled', intent, previous)
    },
    refusal(intent) {
      const failure = child(intent, 'last_payment_error')
      if (intent.status !== 'requires_payment_method' || failure.code === undefined) return null
      return new ApiFault(402, { ...failure, payment_intent: structuredClone(intent) })
    },
  }
}

export const unexpectedState = (intent: Obj, doing: string): ApiFault =>
  invalid(
    `This PaymentIntent could not be ${doing}: it has a status of ${text(intent, 'status')}.`,
    undefined,
    'payment_intent_unexpected_state',
  )
