import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Authenticator, Caller } from '../access/access.ts'
import type { Accounts } from '../access/accounts.ts'
import { decideAccess, REASONS, type Question, type Reason } from '../access/check/decide.ts'
import { isPaymentPending, readHistory } from '../access/check/support.ts'
import {
  balanceView,
  readBalance,
  viewBalance,
  type BalanceDeps,
  type LiveBalance,
} from '../access/http/balance.ts'
import {
  entitlementsView,
  overrideView,
  subscriptionView,
  viewEntitlements,
  viewOverride,
  viewSubscription,
} from '../access/http/entitlements.ts'
import * as fields from '../access/http/fields.ts'
import type { DocumentedSurface } from '../access/http/openapi.ts'
import { nothing, registerSurface, route, type Route } from '../access/http/route.ts'
import type { Keys } from '../access/keys.ts'
import type { Entitle, Resolved } from '../access/plans/entitle.ts'
import type { Account, Key } from '../access/rows.ts'
import { authenticate, secretOf } from '../gateway/authenticate.ts'
import { splitQuery } from '../gateway/query.ts'
import type { Clock } from '../kernel/clock.ts'
import { isRefusal, refuse } from '../kernel/errors.ts'
import { PAGE_MAX } from '../kernel/limits/access.ts'
import { addMicros, micros, type Micros } from '../kernel/money.ts'
import type { Db } from '../store/db.ts'

export const ACCESS_PREFIX = '/v1/access'

export interface AccessDeps extends BalanceDeps {
  readonly db: Db
  readonly accounts: Accounts
  readonly keys: Keys
  readonly entitle: Pick<Entitle, 'read'>
  readonly authenticator: Authenticator
  readonly clock: Clock
}

export interface AccessSurface extends DocumentedSurface {
  readonly routes: readonly Route<Caller>[]
}

const SERVERS_ONLY = refuse(
  'backend_key_required',
  'Access is asked for by your server: send a backend key ("fbk_…").',
)

const checkBody = z.strictObject({
  subject_ref: fields.reference,
  feature: z.string().min(1).max(63).optional(),
  model: z.string().min(1).max(256).optional(),
  credits: fields.credits
    .refine((amount) => amount >= 0, { error: 'must not be below zero' })
    .optional(),
})

const checkView = z.object({
  subject_ref: z.string(),
  allowed: z.boolean(),
  reason: z.string().describe(`An open set: ${REASONS.join(', ')}.`),
  plan: z.string().nullable(),
  entitlements: entitlementsView.nullable(),
  balance: balanceView.nullable(),
  as_of: z.string(),
})

const keyView = z.object({
  id: z.string(),
  name: z.string(),
  prefix: z.string(),
  status: z.enum(['active', 'revoked']),
})

const subjectView = checkView.extend({
  account_id: z.string(),
  status: z.string(),
  status_reason: z.string().nullable(),
  payment_pending: z.boolean(),
  subscriptions: z.array(subscriptionView),
  overrides: z.array(overrideView),
  keys: z.array(keyView),
  payments: z.array(
    z.object({
      ...{ id: z.string(), currency: z.string(), paid_at: z.string() },
      ...{ paid_amount: z.int(), refunded_amount: z.int(), withdrawn_amount: z.int() },
    }),
  ),
  findings: z.array(
    z.object({
      ...{ id: z.string(), kind: z.string(), severity: z.string(), subject: z.string() },
      ...{ state: z.string(), last_seen: z.string() },
    }),
  ),
})

/** As the engine has it; while that cannot be asked, as it is posted. */
function spendableOf({ posted, ...live }: LiveBalance, account: Account, it: Resolved): Micros {
  const { entitlements } = it
  const limits = [account.creditLimitMicros, account.overageLimitMicros]
  const ofPlan = [entitlements.creditLimitMicros, entitlements.overageLimitMicros]
  const all = [...limits, ...ofPlan].reduce((sum, one) => sum + one, 0)
  const below = micros(Math.min(all, Number.MAX_SAFE_INTEGER))
  const available = live.availableMicros ?? posted.postedMicros
  return available > 0 && below > Number.MAX_SAFE_INTEGER - available
    ? micros(Number.MAX_SAFE_INTEGER)
    : addMicros(available, below)
}

