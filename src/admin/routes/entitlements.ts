import { z } from 'zod'
import {
  entitlementsView,
  overrideView,
  subscriptionView,
  viewEntitlements,
  viewOverride,
  viewSubscription,
} from '../../access/http/entitlements.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'
import { featuresSchema, itemId } from '../../access/plans/config.ts'
import type { Override } from '../../access/plans/overrides.ts'
import { refuse } from '../../kernel/errors.ts'
import { OVERRIDE_MS_MAX } from '../../kernel/limits/access.ts'
import { uuidOf } from '../../kernel/request-ids.ts'
import { noAccount, reloadQuietly, type AdminDeps, type Operator } from '../context.ts'

const atLeastOne = z.int().positive().max(2_000_000_000).nullable().optional()

const patchFields = {
  plan: itemId.optional().describe('As if it were paid for.'),
  access: z.enum(['allow', 'suspend']).optional(),
  features: featuresSchema.optional(),
  models: fields.globs.optional(),
  endpoints: fields.globs.optional(),
  rates: z
    .strictObject({
      requests_per_minute: atLeastOne,
      tokens_per_minute: atLeastOne,
      max_concurrency: atLeastOne,
    })
    .optional(),
  credit_limit: fields.limit.optional(),
  overage_limit: fields.limit.optional(),
}
const overrideBody = z
  .strictObject({
    ...patchFields,
    reason: fields.text,
    expires_at: fields.moment,
  })
  .refine((body) => Object.keys(body).length > 2, {
    error: 'name what is to be different',
  })

function patchOf(body: z.output<typeof overrideBody>): Override['patch'] {
  const { reason, expires_at, ...rest } = body
  const { credit_limit: credit, overage_limit: overage, ...same } = rest
  return {
    ...same,
    ...(credit === undefined ? {} : { credit_limit_micros: credit }),
    ...(overage === undefined ? {} : { overage_limit_micros: overage }),
  }
}

const view = z.object({
  account_id: z.string(),
  entitlements: entitlementsView,
  plans_version: z.string(),
  subscriptions: z.array(subscriptionView),
  overrides: z.array(overrideView),
})

async function viewOf({ entitle, clock }: AdminDeps, accountId: string) {
  const { entitlements, book, subscriptions, overrides } = await entitle.read(
    accountId,
    clock.now(),
  )
  return {
    account_id: accountId,
    entitlements: viewEntitlements(entitlements),
    plans_version: book.version,
    subscriptions: subscriptions.map(viewSubscription),
    overrides: overrides.map(viewOverride),
  }
}

const readEntitlements = (deps: AdminDeps): Route<Operator> =>
  route({
    method: 'GET',
    path: '/accounts/:id/entitlements',
    summary: 'What an account may do now, and what that follows from.',
    params: fields.idParams,
    query: nothing,
    body: nothing,
    answer: view,
    async run({ params: { id } }) {
      if ((await deps.accounts.read(id)) === null) return noAccount(id)
      return { status: 200, body: await viewOf(deps, id) }
    },
  })

/** A request is told of the exception that it made, whatever became of that. */
const AHEAD = refuse('invalid_request', 'expires_at: must lie ahead, at most ten years.')

const addOverride = (deps: AdminDeps): Route<Operator> =>
  route({
    method: 'POST',
    path: '/accounts/:id/overrides',
    summary: 'Comp a plan, lift a suspension or change single limits, until a day.',
    params: fields.idParams,
    query: nothing,
    body: overrideBody,
    answer: overrideView,
    async run({ params: { id }, body, idempotencyKey, who: { actor } }) {
      const nowMs = deps.clock.now()
      const { reason, expires_at: expiresAtMs } = body
      const overrideId =
        idempotencyKey === null ? null : uuidOf(['override', id], idempotencyKey, body)
      const isAhead = expiresAtMs > nowMs && expiresAtMs <= nowMs + OVERRIDE_MS_MAX
      if (!isAhead && !(overrideId !== null && (await deps.exceptions.has(id, overrideId)))) {
        return AHEAD
      }
      const asked = { patch: patchOf(body), reason, actor, expiresAtMs }
      const made = await deps.exceptions.add(id, overrideId, asked)
      if (made === null) return noAccount(id)
      await reloadQuietly(deps, id)
      return { status: made.created ? 201 : 200, body: viewOverride(made.override) }
    },
  })

const endOverride = (deps: AdminDeps): Route<Operator> =>
  route({
    method: 'DELETE',
    path: '/accounts/:id/overrides/:override',
    summary: 'End an exception before its time.',
    params: fields.idParams.extend({ override: z.uuid() }),
    query: nothing,
    body: nothing,
    answer: overrideView,
    async run({ params: { id, override }, who: { actor } }) {
      const ended = await deps.exceptions.end(id, override, actor)
      if (ended === null) return refuse('not_found', 'This account has no such exception.')
      await reloadQuietly(deps, id)
      return { status: 200, body: viewOverride(ended) }
    },
  })

/** Entitlements of single accounts. Source: design §7. */
export const entitlementRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  readEntitlements(deps),
  addOverride(deps),
  endOverride(deps),
]
