import type { FastifyInstance } from 'fastify'
import type { Accounts } from '../access/accounts.ts'
import type { Authenticator } from '../access/access.ts'
import type { BillingHooks } from '../billing/hooks.ts'
import { webhookPlugin } from '../billing/webhook.ts'
import type { Environment } from '../config.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { Subjects } from '../access/subjects.ts'
import type { DocumentedSurface } from '../access/http/openapi.ts'
import { checkoutPlugin, makeCheckoutSurface } from '../portal/checkout.ts'
import { makeRechargeSurface, rechargePlugin } from '../portal/recharge.ts'
import { PORTAL_PREFIX } from '../portal/plugin.ts'
import type { Billing } from './billing.ts'

export interface BillingRoutesDeps {
  /** null = no Stripe key is set: the routes say so. */
  readonly billing: Billing | null
  readonly environment: Pick<Environment, 'stripe' | 'mode'>
  readonly authenticator: Authenticator
  readonly accounts: Accounts
  readonly subjects: Subjects
  readonly metrics: BillingHooks
  readonly clock: Clock
  readonly log: Log
}

/** Stripe's door and the buyers'. Answers the latter's surfaces, for the documentation. */
export function registerBilling(
  server: FastifyInstance,
  deps: BillingRoutesDeps,
): readonly DocumentedSurface[] {
  const { billing, environment, clock, log } = deps
  const webhook = {
    inbox: billing?.inbox ?? null,
    secrets: environment.stripe?.webhookSecrets ?? [],
    ...{ mode: environment.mode, hooks: billing?.health.hooks ?? deps.metrics, clock, log },
  }
  server.register(async (app) => {
    webhookPlugin(app, webhook)
    await Promise.resolve()
  })
  const checkoutDeps = { ...deps, checkouts: billing?.checkouts ?? null }
  const surface = makeCheckoutSurface(checkoutDeps)
  const rechargeDeps = {
    ...deps,
    recharges: billing?.recharges ?? null,
    returnUrl: () => billing?.returnUrl() ?? null,
  }
  const recharge = makeRechargeSurface(rechargeDeps)
  server.register(
    async (app) => {
      checkoutPlugin(app, { surface, deps: checkoutDeps })
      await Promise.resolve()
    },
    { prefix: PORTAL_PREFIX },
  )
  server.register(
    async (app) => {
      rechargePlugin(app, { surface: recharge, deps: rechargeDeps })
      await Promise.resolve()
    },
    { prefix: PORTAL_PREFIX },
  )
  return [surface, recharge]
}
