import { z } from 'zod'
import { isRefusal } from '../../kernel/errors.ts'
import { uuidOf } from '../../kernel/request-ids.ts'
import {
  claimLinkView,
  claimView,
  renewFields,
  viewClaim,
  viewClaimLink,
} from '../../access/http/claims.ts'
import { isoOrNull } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'
import { noAccount, type AdminDeps, type Operator } from '../context.ts'

const listed = claimView.extend({ link_expires_at: z.string().nullable() })
const listQuery = z.strictObject({ cursor: z.uuid().optional(), limit: fields.pageLimit })
const renewBody = z
  .strictObject({
    ...renewFields,
    send: z.boolean().default(false).describe('Have the customer told as well.'),
  })
  .prefault({})

function listClaims(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'GET',
    path: '/accounts/:id/claims',
    summary: 'Keys that came with purchases, newest first: claimed, or with the end of their link.',
    params: fields.idParams,
    query: listQuery,
    body: nothing,
    answer: fields.pageOf(listed),
    async run({ params, query: { cursor = null, limit } }) {
      const rows = await deps.claims.list(params.id, cursor, limit + 1)
      if (rows.length === 0 && (await deps.accounts.read(params.id)) === null) {
        return noAccount(params.id)
      }
      const view = (row: (typeof rows)[number]) => ({
        ...viewClaim(row),
        link_expires_at: isoOrNull(row.linkExpiresAtMs),
      })
      return { status: 200, body: fields.page(rows, limit, view, ({ id }) => id) }
    },
  })
}

function renewClaim(deps: AdminDeps): Route<Operator> {
  const { claims, outbox, clock } = deps
  return route({
    method: 'POST',
    path: '/accounts/:id/claims',
    summary:
      'A new link to a key that came with a purchase; those made before end. Repeated: one more.',
    params: fields.idParams,
    query: nothing,
    body: renewBody,
    answer: claimLinkView,
    async run({ params: { id: accountId }, body, idempotencyKey, who }) {
      if ((await deps.accounts.read(accountId)) === null) return noAccount(accountId)
      const { claim_id: claimId = null, rotate } = body
      const requestId =
        idempotencyKey === null ? null : uuidOf(['claim.renew', accountId], idempotencyKey, body)
      const asked = { claimId, rotate, requestId }
      const made = await claims.renew(accountId, asked, who.actor)
      if (isRefusal(made)) return made
      if (body.send) {
        const { id, round } = made.claim
        const occasion = `claim_link:${id}:${round}`
        const data = { claim_id: id, round }
        await outbox.add({ kind: 'claim_link', occasion, accountId, data }, clock.now())
      }
      return { status: made.created ? 201 : 200, body: viewClaimLink(made) }
    },
  })
}

export const claimRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  listClaims(deps),
  renewClaim(deps),
]
