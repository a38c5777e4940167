import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import { refuseBroken } from '../gateway/broken-request.ts'
import { refusalOf } from '../gateway/plugin.ts'
import { readOn } from '../gateway/read-on.ts'
import { endUnknown, refuseRequest, type Counting } from '../gateway/reply.ts'
import { refuseUnknown } from '../gateway/unmetered.ts'
import { refuse, type Refusal } from '../kernel/errors.ts'
import type { Ids } from '../kernel/ids.ts'
import {
  HEADER_BYTES_MAX,
  KEEP_ALIVE_MS,
  REQUEST_BODY_BYTES_MAX,
  REQUEST_BODY_WAIT_MS_MAX,
} from '../kernel/limits/requests.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { familyOfPath } from '../protocols/envelope.ts'

const BAD_PATH = refuse('invalid_request', 'The path of the request cannot be read.')
const NO_HOST = refuse('invalid_request', 'The request has no Host header.')
const EXPECTS = refuse('invalid_request', 'The only Expect known here is 100-continue.')
const STOPPING = refuse('gateway_unavailable', 'This gateway is stopping. Try again.', {
  retryAfterMs: 1_000,
})
/** Answered until the end: who watches a process that stops asks for these. */
const WATCHED = new Set(['/healthz', '/readyz', '/metrics'])

/** What is wrong with a request whatever it asks for; null = nothing. */
function refusalAtOnce({ raw, url }: FastifyRequest, isDraining: boolean): Refusal | null {
  if (raw.headers.host === undefined && raw.httpVersion === '1.1') return NO_HOST
  return isDraining && !WATCHED.has(url) ? STOPPING : null
}

/** What is told of an error that no route told. */
function refusalFor(error: FastifyError, request: FastifyRequest, log: Log): Refusal {
  // A body that cannot be read is not what is wrong where there is nothing.
  const refusal = request.is404
    ? refuseUnknown(request.method, request.url, request.headers)
    : refusalOf(error)
  if (refusal.code === 'internal_error') {
    log.error({ request_id: request.id, error: describeError(error) }, 'request failed')
  }
  return refusal
}

/** The HTTP server: request ids, bounds, and no error in any shape but the caller's own. */
export function makeServer(
  deps: Counting & {
    readonly ids: Ids
    readonly log: Log
    /** The process stops: what still comes over an open connection is refused. */
    readonly isDraining: () => boolean
  },
): FastifyInstance {
  const end = (request: FastifyRequest, reply: FastifyReply, refusal: Refusal): void => {
    endUnknown(deps, request, reply, refusal)
  }
  const app = Fastify({
    logger: false,
    requestIdHeader: false,
    genReqId: () => deps.ids.uuid(),
    bodyLimit: REQUEST_BODY_BYTES_MAX,
    requestTimeout: REQUEST_BODY_WAIT_MS_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    // Only where a route says so: HEAD of what is billed or asks an upstream would be work too.
    exposeHeadRoutes: false,
    return503OnClosing: false,
    frameworkErrors: (_error, request, reply) => {
      end(request, reply, BAD_PATH)
    },
    // What has no Host is refused below, in the caller's envelope.
    http: { maxHeaderSize: HEADER_BYTES_MAX, requireHostHeader: false },
    clientErrorHandler: (error, socket) => {
      refuseBroken(error, socket, deps.ids.uuid())
    },
    routerOptions: { maxParamLength: 512 },
  })
  app.server.on('checkExpectation', (request, response) => {
    const protocol = { name: 'none', family: familyOfPath(request.url ?? '') }
    refuseRequest(deps, { id: deps.ids.uuid(), protocol, out: response }, EXPECTS)
  })
  app.addHook('onRequest', (request, reply, next) => {
    const refusal = refusalAtOnce(request, deps.isDraining())
    if (refusal !== null) {
      end(request, reply, refusal)
      return
    }
    reply.header('x-farebox-request-id', request.id) // of what goes on past the framework, its own
    next()
  })
  app.addHook('onSend', (request, _reply, _payload, next) => {
    if (!request.raw.complete) readOn(request.raw)
    next()
  })
  app.setNotFoundHandler((request, reply) => {
    end(request, reply, refuseUnknown(request.method, request.url, request.headers))
  })
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    end(request, reply, refusalFor(error, request, deps.log))
  })
  return app
}
