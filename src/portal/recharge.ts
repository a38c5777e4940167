import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Accounts } from '../access/accounts.ts'
import type { Authenticator, Caller } from '../access/access.ts'
import { isoOrNull } from '../access/http/balance.ts'
import type { DocumentedSurface } from '../access/http/openapi.ts'
import { nothing, registerSurface, route, type Route } from '../access/http/route.ts'
import type { Subjects } from '../access/subjects.ts'
import type { Recharges } from '../billing/recharge/recharges.ts'
import { rechargeBody, rechargeView, viewRecharge, saveFrom } from '../billing/recharge/http.ts'
import { isRefusal, refuse } from '../kernel/errors.ts'
import { URL_CHARS_MAX } from '../kernel/limits/stripe.ts'
import type { Log } from '../kernel/log.ts'
import { callerOf, PORTAL_PREFIX } from './plugin.ts'

export interface RechargeDeps {
  /** null = no Stripe key is set. */
  readonly recharges: Recharges | null
  /** Where customers come back to who named nothing else; null = they must name it. */
  readonly returnUrl: () => string | null
  readonly accounts: Accounts
  readonly authenticator: Authenticator
  readonly subjects: Subjects
  readonly log: Log
}

export interface RechargeSurface extends DocumentedSurface {
  readonly routes: readonly Route<Caller>[]
}

const OFF = refuse('unsupported', 'Nothing is sold here: set STRIPE_SECRET_KEY.')
const GONE = refuse('not_found', 'The account is gone.')

const webUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .max(URL_CHARS_MAX)

function readRecharge({ recharges }: RechargeDeps): Route<Caller> {
  return route({
    method: 'GET',
    path: '/recharge',
    summary: 'Whether packs are bought by themselves when credits run low, and what came of it.',
    params: nothing,
    query: nothing,
    body: nothing,
    answer: rechargeView,
    async run({ who }) {
      if (recharges === null) return OFF
      const found = await recharges.read(who.accountId)
      return { status: 200, body: viewRecharge(who.accountId, found) }
    },
  })
}

function saveRecharge(deps: RechargeDeps): Route<Caller> {
  return route({
    method: 'PUT',
    path: '/recharge',
    summary: 'Allow recharges, with a monthly limit, or turn them off.',
    params: nothing,
    query: nothing,
    body: rechargeBody,
    answer: rechargeView,
    async run({ who, body }) {
      const { recharges } = deps
      if (recharges === null) return OFF
      const account = await deps.accounts.read(who.accountId)
      if (account === null) return GONE
      const asker = { actor: who.keyId, isOperator: false }
      const refused = await saveFrom(recharges, account, body, asker, deps.returnUrl())
      if (refused !== null) return refused
      return { status: 200, body: viewRecharge(account.id, await recharges.read(account.id)) }
    },
  })
}

function setUpCard(deps: RechargeDeps): Route<Caller> {
  return route({
    method: 'POST',
    path: '/recharge/setup',
    summary: 'A page of Stripe’s on which the customer leaves a card for recharges: open the url.',
    params: nothing,
    query: nothing,
    body: z.strictObject({ success_url: webUrl, cancel_url: webUrl }),
    answer: z.object({ url: z.string(), expires_at: z.string().nullable() }),
    async run({ who, body, idempotencyKey: requestKey }) {
      if (deps.recharges === null) return OFF
      const account = await deps.accounts.read(who.accountId)
      if (account === null) return GONE
      const { success_url: successUrl, cancel_url: cancelUrl } = body
      const opened = await deps.recharges.setup(account, { successUrl, cancelUrl, requestKey })
      if (isRefusal(opened)) return opened
      return { status: 201, body: { url: opened.url, expires_at: isoOrNull(opened.expiresAtMs) } }
    },
  })
}

/** Routes of auto-recharge. Give it to `openApiPlugin` and to `rechargePlugin`. */
export const makeRechargeSurface = (deps: RechargeDeps): RechargeSurface => ({
  prefix: PORTAL_PREFIX,
  security: 'client',
  routes: [readRecharge(deps), saveRecharge(deps), setUpCard(deps)],
})

/** For client keys, and backend keys with a subject. Register it with `{ prefix: … }`. */
export function rechargePlugin(
  app: FastifyInstance,
  { surface, deps }: { readonly surface: RechargeSurface; readonly deps: RechargeDeps },
): void {
  registerSurface(app, {
    routes: surface.routes,
    log: deps.log,
    guard: (request) => callerOf(deps, request),
  })
}
