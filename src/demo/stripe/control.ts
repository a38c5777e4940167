import type { ApiTroubles } from './api-faults.ts'
import type { Deliveries } from './delivery.ts'
import { payInvoicePage } from './billing/invoice-routes.ts'
import { chargeOf } from './charges.ts'
import { paySession } from './checkout-pay.ts'
import { act, DISPUTE_ACTIONS, makeDispute, makeWarning } from './disputes.ts'
import { invalid, missing } from './faults.ts'
import { child, flag, has, int, intOr, text, textOr, texts, type Obj } from './json.ts'
import { behaviourOf, renewCard, setBehaviour } from './payment-methods.ts'
import { changeByPortal } from './portal-page.ts'
import { makeRefund, turn } from './refunds.ts'
import { changeSettings } from './settings.ts'
import { connectDemoShop } from './shop.ts'
import { authenticateSetup } from './setup-intents.ts'
import type { Simulator } from './simulator.ts'
import { TEST_METHODS } from './test-cards.ts'
import type { WebhookTroubles } from './webhook-faults.ts'
import type { World } from './world.ts'

export interface Control {
  readonly simulator: Simulator
  readonly troubles: ApiTroubles
  readonly webhooks: WebhookTroubles
  readonly deliveries: Deliveries
  /** Sends what the world emitted since the last call. */
  readonly flush: () => Promise<void>
  readonly calls: readonly Obj[]
}

type Act = (control: Control, input: Obj) => Obj | Promise<Obj>

function chargeNamed(world: World, input: Obj): Obj {
  const id = text(input, 'charge') || text(input, 'payment_intent')
  const charge = chargeOf(world, id)
  if (charge?.object !== 'charge') throw missing('charge', id, 'charge')
  return charge
}

async function advance({ simulator }: Control, input: Obj): Promise<Obj> {
  const { world } = simulator
  const by = int(input, 'seconds') + int(input, 'days') * 86_400
  await world.advance(intOr(input, 'to') ?? world.now() + by)
  return { now: world.now() }
}

function rotate(world: World, input: Obj): Obj {
  const note = world.note(text(input, 'endpoint'))
  const secret = `whsec_${world.random.letters(32)}`
  note.secrets = flag(input, 'drop_old') ? [secret] : [secret, ...texts(note, 'secrets')]
  return { secret }
}

function dispute(world: World, input: Obj): Obj {
  if (!has(input, 'dispute')) return makeDispute(world, chargeNamed(world, input), input)
  const found = world.get('dispute', text(input, 'dispute'), 'dispute')
  const action = DISPUTE_ACTIONS.find((known) => known === input.action)
  if (action === undefined) throw invalid('Unknown action.', 'action')
  act(world, found, action)
  return found
}

function behave(world: World, input: Obj): Obj {
  const method = world.get('payment_method', text(input, 'payment_method'), 'payment_method')
  const like = TEST_METHODS.get(text(input, 'like'))
  if (like === undefined) throw invalid('No such test method.', 'like')
  setBehaviour(world, text(method, 'id'), like.behaviour)
  return { ...behaviourOf(world, method) }
}

function pay({ simulator }: Control, input: Obj): Obj {
  const { world } = simulator
  const session = world.get('checkout.session', text(input, 'session'), 'session')
  paySession(
    simulator,
    session,
    text(input, 'method') || 'pm_card_visa',
    child(input, 'presentment'),
  )
  return session
}

function settle({ simulator }: Control, input: Obj): Obj {
  const { world, payments } = simulator
  const setup = world.find(textOr(input, 'setup_intent'))
  if (setup !== null) {
    authenticateSetup(world, setup, !flag(input, 'fails'))
    return setup
  }
  const intent = world.get('payment_intent', text(input, 'payment_intent'), 'payment_intent')
  if (intent.status === 'requires_action') payments.authenticate(intent, !flag(input, 'fails'))
  else payments.settle(intent, !flag(input, 'fails'))
  return intent
}

function turnRefund(world: World, input: Obj): Obj {
  const refund = world.get('refund', text(input, 'refund'), 'refund')
  const to = (['succeeded', 'failed', 'canceled'] as const).find((one) => one === input.status)
  if (to === undefined) throw invalid('succeeded, failed or canceled', 'status')
  turn(world, refund, to)
  return refund
}

