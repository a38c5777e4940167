import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { encodingRefusal } from '../../kernel/content-encoding.ts'
import { isRefusal, refuse, type Refusal } from '../../kernel/errors.ts'
import { ADMIN_BODY_BYTES_MAX } from '../../kernel/limits/access.ts'
import { IDEMPOTENCY_KEY_CHARS_MAX } from '../../kernel/limits/idempotency.ts'
import type { Log } from '../../kernel/log.ts'
import {
  NUL,
  refusalOfFault,
  refusalOfFramework,
  refuseIssues,
  sendRefusal,
  type FieldRefusal,
} from './answers.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** What a handler is given: everything parsed. `who` is what the surface's guard made of it. */
export interface Input<Who, Params, Query, Body> {
  readonly who: Who
  readonly params: Params
  readonly query: Query
  readonly body: Body
  /** The header Idempotency-Key; null = none. */
  readonly idempotencyKey: string | null
}

export interface Answer<Body> {
  readonly status: 200 | 201
  readonly body: Body
}

/** One route: what it takes, what it answers and what it does, in one place. */
interface RouteSpec<
  Who,
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Result extends z.ZodType,
> {
  readonly method: Method
  /** Fastify's way of writing it: "/accounts/:id". */
  readonly path: string
  readonly summary: string
  readonly params: Params
  readonly query: Query
  readonly body: Body
  readonly answer: Result
  run(
    input: Input<Who, z.output<Params>, z.output<Query>, z.output<Body>>,
  ): Promise<Answer<z.input<Result>> | FieldRefusal>
}

interface RawInput {
  readonly params: unknown
  readonly query: unknown
  readonly body: unknown
  readonly idempotencyKey: string | null
}

/** A route whose types are its own business. */
export interface Route<Who> {
  readonly method: Method
  readonly path: string
  readonly summary: string
  readonly schemas: {
    readonly params: z.ZodType | null
    readonly query: z.ZodType | null
    readonly body: z.ZodType | null
    readonly answer: z.ZodType
  }
  /** Checks a request and does nothing yet: what is wrong with it, or what does it. */
  prepare(raw: RawInput): Handle<Who> | FieldRefusal
}

type Handle<Who> = (who: Who) => Promise<Answer<unknown> | FieldRefusal>

/** For what a route does not take. */
export const nothing = z.unknown()

/** Of a route that takes no query. Who asks may be named in any. */
const noQuery = z.strictObject({ key: z.unknown(), subject_ref: z.unknown() }).partial()

const documented = (schema: z.ZodType): z.ZodType | null => (schema === nothing ? null : schema)

/**
 * Makes a route of which registration, validation and documentation follow, so that they cannot
 * differ. Source: design §8 (OpenAPI is generated from the zod schemas).
 */
export function route<
  Who,
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Result extends z.ZodType,
>(spec: RouteSpec<Who, Params, Query, Body, Result>): Route<Who> {
  const { method, path, summary, params, query, body, answer } = spec
  return {
    method,
    path,
    summary,
    schemas: {
      params: documented(params),
      query: documented(query),
      body: documented(body),
      answer,
    },
    prepare(raw) {
      const inPath = params.safeParse(raw.params)
      if (!inPath.success) return refuseIssues(inPath.error, 'path')
      const stray = documented(query) === null ? noQuery.safeParse(raw.query).error : undefined
      if (stray !== undefined) return refuseIssues(stray, 'query')
      const inQuery = query.safeParse(raw.query)
      if (!inQuery.success) return refuseIssues(inQuery.error, 'query')
      const inBody = body.safeParse(raw.body)
      if (!inBody.success) return refuseIssues(inBody.error, 'body')
      const { idempotencyKey } = raw
      const parsed = { params: inPath.data, query: inQuery.data, body: inBody.data }
      return (who) => spec.run({ who, ...parsed, idempotencyKey })
    },
  }
}

