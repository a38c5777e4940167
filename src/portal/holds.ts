import { hash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Authenticator, Caller } from '../access/access.ts'
import * as fields from '../access/http/fields.ts'
import type { DocumentedSurface } from '../access/http/openapi.ts'
import { nothing, registerSurface, route, type Answer, type Route } from '../access/http/route.ts'
import type { Subjects } from '../access/subjects.ts'
import type { Amount } from '../access/work/amount.ts'
import type { WorkHold } from '../access/work/rows.ts'
import type { Work } from '../access/work/work.ts'
import { actFor, authenticate, secretOf, subjectOf } from '../gateway/authenticate.ts'
import { splitQuery } from '../gateway/query.ts'
import type { Clock } from '../kernel/clock.ts'
import { isRefusal, refuse, type Refusal } from '../kernel/errors.ts'
import { WORK_METADATA_MAX, WORK_TTL_S_MAX, WORK_TTL_S_MIN } from '../kernel/limits/access.ts'
import type { Log } from '../kernel/log.ts'
import { viewCredits, ZERO } from '../kernel/money.ts'
import { sortedJson } from '../kernel/sorted-json.ts'
import type { Buckets } from '../kernel/usage.ts'
import { NAMED_TWICE, PORTAL_PREFIX } from './plugin.ts'

export interface HoldDeps {
  readonly work: Work
  readonly authenticator: Authenticator
  readonly subjects: Subjects
  readonly clock: Clock
  readonly log: Log
}

/** Whoever calls, and the subject named in a header. */
interface Holder {
  readonly key: Caller
  readonly subject: string | readonly string[] | undefined
}

export interface HoldSurface extends DocumentedSurface {
  readonly routes: readonly Route<Holder>[]
}

const UNITS_MAX = 1_000_000_000_000
const count = z.int().min(0).max(UNITS_MAX).optional()
/** These come in parts too: what a job took, what an API says that it used. */
const measured = z.number().min(0).max(UNITS_MAX).optional()
const units = z
  .strictObject({
    ...{ input_tokens: count, cache_read_tokens: count, cache_write_tokens: count },
    ...{ cache_write_5m_tokens: count, cache_write_1h_tokens: count, input_image_tokens: count },
    ...{ output_tokens: count, input_audio_tokens: count, output_audio_tokens: count },
    ...{ requests: count, images: count, seconds: measured, characters: count, units: measured },
    ...{ web_search_requests: count, request_bytes: count, response_bytes: count },
  })
  .transform((given): Buckets =>
    Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  )
const ttl = z.int().min(WORK_TTL_S_MIN).max(WORK_TTL_S_MAX)

const amountFields = { ...fields.amountFields, units: units.optional() }

interface Given {
  readonly credits?: number | undefined
  readonly micros?: number | undefined
  readonly units?: Buckets | undefined
}

const namesOne = (body: Given): boolean =>
  (body.units === undefined) !== (body.credits === undefined && body.micros === undefined)
const agrees = ({ credits, micros }: Given): boolean =>
  credits === undefined || micros === undefined || credits === micros
const isPositive = ({ credits = 0, micros = 0 }: Given): boolean => credits >= 0 && micros >= 0
const path = ['credits']
const ONE = { error: 'name an amount: credits ("1.5") or units ({"seconds": 60})', path }
const AGREE = { error: 'credits and micros are different amounts; send one of them', path }
const POSITIVE = { error: 'must not be below zero', path }

const settleBody = z
  .strictObject(amountFields)
  .refine(namesOne, ONE)
  .refine(agrees, AGREE)
  .refine(isPositive, POSITIVE)
const beatBody = z
  .strictObject({ ...amountFields, ttl_seconds: ttl.optional() })
  .refine(agrees, AGREE)
  .refine(isPositive, POSITIVE)
  .optional()
const metadata = z
  .record(z.string().min(1).max(64), z.string().max(500))
  .refine((given) => Object.keys(given).length <= WORK_METADATA_MAX, {
    error: `takes ${WORK_METADATA_MAX} entries at most`,
  })
const openBody = z
  .strictObject({
    subject_ref: fields.reference.optional(),
    ...amountFields,
    price: z.strictObject({ upstream: fields.text, model: fields.text }).optional(),
    ttl_seconds: ttl.default(300),
    metadata: metadata.default({}),
  })
  .refine(namesOne, ONE)
  .refine(agrees, AGREE)
  .refine(isPositive, POSITIVE)
  .refine((body) => (body.units === undefined) === (body.price === undefined), {
    error: 'units need a price, and a price needs units',
    path: ['price'],
  })

/** The amount of a body, if it names one. */
function amountOf(body: z.output<typeof beatBody>): Amount | null {
  if (body?.units !== undefined) return { units: body.units }
  const micros = body?.micros ?? body?.credits
  return micros === undefined ? null : { micros }
}

const holdView = z.object({
  hold_id: z.string(),
  account_id: z.string(),
  key_id: z.string(),
  status: z.enum(['held', 'lapsed', 'settled', 'released']),
  /** Set aside now; zero once it ended. */
  held: fields.amountView,
  progress: fields.amountView,
  /** What was charged; null until it is settled. */
  cost: fields.amountView.nullable(),
  late: z.boolean(),
  price: z.object({ upstream: z.string(), model: z.string() }).nullable(),
  ttl_seconds: z.number(),
  expires_at: z.string(),
  created_at: z.string(),
  metadata: z.record(z.string(), z.string()),
})

