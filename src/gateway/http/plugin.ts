import { METHODS } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { refuse } from '../../kernel/errors.ts'
import { describeError } from '../../kernel/log.ts'
import { splitQuery } from '../query.ts'
import { endWith, sendRefusal } from '../reply.ts'
import type { HttpDeps } from './exchange.ts'
import { handleHttp } from './handle.ts'
import { HTTP_PREFIX, pathBelow } from './paths.ts'

const NONE = refuse('not_found', 'There is no such API here.')

/**
 * `/up/<name>/*` with any method. Registered below the gateway's plugin, whose authentication it
 * shares; bodies are left unread here, so that they can stream on. Source: design §8.
 */
export function httpApisPlugin(app: FastifyInstance, deps: HttpDeps): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => {
    done(null)
  })
  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method)
  }
  const serve = async (
    request: FastifyRequest<{ Params: { name: string } }>,
    reply: FastifyReply,
  ): Promise<void> => {
    await start(deps, request, reply)
  }
  app.all<{ Params: { name: string } }>(`${HTTP_PREFIX}:name`, serve)
  app.all<{ Params: { name: string } }>(`${HTTP_PREFIX}:name/*`, serve)
}

async function start(
  deps: HttpDeps,
  request: FastifyRequest<{ Params: { name: string } }>,
  reply: FastifyReply,
): Promise<void> {
  const { caller, raw } = request
  const api = deps.apis().find(request.params.name)
  const at = api === null ? NONE : pathBelow(raw.url ?? '', api.name)
  if (caller === null || api === null || !at.ok) {
    endWith(request, reply, 'openai', at.ok ? NONE : at)
    return
  }
  reply.hijack()
  try {
    await handleHttp(deps, {
      id: request.id,
      caller,
      api,
      at,
      request: raw,
      out: reply.raw,
      query: splitQuery(raw.url ?? '')?.query ?? '',
      startedAtMs: deps.clock.now(),
      startedMonoMs: request.startedMonoMs,
    })
  } catch (error) {
    deps.log.error({ request_id: request.id, error: describeError(error) }, 'request failed')
    const refusal = refuse('internal_error', 'Something went wrong here. Try again.')
    sendRefusal(reply.raw, 'openai', request.id, refusal)
  }
}
