import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { allowsEndpoint, refuseEndpoint } from '../../access/allowed.ts'
import { isRefusal, refuse, type Refusal } from '../../kernel/errors.ts'
import { describeError } from '../../kernel/log.ts'
import type { GatewayDeps } from '../context.ts'
import { splitQuery } from '../query.ts'
import { endWith } from '../reply.ts'
import { passThrough, STORED } from './pass-through.ts'

/** Ids as providers make them: nothing that moves a path. */
const ID = /^[A-Za-z0-9_-]{1,128}$/
const AWAY = refuse('gateway_unavailable', 'Stored responses cannot be looked up now. Try again.')

interface Params {
  readonly id: string
}
type Request = FastifyRequest<{ Params: Params }>

/** The upstream that keeps a response of the caller's own. */
async function upstreamOf(deps: GatewayDeps, { caller, params }: Request) {
  const none = refuse('not_found', `There is no response '${params.id.slice(0, 128)}' of yours.`)
  if (caller === null || !ID.test(params.id)) return none
  if (!allowsEndpoint(caller, 'responses')) return refuseEndpoint(caller, 'responses')
  const name = (await deps.stored.find(caller.accountId, [params.id])).get(params.id)
  return deps.upstreams().all.find((upstream) => upstream.name === name) ?? none
}

/**
 * Reading, cancelling and deleting a stored response: free of charge, and its own account's only.
 * Source: design §3.
 */
export function storedResponsesPlugin(app: FastifyInstance, deps: GatewayDeps): void {
  const route = (method: 'GET' | 'POST' | 'DELETE', below: string): void => {
    app.route<{ Params: Params }>({
      method,
      url: `/v1/responses/:id${below}`,
      handler: (request, reply) => serve(deps, request, reply, below),
    })
  }
  route('GET', '')
  route('GET', '/input_items')
  route('POST', '/cancel')
  route('DELETE', '')
}

const OPEN = refuse(
  'conflict',
  'The response is still being made, or its charge is being written. Cancel it, or try again.',
  { retryAfterMs: 1_000 },
)

async function serve(
  deps: GatewayDeps,
  request: Request,
  reply: FastifyReply,
  below: string,
): Promise<void> {
  const upstream = await upstreamOf(deps, request).catch((error: unknown): Refusal => {
    deps.log.error({ request_id: request.id, error: describeError(error) }, 'no look-up of ids')
    return AWAY
  })
  if (isRefusal(upstream)) {
    endWith(deps, request, reply, STORED, upstream)
    return
  }
  const hurry = async (): Promise<boolean> =>
    deps.background.jobs.hurry(accountId, id, deps.clock.now())
  const { id } = request.params
  const accountId = request.caller?.accountId ?? ''
  const isOpen = below === '/cancel' || request.method === 'DELETE' ? await hurry() : false
  if (isOpen && request.method === 'DELETE') {
    endWith(deps, request, reply, STORED, OPEN)
    return
  }
  reply.hijack()
  const status = await passThrough(deps, {
    upstream,
    method: request.method === 'GET' || request.method === 'DELETE' ? request.method : 'POST',
    path: `/v1/responses/${id}${below}`,
    query: splitQuery(request.url)?.query ?? '',
    headers: request.headers,
    requestId: request.id,
    out: reply.raw,
  })
  if (isOpen) await hurry()
  if (request.method !== 'DELETE' || status === null || status >= 300) return
  await deps.stored.remove(accountId, id).catch((error: unknown) => {
    deps.log.warn({ request_id: request.id, error: describeError(error) }, 'an id was not removed')
  })
}
