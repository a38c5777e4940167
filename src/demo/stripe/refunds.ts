import { chargeOf, moveBalance, refundsOf } from './charges.ts'
import { emit } from './events.ts'
import { invalid, missing } from './faults.ts'
import { child, int, intOr, mergeMetadata, pick, ref, text, textOr, type Obj } from './json.ts'
import { matching, page } from './paging.ts'
import { behaviourOf } from './payment-methods.ts'
import { route, type Call, type Route } from './route.ts'
import { change, shape, type World } from './world.ts'

const ALIVE = /^(pending|requires_action|succeeded)$/

/** What of a charge is refunded, failed refunds not counted. */
function recount(world: World, charge: Obj): Obj {
  const back = refundsOf(world, charge)
    .filter((one) => ALIVE.test(text(one, 'status')))
    .reduce((total, one) => total + int(one, 'amount'), 0)
  return change(charge, { amount_refunded: back, refunded: back >= int(charge, 'amount') })
}

/** A refund of `charge`; `amount` null: the rest. Throws 400 where more than the rest is asked. */
export function makeRefund(world: World, charge: Obj, input: Obj): Obj {
  const rest = int(charge, 'amount') - int(charge, 'amount_refunded')
  const amount = intOr(input, 'amount') ?? rest
  if (charge.status !== 'succeeded') throw invalid('This charge has not succeeded.', 'charge')
  if (rest === 0) {
    const message = `Charge ${text(charge, 'id')} has already been refunded.`
    throw invalid(message, undefined, 'charge_already_refunded')
  }
  if (amount < 1 || amount > rest) {
    throw invalid(
      `Refund amount (${amount}) is greater than unrefunded amount on charge (${rest})`,
      'amount',
      'amount_too_large',
    )
  }
  if (charge.disputed === true) {
    throw invalid(
      `Charge ${text(charge, 'id')} has been charged back; cannot issue a refund.`,
      undefined,
      'charge_disputed',
    )
  }
  const method = world.find(ref(charge, 'payment_method'))
  const how = method === null ? null : behaviourOf(world, method)
  const pending = how?.kind === 'refunds' && how.how === 'pending'
  const made = shape('refund', {
    id: world.id('re'),
    created: world.now(),
    amount,
    charge: text(charge, 'id'),
    destination_details: { card: { type: 'refund' }, type: 'card' },
    metadata: mergeMetadata({}, input),
    status: pending ? 'pending' : 'succeeded',
    ...pick(charge, ['currency', 'payment_intent', 'customer', 'payment_method']),
    ...pick(input, ['reason']),
  })
  world.keep('refund', made)
  made.balance_transaction = text(moveBalance(world, 'refund', -amount, made), 'id')
  const previous = recount(world, charge)
  emit(world, 'refund.created', made)
  emit(world, 'charge.refunded', charge, previous)
  if (how?.kind === 'refunds') {
    world.timeline.schedule(world.now() + world.settings.refund_fail_s, () => {
      if (pending) turn(world, made, 'succeeded')
      else turn(world, made, 'failed')
    })
  }
  return made
}

/** A refund changes its mind: pending → succeeded, failed (weeks later, too) or canceled. */
export function turn(world: World, refund: Obj, status: 'succeeded' | 'failed' | 'canceled'): void {
  const before = text(refund, 'status')
  if (before === status || !ALIVE.test(before)) return
  const charge = world.find(ref(refund, 'charge'))
  const back =
    status === 'succeeded'
      ? null
      : moveBalance(world, 'refund_failure', int(refund, 'amount'), refund)
  const previous = change(refund, {
    status,
    ...(status === 'failed' ? { failure_reason: 'unknown' } : {}),
    ...(back === null ? {} : { failure_balance_transaction: text(back, 'id') }),
  })
  if (charge !== null) recount(world, charge)
  emit(world, 'refund.updated', refund, previous)
  emit(world, 'charge.refund.updated', refund, previous)
  if (status === 'failed') emit(world, 'refund.failed', refund, previous)
}

function create(world: World, { input }: Call): Obj {
  const id = textOr(input, 'charge') ?? text(input, 'payment_intent')
  if (id === '') {
    throw invalid('One of the following params should be provided: payment_intent or charge.')
  }
  const charge = chargeOf(world, id)
  if (charge?.object === 'charge') return makeRefund(world, charge, input)
  const known = world.find(id)
  if (known === null) throw missing('charge', id, 'charge')
  throw invalid('This PaymentIntent does not have a successful charge to refund.')
}

export function refundRoutes(world: World): Route[] {
  const one = ({ path }: Call): Obj => world.get('refund', path.id ?? '')
  return [
    route('POST /v1/refunds', (call) => create(world, call)),
    route('GET /v1/refunds', ({ input, url }) =>
      page(world.all('refund').filter(matching(input, ['charge', 'payment_intent'])), input, url),
    ),
    route('GET /v1/refunds/{id}', one),
    route('POST /v1/refunds/{id}', (call) => {
      const refund = one(call)
      const previous = change(refund, {
        metadata: mergeMetadata(child(refund, 'metadata'), call.input),
      })
      emit(world, 'refund.updated', refund, previous)
      return refund
    }),
    route('POST /v1/refunds/{id}/cancel', (call) => {
      const refund = one(call)
      if (refund.status !== 'pending' && refund.status !== 'requires_action') {
        throw invalid('This refund cannot be canceled.')
      }
      turn(world, refund, 'canceled')
      return refund
    }),
  ]
}
