import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isRefusal, refuse, type Refusal } from '../kernel/errors.ts'
import { REQUEST_BODY_BYTES_MAX } from '../kernel/limits/requests.ts'
import { describeError } from '../kernel/log.ts'
import { makeShare } from '../kernel/room.ts'
import { rows } from '../kernel/rows.ts'
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
import { endUnknown, endWith, refuseRequest } from './reply.ts'
import { ENDED_EARLY, takeBody, tooLarge } from './take-body.ts'
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

/**
 * The metered routes, in the order of design §2: authenticate before the body is read, then read,
 * then `handle`. Bodies are left to who serves the route.
 */
export function gatewayPlugin(app: FastifyInstance, options: GatewayPluginOptions): void {
  const { deps } = options
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => {
    done(null)
  })
  app.decorateRequest('caller', null)
  app.decorateRequest('startedMonoMs', 0)
  app.addHook('onRequest', (request, reply, next) => {
    request.startedMonoMs = deps.clock.monotonicMs()
    rows.arrivals(() => {
      try {
        admit(deps, request, reply, next)
      } catch (error) {
        next(error instanceof Error ? error : new Error('arrival')) // nobody else would take it
      }
    })
  })
  for (const protocol of options.protocols) post(app, deps, protocol.path, () => protocol)
  for (const paths of options.pathProtocols) {
    for (const route of paths.routes) post(app, deps, route, (url) => paths.protocolOf(url))
  }
  storedResponsesPlugin(app, deps)
  registerModels(app, deps, options.models)
  app.register(async (below) => {
    httpApisPlugin(below, deps)
    await Promise.resolve()
  })
}

/** Lets a request on whose caller is known, and ends any other. */
function admit(
  deps: GatewayDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  next: (error?: Error) => void,
): void {
  const take = (caller: Caller | Refusal): void => {
    if (isRefusal(caller)) endUnknown(deps, request, reply, caller)
    else {
      request.caller = caller
      next()
    }
  }
  const caller = callerOf(deps, request)
  if (caller instanceof Promise) caller.then(take, next)
  else take(caller)
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
    isRefusal(known) ? known : actFor(deps, known, subjectOf(headers))
  const found = authenticate(deps, secretOf(headers, split.key))
  return found instanceof Promise ? found.then(act) : act(found)
}

/**
 * A metered route. It is served where the framework would begin to read the body: its parsers by
 * content type, and an async resource for each request, are not needed here.
 */
function post(
  app: FastifyInstance,
  deps: GatewayDeps,
  path: string,
  protocolOf: (url: string) => Protocol | null,
): void {
  const onRequest = (request: FastifyRequest, reply: FastifyReply): void => {
    const protocol = protocolOf(request.url)
    if (protocol === null) {
      const refusal = refuseUnknown(request.method, request.url, request.headers)
      endUnknown(deps, request, reply, refusal)
    } else serve(deps, protocol, request, reply)
  }
  app.post(path, { onRequest }, () => undefined)
}

const BROKEN = refuse('internal_error', 'Something went wrong here. Try again.')
const FORM = /^multipart\/form-data\s*(?:;|$)/i

function serve(
  deps: GatewayDeps,
  protocol: Protocol,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { caller, headers } = request
  const query = splitQuery(request.url)?.query ?? ''
  const odd = refuseQuery(protocol.family, query)
  if (caller === null || odd !== null) {
    const refusal = odd ?? refuse('invalid_api_key', 'Invalid API key.')
    endWith(deps, request, reply, protocol, refusal)
    return
  }
  const coming: Coming = {
    ...{ id: request.id, protocol, caller, headers, query },
    out: reply.raw,
    startedAtMs: deps.clock.now(),
    startedMonoMs: request.startedMonoMs,
    bodyShare: makeShare(() => deps.bodyRoom, caller.accountId),
  }
  reply.hijack()
  const { forms } = protocol
  if (forms !== undefined && FORM.test(headers['content-type'] ?? '')) {
    serveForm(deps, forms, coming, request.raw)
    return
  }
  const within = { share: coming.bodyShare, bytesMax: REQUEST_BODY_BYTES_MAX }
  takeBody(request.raw, within, (raw) => {
    rows.bodies(() => {
      if (Buffer.isBuffer(raw)) serveBody(deps, coming, raw)
      else refuseBody(deps, coming, raw)
    })
  })
}

function refuseBody(deps: GatewayDeps, coming: Coming, refusal: Refusal): void {
  coming.bodyShare.close()
  refuseRequest(deps, coming, refusal)
}

function serveBody(deps: GatewayDeps, coming: Coming, raw: Buffer): void {
  const begin = (view: RequestView | Refusal): void => {
    if (view.ok) handle(deps, { ...coming, view, raw })
    else refuseBody(deps, coming, view)
  }
  const fail = (error: unknown): void => {
    deps.log.error({ request_id: coming.id, error: describeError(error) }, 'request failed')
    refuseBody(deps, coming, BROKEN)
  }
  try {
    const view = readBody(deps.bodies, coming, raw)
    if (view instanceof Promise) view.then(begin).catch(fail)
    else begin(view)
  } catch (error) {
    fail(error)
  }
}

/** The framework's own errors, told in the caller's envelope. Source: providers.md §2. */
export function refusalOf(error: FastifyError): Refusal {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return tooLarge(REQUEST_BODY_BYTES_MAX)
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return refuse('invalid_request', 'Send the body as application/json.')
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'ECONNRESET':
      return ENDED_EARLY
    default:
      return (error.statusCode ?? 500) < 500
        ? refuse('invalid_request', 'The request could not be read.')
        : BROKEN
  }
}