/** Everything that decides, read now: nothing of it is a stored copy of an earlier decision. */
async function factsOf(deps: AccessDeps, account: Account, nowMs: number) {
  const resolved = await deps.entitle.read(account.id, nowMs)
  const balance = await readBalance(deps, account.id)
  if (balance === null) throw new Error(`account ${account.id} has no balance`)
  const pending = await isPaymentPending(deps.db, account.id)
  const facts = {
    status: account.status,
    entitlements: resolved.entitlements,
    spendableMicros: spendableOf(balance, account, resolved),
    isPaymentPending: pending,
  }
  return { resolved, balance, facts }
}

const NOTHING_ASKED: Question = { feature: null, model: null, creditsMicros: null }

const answerOf = (
  subjectRef: string,
  reason: Reason,
  { resolved, balance }: Awaited<ReturnType<typeof factsOf>>,
  nowMs: number,
): z.input<typeof checkView> => ({
  subject_ref: subjectRef,
  allowed: reason === 'ok',
  reason,
  plan: resolved.entitlements.planId,
  entitlements: viewEntitlements(resolved.entitlements),
  balance: viewBalance(balance),
  as_of: new Date(nowMs).toISOString(),
})

const UNKNOWN = { allowed: false, reason: 'unknown_subject', plan: null } as const

function checkAccess(deps: AccessDeps): Route<Caller> {
  return route({
    method: 'POST',
    path: '/check',
    summary: 'Whether a subject may use a feature or model, or spend credits, and why.',
    params: nothing,
    query: nothing,
    body: checkBody,
    answer: checkView,
    async run({ body: { subject_ref: ref, feature = null, model = null, credits = null } }) {
      const nowMs = deps.clock.now()
      const account = await deps.accounts.bySubject(ref)
      if (account === null) {
        const asOf = new Date(nowMs).toISOString()
        const body = { subject_ref: ref, ...UNKNOWN, entitlements: null, balance: null }
        return { status: 200, body: { ...body, as_of: asOf } }
      }
      const found = await factsOf(deps, account, nowMs)
      const reason = decideAccess({ feature, model, creditsMicros: credits }, found.facts)
      return { status: 200, body: answerOf(ref, reason, found, nowMs) }
    },
  })
}

const viewKey = ({ id, prefix, status, limits }: Key): z.infer<typeof keyView> => ({
  ...{ id, prefix, status, name: limits.name },
})

function readSubject(deps: AccessDeps): Route<Caller> {
  return route({
    method: 'GET',
    path: '/subjects/:ref',
    summary: 'What support needs to know of a subject.',
    params: z.object({ ref: fields.reference }),
    query: nothing,
    body: nothing,
    answer: subjectView,
    async run({ params: { ref } }) {
      const nowMs = deps.clock.now()
      const account = await deps.accounts.bySubject(ref)
      if (account === null) return refuse('subject_not_found', 'There is no such subject.')
      const found = await factsOf(deps, account, nowMs)
      const { subscriptions, overrides } = found.resolved
      const body = {
        ...answerOf(ref, decideAccess(NOTHING_ASKED, found.facts), found, nowMs),
        account_id: account.id,
        status: account.status,
        status_reason: account.statusReason,
        payment_pending: found.facts.isPaymentPending,
        subscriptions: subscriptions.map(viewSubscription),
        overrides: overrides.map(viewOverride),
        keys: (await deps.keys.list(account.id, null, PAGE_MAX)).map(viewKey),
        ...(await readHistory(deps.db, account.id)),
      }
      return { status: 200, body }
    },
  })
}

/** What an operator's server asks. Give it to `openApiPlugin` and to `accessPlugin`. */
export const makeAccessSurface = (deps: AccessDeps): AccessSurface => ({
  prefix: ACCESS_PREFIX,
  security: 'client',
  routes: [checkAccess(deps), readSubject(deps)],
})

/** For backend keys only. Register it with `{ prefix: ACCESS_PREFIX }`. Source: design §8. */
export function accessPlugin(
  app: FastifyInstance,
  { surface, deps }: { readonly surface: AccessSurface; readonly deps: AccessDeps },
): void {
  registerSurface(app, {
    routes: surface.routes,
    log: deps.log,
    guard: async (request) => {
      const key = splitQuery(request.url)?.key ?? null
      const caller = await authenticate(deps, secretOf(request.headers, key))
      return isRefusal(caller) || caller.keyKind === 'backend' ? caller : SERVERS_ONLY
    },
  })
}
