import { z } from 'zod'
import { NO_LIMITS, type Key, type KeyLimits } from '../../access/rows.ts'
import { refuse } from '../../kernel/errors.ts'
import { viewCredits } from '../../kernel/money.ts'
import { digitsOf } from '../../kernel/request-ids.ts'
import { noAccount, noKey, reloadQuietly } from '../context.ts'
import type { AdminDeps, Operator } from '../context.ts'
import { isoOrNull } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Answer, type Route } from '../../access/http/route.ts'
import type { FieldRefusal } from '../../access/http/answers.ts'

const PERIODS = ['day', 'week', 'month', 'total'] as const
const atLeastOne = z.int().positive().max(2_000_000_000)

const keyView = z.object({
  id: z.string(),
  account_id: z.string().nullable(),
  kind: z.enum(['client', 'backend']),
  name: z.string(),
  /** First characters of the secret, to tell keys apart. */
  prefix: z.string(),
  status: z.enum(['active', 'revoked']),
  models: z.array(z.string()).nullable(),
  endpoints: z.array(z.string()).nullable(),
  budget: z.object({ micros: z.int(), credits: z.string(), period: z.enum(PERIODS) }).nullable(),
  rate: z.object({
    requests_per_minute: z.int().nullable(),
    tokens_per_minute: z.int().nullable(),
  }),
  max_concurrency: z.int().nullable(),
  expires_at: z.string().nullable(),
  created_at: z.string().nullable(),
  revoked_at: z.string().nullable(),
})
/** `key` is the secret, shown once; null where an earlier request has already shown it. */
const createdKeyView = keyView.extend({ key: z.string().nullable() })

function viewKey({ id, accountId, kind, prefix, status, limits, ...key }: Key) {
  const { budget } = limits
  return {
    id,
    account_id: accountId,
    kind,
    name: limits.name,
    prefix,
    status,
    models: limits.models,
    endpoints: limits.endpoints,
    budget: budget === null ? null : { ...viewCredits(budget.micros), period: budget.period },
    rate: {
      requests_per_minute: limits.requestsPerMinute,
      tokens_per_minute: limits.tokensPerMinute,
    },
    max_concurrency: limits.maxConcurrency,
    expires_at: isoOrNull(limits.expiresAtMs),
    created_at: isoOrNull(key.createdAtMs),
    revoked_at: isoOrNull(key.revokedAtMs),
  }
}

const budget = z
  .strictObject({ ...fields.amountFields, period: z.enum(PERIODS) })
  .check(fields.checkAmount)
  .transform((given) => ({ micros: fields.amountOf(given), period: given.period }))
  .refine((given) => given.micros >= 0, { error: 'must not be below zero' })

const limitFields = {
  models: fields.globs.optional(),
  endpoints: fields.globs.optional(),
  budget: budget.nullish(),
  rate: z
    .strictObject({
      requests_per_minute: atLeastOne.nullish(),
      tokens_per_minute: atLeastOne.nullish(),
    })
    .nullish(),
  max_concurrency: atLeastOne.nullish(),
  expires_at: fields.moment.nullish(),
}
const createBody = z.strictObject({ name: fields.text, ...limitFields })
const changeBody = z
  .strictObject({ name: fields.text.optional(), ...limitFields })
  .refine((body) => Object.keys(body).length > 0, { error: 'name what is to change' })

/** A backend key acts for every account: a sum over all of them would rule none. */
const NO_BUDGET = refuse(
  'invalid_request',
  'budget: a backend key has none. Limit the account (credits), or give it a client key.',
)

/** What is left out stays, what is null goes. */
const orKept = <T>(given: T | undefined, kept: T): T => (given === undefined ? kept : given)

function limitsOf(body: z.output<typeof changeBody>, kept: KeyLimits): KeyLimits {
  const rate = body.rate === null ? {} : body.rate
  const gone = body.rate === null ? null : undefined
  return {
    name: body.name ?? kept.name,
    models: orKept(body.models, kept.models),
    endpoints: orKept(body.endpoints, kept.endpoints),
    budget: orKept(body.budget, kept.budget),
    requestsPerMinute: orKept(rate?.requests_per_minute ?? gone, kept.requestsPerMinute),
    tokensPerMinute: orKept(rate?.tokens_per_minute ?? gone, kept.tokensPerMinute),
    maxConcurrency: orKept(body.max_concurrency, kept.maxConcurrency),
    expiresAtMs: orKept(body.expires_at, kept.expiresAtMs),
  }
}

type Created = Answer<z.input<typeof createdKeyView>> | FieldRefusal

/** Nobody could ever use it. A request is told of the key that it made, whatever became of that. */
const EXPIRED: FieldRefusal = {
  ...refuse('invalid_request', 'expires_at: must be later than now'),
  param: 'expires_at',
}

