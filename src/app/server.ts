import Fastify, { type FastifyError, type FastifyInstance } from 'fastify'
import { refuseBroken } from '../gateway/broken-request.ts'
import { refusalOf } from '../gateway/plugin.ts'
import { endWith } from '../gateway/reply.ts'
import { refuseUnknown } from '../gateway/unmetered.ts'
import type { Ids } from '../kernel/ids.ts'
import {
  HEADER_BYTES_MAX,
  KEEP_ALIVE_MS,
  REQUEST_BODY_BYTES_MAX,
  REQUEST_BODY_WAIT_MS_MAX,
} from '../kernel/limits.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { familyOfPath } from '../protocols/envelope.ts'

/** The HTTP server: request ids, bounds, and no error in any shape but the caller's own. */
export function makeServer(deps: { ids: Ids; log: Log }): FastifyInstance {
  const app = Fastify({
    logger: false,
    requestIdHeader: false,
    genReqId: () => deps.ids.uuid(),
    bodyLimit: REQUEST_BODY_BYTES_MAX,
    requestTimeout: REQUEST_BODY_WAIT_MS_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    http: { maxHeaderSize: HEADER_BYTES_MAX },
    clientErrorHandler: (error, socket) => {
      refuseBroken(error, socket, deps.ids.uuid())
    },
    routerOptions: { maxParamLength: 512 },
  })
  app.setNotFoundHandler((request, reply) => {
    const refusal = refuseUnknown(request.method, request.url, request.headers)
    endWith(request, reply, familyOfPath(request.url), refusal)
  })
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    // A body that cannot be read is not what is wrong where there is nothing.
    const refusal = request.is404
      ? refuseUnknown(request.method, request.url, request.headers)
      : refusalOf(error)
    if (refusal.code === 'internal_error') {
      deps.log.error({ request_id: request.id, error: describeError(error) }, 'request failed')
    }
    endWith(request, reply, familyOfPath(request.url), refusal)
  })
  return app
}
