import { METHODS, type ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { refuse } from '../../kernel/errors.ts'
import { describeError } from '../../kernel/log.ts'
import { splitQuery } from '../query.ts'
import { refuseRequest } from '../reply.ts'
import type { HttpDeps } from './exchange.ts'
import { handleHttp } from './handle.ts'
import { HTTP_PREFIX, pathBelow } from './paths.ts'

const NONE = refuse('not_found', 'There is no such API here.')

const HTTP = { name: 'http', family: 'openai' } as const

type ApiRequest = FastifyRequest<{ Params: { name: string } }>

/**
 * `/up/<name>/*` with any method. Registered below the gateway's plugin, whose authentication it
 * shares; as there, it is served where the framework would begin to read the body. Source: design
 * §8.
 */
export function httpApisPlugin(app: FastifyInstance, deps: HttpDeps): void {
  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method)
  }
  const onRequest = (request: ApiRequest, reply: FastifyReply): void => {
    reply.hijack()
    serve(deps, request, reply.raw).catch((error: unknown) => {
      deps.log.error({ request_id: request.id, error: describeError(error) }, 'request failed')
      const refusal = refuse('internal_error', 'Something went wrong here. Try again.')
      refuseRequest(deps, { id: request.id, protocol: HTTP, out: reply.raw }, refusal)
    })
  }
  const none = (): undefined => undefined
  app.all<{ Params: { name: string } }>(`${HTTP_PREFIX}:name`, { onRequest }, none)
  app.all<{ Params: { name: string } }>(`${HTTP_PREFIX}:name/*`, { onRequest }, none)
}

async function serve(deps: HttpDeps, request: ApiRequest, out: ServerResponse): Promise<void> {
  const { caller, raw } = request
  const api = deps.apis().find(request.params.name)
  const at = api === null ? NONE : pathBelow(raw.url ?? '', api.name)
  if (caller === null || api === null || !at.ok) {
    refuseRequest(deps, { id: request.id, protocol: HTTP, out }, at.ok ? NONE : at)
    return
  }
  await handleHttp(deps, {
    id: request.id,
    caller,
    api,
    at,
    request: raw,
    out,
    query: splitQuery(raw.url ?? '')?.query ?? '',
    startedAtMs: deps.clock.now(),
    startedMonoMs: request.startedMonoMs,
  })
}
