import { emit } from './events.ts'
import { child, int, mergeMetadata, pick, ref, text, textOr, type Obj } from './json.ts'
import { matching, page, search } from './paging.ts'
import { route, type Route } from './route.ts'
import { change, DAY_S, shape, type World } from './world.ts'

const FEE_PERCENT = 3
const PAYOUT_DAYS = 2
export const LISTED = ['customer', 'payment_intent', 'charge', 'invoice', 'subscription', 'status']

/** A movement of the balance: `amount` > 0 comes in. */
export function moveBalance(world: World, type: string, amount: number, source: Obj): Obj {
  const fee = type === 'charge' ? Math.round((amount * FEE_PERCENT) / 100) : 0
  return world.make('balance_transaction', 'txn', {
    amount,
    available_on: world.now() + PAYOUT_DAYS * DAY_S,
    balance_type: 'payments',
    currency: text(source, 'currency'),
    fee,
    net: amount - fee,
    reporting_category: type === 'adjustment' ? 'dispute' : type,
    source: text(source, 'id'),
    status: 'pending',
    type,
  })
}

function methodDetails(method: Obj): Obj {
  const type = text(method, 'type')
  if (type !== 'card') return { type, [type]: { ...child(method, type), mandate: null } }
  const card = child(method, 'card')
  const kept = pick(card, ['brand', 'checks', 'country', 'exp_month', 'exp_year', 'fingerprint'])
  return {
    type,
    card: {
      ...kept,
      ...pick(card, ['funding', 'last4']),
      amount_authorized: null,
      authorization_code: null,
      electronic_commerce_indicator: null,
      installments: null,
      mandate: null,
      network: text(card, 'brand'),
      network_token: { used: false },
      network_transaction_id: null,
      regulated_status: 'unregulated',
      three_d_secure: null,
      transaction_link_id: null,
      wallet: null,
    },
  }
}

export interface Decline {
  readonly code: string
  readonly declineCode: string
  readonly message: string
}

/**
 * The charge of a payment intent: succeeded, pending (delayed methods) or failed. `pending`: the
 * one that this was so far.
 */
export function makeCharge(
  world: World,
  intent: Obj,
  method: Obj,
  status: 'succeeded' | 'pending' | 'failed',
  decline: Decline | null,
  pending: Obj | null = null,
): Obj {
  const paid = status === 'succeeded'
  const charge = shape('charge', {
    id: pending?.id ?? world.id(text(method, 'type') === 'card' ? 'ch' : 'py'),
    created: pending?.created ?? world.now(),
    amount: int(intent, 'amount'),
    amount_captured: paid ? int(intent, 'amount') : 0,
    billing_details: structuredClone(child(method, 'billing_details')),
    captured: paid,
    paid: status !== 'failed',
    status,
    failure_code: decline?.code ?? null,
    failure_message: decline?.message ?? null,
    outcome: {
      advice_code: decline === null ? null : 'try_again_later',
      network_advice_code: null,
      network_decline_code: decline === null ? null : '01',
      network_status: decline === null ? 'approved_by_network' : 'declined_by_network',
      reason: decline?.declineCode ?? null,
      risk_level: 'normal',
      seller_message: decline?.message ?? 'Payment complete.',
      type: decline === null ? 'authorized' : 'issuer_declined',
    },
    payment_intent: text(intent, 'id'),
    payment_method: text(method, 'id'),
    payment_method_details: methodDetails(method),
    receipt_url: `${world.base}/receipt`,
    fraud_details: {},
    ...pick(intent, ['currency', 'customer', 'description', 'metadata', 'receipt_email']),
    ...pick(intent, ['presentment_details', 'statement_descriptor']),
  })
  world.keep('charge', charge)
  if (paid)
    charge.balance_transaction = text(
      moveBalance(world, 'charge', int(charge, 'amount'), charge),
      'id',
    )
  emit(world, `charge.${status}`, charge)
  return charge
}

export const refundsOf = (world: World, charge: Obj): Obj[] =>
  world.all('refund').filter((one) => one.charge === charge.id)

export function chargeRoutes(world: World): Route[] {
  return [
    route('GET /v1/charges', ({ input, url }) =>
      page(world.all('charge').filter(matching(input, LISTED)), input, url),
    ),
    route('GET /v1/charges/search', ({ input, url }) => search(world.all('charge'), input, url)),
    route('GET /v1/charges/{id}', ({ path }) => world.get('charge', path.id ?? '')),
    route('POST /v1/charges/{id}', ({ path, input }) => {
      const charge = world.get('charge', path.id ?? '')
      const previous = change(charge, {
        metadata: mergeMetadata(child(charge, 'metadata'), input),
        description: textOr(input, 'description') ?? textOr(charge, 'description'),
      })
      emit(world, 'charge.updated', charge, previous)
      return charge
    }),
    route('GET /v1/balance_transactions', ({ input, url }) =>
      page(
        world.all('balance_transaction').filter(matching(input, ['type', 'source', 'currency'])),
        input,
        url,
      ),
    ),
    route('GET /v1/balance_transactions/{id}', ({ path }) =>
      world.get('balance_transaction', path.id ?? ''),
    ),
  ]
}

/** The charge a payment intent or charge id stands for. */
export function chargeOf(world: World, id: string): Obj | null {
  const found = world.find(id)
  return found?.object === 'payment_intent' ? world.find(ref(found, 'latest_charge')) : found
}