/** A repeated request gets the same key without its secret, which is not kept anywhere. */
async function createKey(
  deps: AdminDeps,
  accountId: string | null,
  input: {
    body: z.output<typeof createBody>
    idempotencyKey: string | null
    who: Operator
  },
): Promise<Created> {
  const { body, idempotencyKey, who } = input
  const limits = limitsOf(body, NO_LIMITS)
  if (accountId === null && limits.budget !== null) return NO_BUDGET
  const digits = (key: string) => digitsOf(['key', accountId ?? ''], key, body).slice(0, 32)
  const id = idempotencyKey === null ? null : `key_${digits(idempotencyKey)}`
  const isOver = limits.expiresAtMs !== null && limits.expiresAtMs <= deps.clock.now()
  if (isOver && (id === null || (await deps.keys.read(id)) === null)) return EXPIRED
  const made = await deps.keys.create({ id, accountId, limits, actor: who.actor })
  if (made === null) return noAccount(accountId ?? '')
  const { key, secret } = made
  return { status: secret === null ? 200 : 201, body: { ...viewKey(key), key: secret } }
}

const keyId = z.string().regex(/^key_\w{1,124}$/, 'must be the id of a key')
const listQuery = z.strictObject({ cursor: keyId.optional(), limit: fields.pageLimit })

async function listKeys(
  deps: AdminDeps,
  accountId: string | null,
  query: z.output<typeof listQuery>,
) {
  const rows = await deps.keys.list(accountId, query.cursor ?? null, query.limit + 1)
  const body = fields.page(rows, query.limit, viewKey, (key) => key.id)
  return { status: 200 as const, body }
}

const create = { method: 'POST', query: nothing, body: createBody, answer: createdKeyView } as const
const list = {
  method: 'GET',
  query: listQuery,
  body: nothing,
  answer: fields.pageOf(keyView),
} as const

function ownedKeys(deps: AdminDeps): Route<Operator>[] {
  return [
    route({
      ...create,
      path: '/accounts/:id/keys',
      summary: 'Create a client key. The answer is the only place that ever shows its secret.',
      params: fields.idParams,
      run: (input) => createKey(deps, input.params.id, input),
    }),
    route({
      ...list,
      path: '/accounts/:id/keys',
      summary: 'Keys of an account, without their secrets.',
      params: fields.idParams,
      async run({ params, query }) {
        const isKnown = (await deps.accounts.read(params.id)) !== null
        return isKnown ? listKeys(deps, params.id, query) : noAccount(params.id)
      },
    }),
    route({
      ...create,
      path: '/backend-keys',
      summary: 'Create a key for a server of yours, which may act for any subject.',
      params: nothing,
      run: (input) => createKey(deps, null, input),
    }),
    route({
      ...list,
      path: '/backend-keys',
      summary: 'Backend keys, without their secrets.',
      params: nothing,
      run: ({ query }) => listKeys(deps, null, query),
    }),
  ]
}

/** What holds now in Postgres holds in the credit engine before the answer. */
async function reloadKey(deps: AdminDeps, key: Key): Promise<void> {
  if (key.accountId !== null) await reloadQuietly(deps, key.accountId, key.id)
}

const one = { params: fields.idParams, query: nothing }

function readAndChange(deps: AdminDeps): Route<Operator>[] {
  return [
    route({
      ...one,
      method: 'GET',
      path: '/keys/:id',
      summary: 'One key, without its secret.',
      body: nothing,
      answer: keyView,
      async run({ params }) {
        const key = await deps.keys.read(params.id)
        return key === null ? noKey(params.id) : { status: 200, body: viewKey(key) }
      },
    }),
    route({
      ...one,
      method: 'PATCH',
      path: '/keys/:id',
      summary: 'Change what a key may do; what is left out stays, null lifts a limit.',
      body: changeBody,
      answer: keyView,
      async run({ params, body, who }) {
        const kept = await deps.keys.read(params.id)
        if (kept === null) return noKey(params.id)
        const limits = limitsOf(body, kept.limits)
        if (kept.kind === 'backend' && limits.budget !== null) return NO_BUDGET
        const key = await deps.keys.change(params.id, limits, who.actor)
        if (key === null) return noKey(params.id)
        await reloadKey(deps, key)
        return { status: 200, body: viewKey(key) }
      },
    }),
  ]
}

function rotateAndRevoke(deps: AdminDeps): Route<Operator>[] {
  return [
    route({
      ...one,
      method: 'POST',
      path: '/keys/:id/rotate',
      summary: 'Give a key a new secret; the old one ends within a second. Repeated: key is null.',
      body: nothing,
      answer: createdKeyView,
      async run({ params, idempotencyKey, who }) {
        const made = await deps.keys.rotate(params.id, who.actor, idempotencyKey)
        if (made === null) return noKey(params.id)
        await reloadKey(deps, made.key)
        return { status: 200, body: { ...viewKey(made.key), key: made.secret } }
      },
    }),
    route({
      ...one,
      method: 'DELETE',
      path: '/keys/:id',
      summary: 'Revoke a key for good; requests in flight are still charged.',
      body: nothing,
      answer: keyView,
      async run({ params, who }) {
        const key = await deps.keys.revoke(params.id, who.actor)
        if (key === null) return noKey(params.id)
        await reloadKey(deps, key)
        return { status: 200, body: viewKey(key) }
      },
    }),
  ]
}

export const keyRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  ...ownedKeys(deps),
  ...readAndChange(deps),
  ...rotateAndRevoke(deps),
]
