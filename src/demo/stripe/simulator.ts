import { catalogueRoutes } from './catalogue.ts'
import { chargeRoutes, refundsOf } from './charges.ts'
import { settleSession } from './checkout-pay.ts'
import { checkoutRoutes, linesOf } from './checkout.ts'
import { customerRoutes } from './customers.ts'
import { disputeRoutes, makeDispute, makeWarning } from './disputes.ts'
import { endpointRoutes } from './endpoints.ts'
import type { Includes } from './expand.ts'
import { ref, text, type Obj } from './json.ts'
import { meterRoutes } from './meters.ts'
import { listOf } from './paging.ts'
import { paymentIntentRoutes } from './payment-intents.ts'
import { makePayments, type Payments } from './payments.ts'
import { behaviourOf, paymentMethodRoutes } from './payment-methods.ts'
import { portalRoutes } from './portal.ts'
import { refundRoutes } from './refunds.ts'
import type { Route } from './route.ts'
import { makeWorld, type World, type WorldOptions } from './world.ts'

/** The whole of the simulated Stripe, without its HTTP side. */
export interface Simulator {
  readonly world: World
  readonly payments: Payments
  readonly routes: readonly Route[]
  readonly includes: Includes
}

export function makeSimulator(options: WorldOptions): Simulator {
  const world = makeWorld(options)
  const payments = makePayments(world, {
    settled(intent, paid) {
      settleSession(world, intent, paid)
      if (paid) misbehave(world, intent)
    },
  })
  return {
    world,
    payments,
    includes: new Map([
      ['checkout.session.line_items', (session: Obj) => linesOf(world, session)],
      [
        'charge.refunds',
        (charge: Obj) =>
          listOf(refundsOf(world, charge), false, `/v1/charges/${text(charge, 'id')}/refunds`),
      ],
    ]),
    routes: [
      ...customerRoutes(world, () => undefined),
      ...catalogueRoutes(world),
      ...paymentMethodRoutes(world),
      ...paymentIntentRoutes(world, payments),
      ...chargeRoutes(world),
      ...refundRoutes(world),
      ...disputeRoutes(world),
      ...checkoutRoutes(world),
      ...meterRoutes(world),
      ...portalRoutes(world),
      ...endpointRoutes(world),
    ],
  }
}

/** Test cards that pay first and make trouble at once. */
function misbehave(world: World, intent: Obj): void {
  const charge = world.find(ref(intent, 'latest_charge'))
  const method = world.find(ref(intent, 'payment_method'))
  if (charge === null || method === null) return
  const how = behaviourOf(world, method)
  if (how.kind === 'disputes') makeDispute(world, charge, { inquiry: how.inquiry })
  if (how.kind === 'warns') makeWarning(world, charge, {})
}