const ACTS: ReadonlyMap<string, Act> = new Map<string, Act>([
  ['advance', advance],
  ['pay', pay],
  ['portal-change', ({ simulator }, input) => changeByPortal(simulator, input)],
  ['settle', settle],
  ['settings', ({ simulator }, input) => changeSettings(simulator.world.settings, input)],
  ['rotate', ({ simulator }, input) => rotate(simulator.world, input)],
  ['dispute', ({ simulator }, input) => dispute(simulator.world, input)],
  ['behave', ({ simulator }, input) => behave(simulator.world, input)],
  ['renew-card', ({ simulator }, input) => renewCard(simulator.world, input)],
  ['turn-refund', ({ simulator }, input) => turnRefund(simulator.world, input)],
  [
    'refund',
    ({ simulator: { world } }, input) => makeRefund(world, chargeNamed(world, input), input),
  ],
  [
    'warn',
    ({ simulator: { world } }, input) => makeWarning(world, chargeNamed(world, input), input),
  ],
  [
    'api-fault',
    ({ troubles }, input) => {
      if (!troubles.add(input)) throw invalid('Unknown fault.', 'kind')
      return { armed: troubles.left.length }
    },
  ],
  [
    'webhook-fault',
    ({ webhooks }, input) => {
      if (!webhooks.add(input)) throw invalid('Unknown fault.', 'kind')
      return { armed: webhooks.left.length }
    },
  ],
  [
    'clear-faults',
    ({ troubles, webhooks }) => {
      troubles.clear()
      webhooks.clear()
      webhooks.holding = false
      return { armed: 0 }
    },
  ],
  [
    'hold',
    ({ webhooks }) => {
      webhooks.holding = true
      return { holding: true }
    },
  ],
  [
    'release',
    async ({ webhooks, deliveries }, input) => {
      if (!flag(input, 'keep_holding')) webhooks.holding = false
      const copies = Math.max(1, int(input, 'copies'))
      await deliveries.release(texts(input, 'order'), copies, flag(input, 'concurrent'))
      return { held: deliveries.held() }
    },
  ],
  [
    'idle',
    async ({ deliveries }) => {
      await deliveries.idle()
      return { idle: true }
    },
  ],
  ['demo-shop', ({ simulator }, input) => connectDemoShop(simulator.world, input)],
  ['calls', ({ calls }) => ({ calls: [...calls] })],
  ['held', ({ deliveries }) => ({ held: deliveries.held() })],
  ['deliveries', ({ deliveries }) => ({ deliveries: deliveries.log.map((one) => ({ ...one })) })],
  [
    'now',
    ({ simulator }) => ({
      now: simulator.world.now(),
      planned: simulator.world.timeline.planned(),
    }),
  ],
])

/** Runs `POST /_control/<name>` with a JSON body. null: no such control. */
export async function runControl(control: Control, name: string, input: Obj): Promise<Obj | null> {
  const run = ACTS.get(name)
  if (run === undefined) return null
  const answer = structuredClone(await run(control, input))
  await control.flush()
  return answer
}

/** The page's own action. Returns where the payer goes next. */
export function submitPage(simulator: Simulator, id: string, input: Obj): string | null {
  const { world, payments } = simulator
  const found = world.find(id)
  if (found?.object === 'payment_intent') {
    payments.authenticate(found, text(input, 'action') === 'pass')
    const session = textOr(world.note(id), 'session')
    return session === null
      ? textOr(world.note(id), 'return_url')
      : afterSession(world, world.get('checkout.session', session))
  }
  if (found?.object === 'setup_intent') {
    const back = textOr(child(child(found, 'next_action'), 'redirect_to_url'), 'return_url')
    authenticateSetup(world, found, text(input, 'action') === 'pass')
    return back
  }
  if (found?.object === 'invoice') {
    payInvoicePage(simulator, found, text(input, 'method'))
    return `/pay/${id}`
  }
  if (found?.object !== 'checkout.session') return null
  paySession(simulator, found, text(input, 'method'))
  return afterSession(world, found)
}

/** Where the payer of a session goes: back to the shop, to the bank, or to try again. */
function afterSession(world: World, session: Obj): string {
  const id = text(session, 'id')
  const intent = world.find(textOr(world.note(id), 'intent'))
  if (session.status === 'complete') {
    return text(session, 'success_url').replaceAll('{CHECKOUT_SESSION_ID}', id)
  }
  return `/pay/${intent?.status === 'requires_action' ? text(intent, 'id') : id}`
}
