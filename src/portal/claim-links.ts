import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Accounts } from '../access/accounts.ts'
import type { Authenticator, Caller } from '../access/access.ts'
import type { Claims } from '../access/claims/claims.ts'
import { claimLinkView, renewFields, viewClaimLink } from '../access/http/claims.ts'
import * as fields from '../access/http/fields.ts'
import type { DocumentedSurface } from '../access/http/openapi.ts'
import { nothing, registerSurface, route, type Route } from '../access/http/route.ts'
import { authenticate, secretOf } from '../gateway/authenticate.ts'
import { isRefusal, refuse } from '../kernel/errors.ts'
import { uuidOf } from '../kernel/request-ids.ts'
import type { Log } from '../kernel/log.ts'
import { PORTAL_PREFIX } from './plugin.ts'

export interface ClaimLinksDeps {
  readonly claims: Claims
  readonly accounts: Pick<Accounts, 'bySubject'>
  readonly authenticator: Authenticator
  readonly log: Log
}

export interface ClaimLinksSurface extends DocumentedSurface {
  readonly routes: readonly Route<Caller>[]
}

const BACKEND_ONLY = refuse('invalid_request', 'A link to a key is made by a backend key only.')

function makeLink({ claims, accounts }: ClaimLinksDeps): Route<Caller> {
  return route({
    method: 'POST',
    path: '/claims',
    summary: 'With a backend key: a link to the key that a subject bought; earlier links end.',
    params: nothing,
    query: nothing,
    body: z.strictObject({ subject_ref: fields.reference, ...renewFields }),
    answer: claimLinkView,
    async run({ who, body, idempotencyKey }) {
      if (who.keyKind !== 'backend') return BACKEND_ONLY
      const account = await accounts.bySubject(body.subject_ref)
      if (account === null) {
        return refuse('subject_not_found', 'subject_ref: there is no such subject.')
      }
      const { claim_id: claimId = null, rotate } = body
      const requestId =
        idempotencyKey === null ? null : uuidOf(['claim.renew', who.keyId], idempotencyKey, body)
      const made = await claims.renew(account.id, { claimId, rotate, requestId }, who.keyId)
      if (isRefusal(made)) return made
      return { status: made.created ? 201 : 200, body: viewClaimLink(made) }
    },
  })
}

/** Give it to `openApiPlugin` and to `claimLinksPlugin`. */
export const makeClaimLinksSurface = (deps: ClaimLinksDeps): ClaimLinksSurface => ({
  prefix: PORTAL_PREFIX,
  security: 'client',
  routes: [makeLink(deps)],
})

/** For backend keys. Register it with `{ prefix: PORTAL_PREFIX }`. */
export function claimLinksPlugin(
  app: FastifyInstance,
  { surface, deps }: { readonly surface: ClaimLinksSurface; readonly deps: ClaimLinksDeps },
): void {
  registerSurface(app, {
    routes: surface.routes,
    log: deps.log,
    guard: (request) => authenticate(deps, secretOf(request.headers, null)),
  })
}
