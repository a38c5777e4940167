import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { refuse, type Refusal } from '../kernel/errors.ts'
import { REQUEST_BODY_BYTES_MAX } from '../kernel/limits.ts'
import { familyOfPath } from '../protocols/envelope.ts'
import type { PathProtocols, Protocol, RequestView } from '../protocols/protocol.ts'
import type { Caller } from '../access/access.ts'
import { actFor, authenticate, secretOf, subjectOf } from './authenticate.ts'
import type { GatewayDeps } from './context.ts'
import { serveForm, type Coming } from './forms/serve.ts'
import { handle } from './handle.ts'
import type { HttpDeps } from './http/exchange.ts'
import { httpApisPlugin } from './http/plugin.ts'
import { registerModels, type ModelList } from './models.ts'
import { refuseQuery, splitQuery } from './query.ts'
import { readBody } from './read-body.ts'
import { endWith } from './reply.ts'
import { takeBody } from './take-body.ts'
import { storedResponsesPlugin } from './stored/plugin.ts'
import { refuseUnknown, refuseUpgrade } from './unmetered.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the gateway's authentication; null before it. */
    caller: Caller | null
    startedMonoMs: number
  }
}

export interface GatewayPluginOptions {
  readonly deps: HttpDeps
  readonly protocols: readonly Protocol[]
  readonly pathProtocols: readonly PathProtocols[]
  readonly models: ModelList
}

/** Bodies arrive as raw bytes, once. */
function takeBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', takeBody)
}

/** Forms are left to their readers, where there are any. */
function registerForms(app: FastifyInstance, deps: GatewayDeps, protocols: readonly Protocol[]) {
  app.addContentTypeParser('multipart/form-data', (_request, _payload, done) => {
    done(null)
  })
  for (const protocol of protocols) {
    app.post(protocol.path, (request, reply) => {
      serve(deps, protocol, request, reply)
    })
  }
}

/**
 * The metered routes, in the order of design §2: authenticate before the body is read, then read,
 * then `handle`. Bodies arrive as raw bytes once.
 */
export function gatewayPlugin(app: FastifyInstance, options: GatewayPluginOptions): void {
  const { deps } = options
  takeBodies(app)
  app.decorateRequest('caller', null)
  app.decorateRequest('startedMonoMs', 0)
  app.addHook('onRequest', (request, reply, next) => {
    request.startedMonoMs = deps.clock.monotonicMs()
    const take = (caller: Caller | Refusal): void => {
      if ('ok' in caller) endWith(request, reply, familyOfPath(request.url), caller)
      else {
        request.caller = caller
        next()
      }
    }
    const caller = callerOf(deps, request)
    if (caller instanceof Promise) caller.then(take, next)
    else take(caller)
  })
  const takesForms = (protocol: Protocol): boolean => protocol.forms !== undefined
  app.register(async (below) => {
    registerForms(below, deps, options.protocols.filter(takesForms))
    await Promise.resolve()
  })
  for (const protocol of options.protocols.filter((each) => !takesForms(each))) {
    app.post(protocol.path, (request, reply) => {
      serve(deps, protocol, request, reply)
    })
  }
  for (const [paths, route] of options.pathProtocols.flatMap((each) =>
    each.routes.map((route) => [each, route] as const),
  )) {
    app.post(route, (request, reply) => {
      const protocol = paths.protocolOf(request.url)
      if (protocol === null) {
        const refusal = refuseUnknown(request.method, request.url, request.headers)
        endWith(request, reply, familyOfPath(request.url), refusal)
      } else serve(deps, protocol, request, reply)
    })
  }
  storedResponsesPlugin(app, deps)
  registerModels(app, deps, options.models)
  app.register(async (below) => {
    httpApisPlugin(below, deps)
    await Promise.resolve()
  })
}

/** Who is calling and for whom; without a promise where both are cached. */
function callerOf(
  deps: GatewayDeps,
  { url, headers }: FastifyRequest,
): Caller | Refusal | Promise<Caller | Refusal> {
  const upgrade = refuseUpgrade(headers)
  if (upgrade !== null) return upgrade
  const split = splitQuery(url)
  if (split === null) return refuse('invalid_request', 'The query string is too long.')
  const act = (known: Caller | Refusal): Caller | Refusal | Promise<Caller | Refusal> =>
    'ok' in known ? known : actFor(deps, known, subjectOf(headers))
  const found = authenticate(deps, secretOf(headers, split.key))
  return found instanceof Promise ? found.then(act) : act(found)
}

const FORM = /^multipart\/form-data\s*(?:;|$)/i

function serve(
  deps: GatewayDeps,
  protocol: Protocol,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { body, caller, headers } = request
  const query = splitQuery(request.url)?.query ?? ''
  const odd = refuseQuery(protocol.family, query)
  if (caller === null || odd !== null) {
    const refusal = odd ?? refuse('invalid_api_key', 'Invalid API key.')
    endWith(request, reply, protocol.family, refusal)
    return
  }
  const coming: Coming = {
    ...{ id: request.id, protocol, caller, headers, query },
    out: reply.raw,
    startedAtMs: deps.clock.now(),
    startedMonoMs: request.startedMonoMs,
  }
  const { forms } = protocol
  if (forms !== undefined && FORM.test(headers['content-type'] ?? '')) {
    reply.hijack()
    serveForm(deps, forms, coming, request.raw)
    return
  }
  const raw = Buffer.isBuffer(body) ? body : Buffer.alloc(0)
  const begin = (view: RequestView | Refusal): void => {
    if (!view.ok) {
      endWith(request, reply, protocol.family, view)
      return
    }
    reply.hijack()
    handle(deps, { ...coming, view, raw })
  }
  const view = readBody(deps.bodies, coming, raw)
  if (!(view instanceof Promise)) begin(view)
  else {
    view.then(begin).catch((error: unknown) => {
      reply.send(error)
    })
  }
}

/** The framework's own errors, told in the caller's envelope. Source: providers.md §2. */
export function refusalOf(error: FastifyError): Refusal {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return refuse('request_too_large', `Bodies may have up to ${REQUEST_BODY_BYTES_MAX} bytes.`)
    case 'NO_MEMORY_FOR_BODY':
      return refuse('gateway_unavailable', 'There is no room for a large body now. Try again.')
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return refuse('invalid_request', 'Send the body as application/json.')
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'ECONNRESET':
      return refuse('request_timeout', 'The body ended before its declared length.')
    default:
      return (error.statusCode ?? 500) < 500
        ? refuse('invalid_request', 'The request could not be read.')
        : refuse('internal_error', 'Something went wrong here. Try again.')
  }
}
