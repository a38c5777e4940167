import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Authenticator, Caller } from '../access/access.ts'
import type { Subjects } from '../access/subjects.ts'
import { readBalance, viewBalance, balanceView, type BalanceDeps } from '../access/http/balance.ts'
import * as fields from '../access/http/fields.ts'
import type { DocumentedSurface } from '../access/http/openapi.ts'
import { findReceipt, receiptView, viewReceipt } from '../access/http/receipts.ts'
import { nothing, registerSurface, route, type Route } from '../access/http/route.ts'
import { actFor, authenticate, secretOf, subjectOf } from '../gateway/authenticate.ts'
import { splitQuery } from '../gateway/query.ts'
import { isRefusal, refuse, type Refusal } from '../kernel/errors.ts'
import type { Books } from '../ledger/books.ts'

export const PORTAL_PREFIX = '/farebox/v1'

export interface PortalDeps extends BalanceDeps {
  readonly books: Books
  readonly authenticator: Authenticator
  readonly subjects: Subjects
  /** Whether customers see what a request cost the operator. */
  readonly showProviderCost: () => boolean
}

export interface PortalSurface extends DocumentedSurface {
  readonly routes: readonly Route<Caller>[]
}

const AWAY = refuse('gateway_unavailable', 'The balance cannot be read right now. Try again.')

function readOwnBalance(deps: PortalDeps): Route<Caller> {
  return route({
    method: 'GET',
    path: '/balance',
    summary: 'What the account of this key has.',
    params: nothing,
    query: nothing,
    body: nothing,
    answer: balanceView,
    async run({ who }) {
      const balance = await readBalance(deps, who.accountId)
      if (balance === null) return refuse('not_found', 'The account is gone.')
      if (balance.availableMicros === null) return AWAY
      return { status: 200, body: viewBalance(balance) }
    },
  })
}

const usageQuery = z.strictObject({
  from: fields.moment.optional(),
  to: fields.moment.optional(),
  cursor: fields.holdId.optional(),
  limit: fields.pageLimit,
  /** Who asks may be named in any query; `callerOf` has read these. */
  key: z.unknown().optional().describe('The key, where no header can carry it.'),
  subject_ref: z.unknown().optional().describe('With a backend key: for whom it asks.'),
})

function listUsage(deps: PortalDeps): Route<Caller> {
  return route({
    method: 'GET',
    path: '/usage',
    summary: 'Receipts of the account of this key, newest first: from ≤ started_at < to.',
    params: nothing,
    query: usageQuery,
    body: nothing,
    answer: fields.pageOf(receiptView),
    async run({ who, query: { from = null, to = null, cursor = null, limit } }) {
      const asked = { accountId: who.accountId, fromMs: from, toMs: to, cursor, limit: limit + 1 }
      const rows = await deps.books.usage(asked)
      const showCost = deps.showProviderCost()
      const view = (row: (typeof rows)[number]) => viewReceipt(row, showCost)
      return { status: 200, body: fields.page(rows, limit, view, ({ holdId }) => holdId) }
    },
  })
}

function readOwnReceipt(deps: PortalDeps): Route<Caller> {
  return route({
    method: 'GET',
    path: '/receipts/:id',
    summary: 'The receipt of one request of this account.',
    params: z.object({ id: fields.holdId }),
    query: nothing,
    body: nothing,
    answer: receiptView,
    async run({ who, params: { id } }) {
      const body = await findReceipt(deps, id, who.accountId, deps.showProviderCost())
      if (body !== null) return { status: 200, body }
      return refuse('not_found', 'There is no such receipt, or the request ended without a charge.')
    },
  })
}

/** Every route of the customer's side. Give it to `openApiPlugin` and to `portalPlugin`. */
export const makePortalSurface = (deps: PortalDeps): PortalSurface => ({
  prefix: PORTAL_PREFIX,
  security: 'client',
  routes: [readOwnBalance(deps), listUsage(deps), readOwnReceipt(deps)],
})

/** The query's `subject_ref`, for servers that would rather not set a header. */
function subjectsInQuery(url: string): readonly string[] {
  const query = splitQuery(url)?.query ?? ''
  return query.includes('subject_ref=') ? new URLSearchParams(query).getAll('subject_ref') : []
}

/** Of two names one would be passed over, and the answer be about somebody else. */
export const NAMED_TWICE = refuse(
  'invalid_request',
  'Name the subject once: as subject_ref or in the header.',
)

/** For whom a request asks: the account of a client key, or the subject of a backend key. */
export async function callerOf(
  deps: Pick<PortalDeps, 'authenticator' | 'subjects' | 'log'>,
  request: FastifyRequest,
): Promise<Caller | Refusal> {
  const key = splitQuery(request.url)?.key ?? null
  const caller = await authenticate(deps, secretOf(request.headers, key))
  if (isRefusal(caller)) return caller
  const named = new Set([subjectOf(request.headers) ?? [], subjectsInQuery(request.url)].flat())
  if (named.size > 1) return NAMED_TWICE
  const [subject] = named
  return actFor(deps, caller, subject)
}

/** The customer's API. Register it with `{ prefix: PORTAL_PREFIX }`. Source: design §8. */
export function portalPlugin(
  app: FastifyInstance,
  options: { readonly surface: PortalSurface; readonly deps: PortalDeps },
): void {
  const { deps, surface } = options
  registerSurface(app, {
    routes: surface.routes,
    log: deps.log,
    guard: (request) => callerOf(deps, request),
  })
}
