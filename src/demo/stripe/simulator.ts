import type { Biller } from './billing/biller.ts'
import { paymentsOf, settleInvoice } from './billing/collect.ts'
import { creditNoteRoutes } from './billing/credit-notes.ts'
import { invoiceItemRoutes } from './billing/invoice-items.ts'
import { confirmationSecret, invoiceRoutes } from './billing/invoice-routes.ts'
import { watchPending } from './billing/pending.ts'
import { watchSchedules } from './billing/schedules.ts'
import { endAllOf, subscriptionRoutes } from './billing/subscription-routes.ts'
import { catalogueRoutes } from './catalogue.ts'
import { chargeRoutes, refundsOf } from './charges.ts'
import { settleSession } from './checkout-pay.ts'
import { checkoutRoutes, linesOf } from './checkout.ts'
import { customerRoutes } from './customers.ts'
import { disputeRoutes, makeDispute, makeWarning } from './disputes.ts'
import { entitlementRoutes, watchSubscriptions } from './entitlements.ts'
import { endpointRoutes } from './endpoints.ts'
import type { Includes } from './expand.ts'
import { ref, text, type Json, type Obj } from './json.ts'
import { meterRoutes } from './meters.ts'
import { listOf } from './paging.ts'
import { paymentIntentRoutes } from './payment-intents.ts'
import { makePayments } from './payments.ts'
import { behaviourOf, paymentMethodRoutes } from './payment-methods.ts'
import { portalRoutes } from './portal.ts'
import { refundRoutes } from './refunds.ts'
import type { Route } from './route.ts'
import { setupIntentRoutes } from './setup-intents.ts'
import { testClockRoutes } from './test-clocks.ts'
import { makeWorld, type World, type WorldOptions } from './world.ts'

/** The whole of the simulated Stripe, without its HTTP side. */
export interface Simulator extends Biller {
  readonly routes: readonly Route[]
  readonly includes: Includes
}

function includesOf(biller: Biller): Includes {
  const { world } = biller
  return new Map<string, (owner: Obj) => Json>([
    ['checkout.session.line_items', (session) => linesOf(world, session)],
    [
      'charge.refunds',
      (charge) =>
        listOf(refundsOf(world, charge), false, `/v1/charges/${text(charge, 'id')}/refunds`),
    ],
    [
      'invoice.payments',
      (invoice) => listOf(paymentsOf(world, invoice), false, '/v1/invoice_payments'),
    ],
    ['invoice.confirmation_secret', (invoice) => confirmationSecret(biller, invoice)],
  ])
}

export function makeSimulator(options: WorldOptions): Simulator {
  const world = makeWorld(options)
  watchSubscriptions(world)
  const payments = makePayments(world, {
    settled(intent, paid) {
      settleInvoice(biller, intent, paid)
      settleSession(biller, intent, paid)
      if (paid) misbehave(world, intent)
    },
    declined(intent) {
      settleInvoice(biller, intent, false)
    },
  })
  const biller: Biller = { world, payments, timers: new Map() }
  watchPending(biller)
  watchSchedules(world)
  return {
    ...biller,
    includes: includesOf(biller),
    routes: [
      ...customerRoutes(world, (customer) => {
        endAllOf(biller, customer)
      }),
      ...catalogueRoutes(world),
      ...paymentMethodRoutes(world),
      ...paymentIntentRoutes(world, payments),
      ...setupIntentRoutes(world),
      ...chargeRoutes(world),
      ...refundRoutes(world),
      ...disputeRoutes(world),
      ...checkoutRoutes(world),
      ...subscriptionRoutes(biller),
      ...invoiceRoutes(biller),
      ...invoiceItemRoutes(world),
      ...creditNoteRoutes(biller),
      ...meterRoutes(world),
      ...portalRoutes(world),
      ...entitlementRoutes(world),
      ...testClockRoutes(world),
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