export interface Surface<Who> {
  readonly routes: readonly Route<Who>[]
  readonly log: Log
  /** Who is calling; asked before a body is read. */
  guard(request: FastifyRequest): Who | Refusal | Promise<Who | Refusal>
}

const PRINTABLE = /^[\x20-\x7e]+$/

function idempotencyKeyOf(request: FastifyRequest): string | Refusal | null {
  const key = request.headers['idempotency-key']
  if (key === undefined) return null
  if (typeof key === 'string' && key.length <= IDEMPOTENCY_KEY_CHARS_MAX && PRINTABLE.test(key)) {
    return key
  }
  const most = IDEMPOTENCY_KEY_CHARS_MAX
  return refuse('invalid_request', `Idempotency-Key takes 1 to ${most} printable characters.`)
}

const HALF = refuse(
  'invalid_json',
  'A text in the body has half of a character (a lone surrogate): send whole ones.',
)
const NOT_JSON = refuse('invalid_json', 'The body is not valid JSON.')
/** In a text of the body, either of these needs an escape that this finds. */
const HALF_OR_NUL = /\\u(?:d[89a-f]|0000)/i

/** A body that could not be read, and what its client is told. */
class UnreadableBody extends Error {
  override readonly name = 'UnreadableBody'
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.message)
    this.refusal = refusal
  }
}

/** Neither Postgres nor UTF-8 has half a character, and Postgres no U+0000. */
function parseWhole(body: string): unknown {
  if (!HALF_OR_NUL.test(body)) return JSON.parse(body)
  const whole = (text: string): void => {
    if (!text.isWellFormed()) throw new UnreadableBody(HALF)
    if (text.includes('\0')) throw new UnreadableBody(NUL)
  }
  return JSON.parse(body, (name, value: unknown) => {
    whole(name)
    if (typeof value === 'string') whole(value)
    return value
  })
}

/** JSON whatever the content type says; no body is `undefined`. */
function registerJsonParser(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  const options = { parseAs: 'string', bodyLimit: ADMIN_BODY_BYTES_MAX } as const
  app.addContentTypeParser<string>('*', options, (_request, body, done) => {
    try {
      done(null, body.trim() === '' ? undefined : parseWhole(body))
    } catch (error) {
      done(error instanceof UnreadableBody ? error : new UnreadableBody(NOT_JSON))
    }
  })
}

/** Registers a surface's routes on an encapsulated instance: guard, then body, then handler. */
export function registerSurface<Who extends object>(
  app: FastifyInstance,
  surface: Surface<Who>,
): void {
  const { log } = surface
  const callers = new WeakMap<FastifyRequest, Who>()
  registerJsonParser(app)
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    if (error instanceof UnreadableBody) return sendRefusal(request, reply, error.refusal)
    const refusal = refusalOfFramework(error) ?? refusalOfFault(error, request.id, log)
    return sendRefusal(request, reply, refusal)
  })
  app.addHook('onRequest', async (request, reply) => {
    const who = await surface.guard(request)
    if (isRefusal<object | Refusal>(who)) return sendRefusal(request, reply, who)
    const encoded = encodingRefusal(request.headers)
    if (encoded !== null) return sendRefusal(request, reply, encoded)
    callers.set(request, who)
    return undefined
  })
  for (const one of surface.routes) {
    app.route({
      method: one.method,
      url: one.path,
      handler: async (request, reply) => {
        const who = callers.get(request)
        const idempotencyKey = idempotencyKeyOf(request)
        if (who === undefined) throw new Error('unreachable: the guard ran')
        if (typeof idempotencyKey === 'object' && idempotencyKey !== null) {
          return sendRefusal(request, reply, idempotencyKey)
        }
        const { params, query, body } = request
        const handle = one.prepare({ params, query, body, idempotencyKey })
        const answer = isRefusal(handle) ? handle : await handle(who)
        if (isRefusal(answer)) return sendRefusal(request, reply, answer)
        return reply
          .code(answer.status)
          .headers({ 'x-farebox-request-id': request.id, 'cache-control': 'no-store' })
          .send(answer.body)
      },
    })
  }
}