function statusOf(work: WorkHold, nowMs: number): z.infer<typeof holdView>['status'] {
  if (work.settledMicros !== null) return 'settled'
  if (work.state !== 'open') return 'released'
  return nowMs > work.leaseUntilMs ? 'lapsed' : 'held'
}

function viewHold(work: WorkHold, nowMs: number): z.infer<typeof holdView> {
  const status = statusOf(work, nowMs)
  return {
    hold_id: work.id,
    account_id: work.accountId,
    key_id: work.keyId,
    status,
    held: viewCredits(status === 'held' ? work.micros : ZERO),
    progress: viewCredits(work.progressMicros),
    cost: work.settledMicros === null ? null : viewCredits(work.settledMicros),
    late: work.draft.late === true,
    price: work.price,
    ttl_seconds: work.ttlMs / 1_000,
    expires_at: new Date(work.leaseUntilMs).toISOString(),
    created_at: new Date(work.createdAtMs).toISOString(),
    metadata: work.metadata,
  }
}

const answer = (
  deps: HoldDeps,
  work: WorkHold | Refusal,
  status: 200 | 201 = 200,
): Answer<z.infer<typeof holdView>> | Refusal =>
  isRefusal(work) ? work : { status, body: viewHold(work, deps.clock.now()) }

function openHold(deps: HoldDeps): Route<Holder> {
  return route({
    method: 'POST',
    path: '/holds',
    summary: 'Set credits aside for work elsewhere. The same Idempotency-Key is the same hold.',
    params: nothing,
    query: nothing,
    body: openBody,
    answer: holdView,
    async run({ who, body, idempotencyKey: requestKey }) {
      if (body.subject_ref !== undefined && who.subject !== undefined) {
        return NAMED_TWICE
      }
      const payer = await actFor(deps, who.key, body.subject_ref ?? who.subject)
      if (isRefusal(payer)) return payer
      const amount = amountOf(body)
      if (amount === null) return refuse('invalid_request', ONE.error)
      const { price = null, ttl_seconds: ttlS, metadata: carried } = body
      const opened = await deps.work.open(payer, {
        ...{ amount, price, ttlMs: ttlS * 1_000, metadata: carried, requestKey },
        requestHash: hash('sha256', sortedJson(body)),
      })
      if (isRefusal(opened)) return opened
      return answer(deps, opened.work, opened.created ? 201 : 200)
    },
  })
}

const one = { params: z.object({ id: fields.holdId }), query: nothing, answer: holdView } as const

const goOn = (deps: HoldDeps): Route<Holder>[] => [
  route({
    ...one,
    method: 'GET',
    path: '/holds/:id',
    summary: 'A hold of this account, or of this backend key.',
    body: nothing,
    run: async ({ who, params }) => answer(deps, await deps.work.read(who.key, params.id)),
  }),
  route({
    ...one,
    method: 'POST',
    path: '/holds/:id/heartbeat',
    summary: 'Prolong a hold; with an amount: what it has cost so far, charged should it lapse.',
    body: beatBody,
    async run({ who, params, body }) {
      const ttlMs = body?.ttl_seconds === undefined ? null : body.ttl_seconds * 1_000
      return answer(deps, await deps.work.heartbeat(who.key, params.id, amountOf(body), ttlMs))
    },
  }),
  route({
    ...one,
    method: 'POST',
    path: '/holds/:id/settle',
    summary: 'Charge what the work came to, once; more than was held is charged in full.',
    body: settleBody,
    async run({ who, params, body }) {
      const amount = amountOf(body)
      if (amount === null) return refuse('invalid_request', ONE.error)
      return answer(deps, await deps.work.settle(who.key, params.id, amount))
    },
  }),
  route({
    ...one,
    method: 'POST',
    path: '/holds/:id/release',
    summary: 'End a hold without a charge.',
    body: nothing,
    run: async ({ who, params }) => answer(deps, await deps.work.release(who.key, params.id)),
  }),
]

/** Routes of work that does not pass the proxy. Give it to `openApiPlugin` and `holdPlugin`. */
export const makeHoldSurface = (deps: HoldDeps): HoldSurface => ({
  prefix: PORTAL_PREFIX,
  security: 'client',
  routes: [openHold(deps), ...goOn(deps)],
})

/** For client keys and backend keys. Register it with `{ prefix: PORTAL_PREFIX }`. */
export function holdPlugin(
  app: FastifyInstance,
  { surface, deps }: { readonly surface: HoldSurface; readonly deps: HoldDeps },
): void {
  registerSurface(app, {
    routes: surface.routes,
    log: deps.log,
    guard: async (request: FastifyRequest): Promise<Holder | Refusal> => {
      const subject = subjectOf(request.headers)
      const secret = secretOf(request.headers, splitQuery(request.url)?.key ?? null)
      const found = await authenticate(deps, secret)
      if (isRefusal(found)) return found
      // A client key names nobody; whom a backend key acts for may stand in the body.
      const key = found.keyKind === 'client' ? await actFor(deps, found, subject) : found
      return isRefusal(key) ? key : { key, subject }
    },
  })
}
