import { moveBalance } from './charges.ts'
import { emit } from './events.ts'
import { child, int, intOr, mergeMetadata, pick, rows, text, textOr, type Obj } from './json.ts'
import { matching, page } from './paging.ts'
import { route, type Call, type Route } from './route.ts'
import { change, DAY_S, shape, type World } from './world.ts'

const ANSWER_DAYS = 14
const FEE = 1_500

/** A card's owner objects. An inquiry moves no money; a dispute withdraws it at once. */
export function makeDispute(world: World, charge: Obj, input: Obj): Obj {
  const inquiry = text(input, 'inquiry') === 'true'
  const made = shape('dispute', {
    id: world.id('du'),
    created: world.now(),
    amount: intOr(input, 'amount') ?? int(charge, 'amount'),
    charge: text(charge, 'id'),
    is_charge_refundable: inquiry,
    metadata: {},
    payment_method_details: {
      type: 'card',
      card: {
        brand: 'visa',
        case_type: inquiry ? 'inquiry' : 'chargeback',
        network: 'visa',
        network_reason_code: '10.4',
      },
    },
    reason: textOr(input, 'reason') ?? 'fraudulent',
    status: inquiry ? 'warning_needs_response' : 'needs_response',
    ...pick(charge, ['currency', 'payment_intent']),
  })
  made.evidence_details = {
    ...child(made, 'evidence_details'),
    due_by: world.now() + ANSWER_DAYS * DAY_S,
  }
  world.keep('dispute', made)
  if (!inquiry) charge.disputed = true
  emit(world, 'charge.dispute.created', made)
  if (!inquiry) move(world, made, -1, 'charge.dispute.funds_withdrawn')
  return made
}

/** Money goes (`sign` −1) or comes back; a dispute has at most two such movements. */
function move(world: World, dispute: Obj, sign: 1 | -1, event: string): void {
  const moved = rows(dispute, 'balance_transactions')
  const net = moved.reduce((total, one) => total + int(one, 'amount'), 0)
  if ((sign === -1) === net < 0) return
  const txn = moveBalance(world, 'adjustment', sign * int(dispute, 'amount'), dispute)
  if (sign === -1) change(txn, { fee: FEE, net: -int(dispute, 'amount') - FEE })
  dispute.balance_transactions = [...moved, structuredClone(txn)]
  emit(world, event, dispute)
}

export const DISPUTE_ACTIONS = [
  ...(['escalate', 'review', 'win', 'lose', 'close_inquiry', 'prevent', 'appeal'] as const),
  ...(['withdraw', 'reinstate'] as const),
] as const
export type DisputeAction = (typeof DISPUTE_ACTIONS)[number]

function turn(world: World, dispute: Obj, status: string, closed: boolean): void {
  const previous = change(dispute, { status })
  emit(world, closed ? 'charge.dispute.closed' : 'charge.dispute.updated', dispute, previous)
}

/** What the bank does next. */
export function act(world: World, dispute: Obj, action: DisputeAction): void {
  const charge = world.find(text(dispute, 'charge'))
  const warned = text(dispute, 'status').startsWith('warning')
  switch (action) {
    case 'escalate':
      if (charge !== null) charge.disputed = true
      turn(world, dispute, 'needs_response', false)
      move(world, dispute, -1, 'charge.dispute.funds_withdrawn')
      return
    case 'review':
      turn(world, dispute, warned ? 'warning_under_review' : 'under_review', false)
      return
    case 'win':
      move(world, dispute, 1, 'charge.dispute.funds_reinstated')
      turn(world, dispute, 'won', true)
      return
    case 'lose':
      turn(world, dispute, 'lost', true)
      return
    case 'close_inquiry':
      turn(world, dispute, 'warning_closed', true)
      return
    case 'prevent':
      turn(world, dispute, 'prevented', false)
      return
    case 'appeal':
      turn(world, dispute, 'appeal_under_review', false)
      return
    case 'withdraw':
      move(world, dispute, -1, 'charge.dispute.funds_withdrawn')
      return
    case 'reinstate':
      move(world, dispute, 1, 'charge.dispute.funds_reinstated')
  }
}

export function makeWarning(world: World, charge: Obj, input: Obj): Obj {
  const made = world.make('radar.early_fraud_warning', 'issfr', {
    actionable: true,
    charge: text(charge, 'id'),
    fraud_type: textOr(input, 'fraud_type') ?? 'made_with_stolen_card',
    ...pick(charge, ['payment_intent']),
  })
  emit(world, 'radar.early_fraud_warning.created', made)
  return made
}

export function disputeRoutes(world: World): Route[] {
  const filters = ['charge', 'payment_intent']
  const one = ({ path }: Call): Obj => world.get('dispute', path.id ?? '')
  return [
    route('GET /v1/disputes', ({ input, url }) =>
      page(world.all('dispute').filter(matching(input, filters)), input, url),
    ),
    route('GET /v1/disputes/{id}', one),
    route('POST /v1/disputes/{id}', (call) => {
      const dispute = one(call)
      change(dispute, { metadata: mergeMetadata(child(dispute, 'metadata'), call.input) })
      if (text(call.input, 'submit') !== 'false') act(world, dispute, 'review')
      return dispute
    }),
    route('POST /v1/disputes/{id}/close', (call) => {
      const dispute = one(call)
      act(world, dispute, 'lose')
      return dispute
    }),
    route('GET /v1/radar/early_fraud_warnings', ({ input, url }) =>
      page(world.all('radar.early_fraud_warning').filter(matching(input, filters)), input, url),
    ),
    route('GET /v1/radar/early_fraud_warnings/{id}', ({ path }) =>
      world.get('radar.early_fraud_warning', path.id ?? ''),
    ),
  ]
}
