import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { ADMIN_TOKEN_CHARS_MIN } from '../kernel/limits/access.ts'
import type { AdminDeps, Operator } from './context.ts'
import type { DocumentedSurface } from '../access/http/openapi.ts'
import { registerSurface, type Route } from '../access/http/route.ts'
import { makeOnce } from './once.ts'
import { accountRoutes } from './routes/accounts.ts'
import { entitlementRoutes } from './routes/entitlements.ts'
import { claimRoutes } from './routes/claims.ts'
import { costRoutes } from './routes/costs.ts'
import { findingRoutes } from './routes/findings.ts'
import { keyRoutes } from './routes/keys.ts'
import { marginRoutes } from './routes/margins.ts'
import { meterRoutes } from './routes/meters.ts'
import { moneyRoutes } from './routes/money.ts'
import { notificationRoutes } from './routes/notifications.ts'
import { operationRoutes } from './routes/operations.ts'
import { priceRoutes } from './routes/prices.ts'
import { rechargeRoutes } from './routes/recharge.ts'
import { reconcileRoutes } from './routes/reconcile.ts'
import { receiptRoutes } from './routes/receipts.ts'
import { stripeRoutes } from './routes/stripe.ts'

export const ADMIN_PREFIX = '/admin/v1'

export interface AdminSurface extends DocumentedSurface {
  readonly routes: readonly Route<Operator>[]
}

/** Every route of the operator's side. Give it to `openApiPlugin` and to `adminPlugin`. */
export const makeAdminSurface = (deps: AdminDeps): AdminSurface => ({
  prefix: ADMIN_PREFIX,
  security: 'admin',
  routes: [
    ...accountRoutes(deps),
    ...moneyRoutes(deps),
    ...keyRoutes(deps),
    ...entitlementRoutes(deps),
    ...claimRoutes(deps),
    ...receiptRoutes(deps),
    ...findingRoutes(deps),
    ...priceRoutes(deps),
    ...marginRoutes(deps),
    ...stripeRoutes(deps),
    ...rechargeRoutes(deps),
    ...notificationRoutes(deps),
    ...meterRoutes(deps),
    ...operationRoutes(deps),
    ...reconcileRoutes(deps),
    ...costRoutes(deps),
  ].map(makeOnce(deps)),
})

const OFF = refuse(
  'invalid_api_key',
  `The admin API is off: set FAREBOX_ADMIN_TOKEN (${ADMIN_TOKEN_CHARS_MIN} characters or more).`,
)
const WRONG = refuse(
  'invalid_api_key',
  'Wrong admin token. Send "Authorization: Bearer <FAREBOX_ADMIN_TOKEN>".',
)

/** Takes as long for every wrong token of whatever length. */
function makeTokenGuard(token: string | null): (request: FastifyRequest) => Operator | Refusal {
  if (token === null || token.length < ADMIN_TOKEN_CHARS_MIN) return () => OFF
  const expected = hash('sha256', token, 'buffer')
  return (request) => {
    const [, sent = ''] = /^bearer +(.+)$/i.exec(request.headers.authorization ?? '') ?? []
    const isRight = timingSafeEqual(hash('sha256', sent.trim(), 'buffer'), expected)
    return isRight ? { actor: 'admin' } : WRONG
  }
}

/** The operator's API. Register it with `{ prefix: ADMIN_PREFIX }`. Source: design §8. */
export function adminPlugin(
  app: FastifyInstance,
  options: { readonly surface: AdminSurface; readonly token: string | null; log: AdminDeps['log'] },
): void {
  registerSurface(app, {
    routes: options.surface.routes,
    log: options.log,
    guard: makeTokenGuard(options.token),
  })
}
