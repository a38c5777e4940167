import Anthropic from '@anthropic-ai/sdk'
import { APICallError, RetryError } from 'ai'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CLIENTS, type ClientKind } from './support/clients.ts'
import { makeCountingFetch } from './support/counting-fetch.ts'
import { answerJson } from './support/upstream.ts'
import {
  ask,
  bodyFor,
  expectSpent,
  newModel,
  startWorld,
  type FamilyName,
  type World,
} from './support/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ config: { idempotency_wait_ms: 0 } })
})
afterAll(() => world.end())

/** Which HTTP status a real client's error names, wherever its SDK keeps it. */
function statusOf(error: unknown): number | null {
  if (RetryError.isInstance(error)) return statusOf(error.lastError)
  if (APICallError.isInstance(error)) return error.statusCode ?? null
  if (typeof error !== 'object' || error === null) return null
  return 'status' in error && typeof error.status === 'number' ? error.status : null
}

const CLASSES: Record<FamilyName, Readonly<Record<number, unknown>>> = {
  openai: {
    400: OpenAI.BadRequestError,
    401: OpenAI.AuthenticationError,
    402: OpenAI.APIError,
    403: OpenAI.PermissionDeniedError,
    404: OpenAI.NotFoundError,
    429: OpenAI.RateLimitError,
    502: OpenAI.InternalServerError,
    503: OpenAI.InternalServerError,
  },
  anthropic: {
    400: Anthropic.BadRequestError,
    401: Anthropic.AuthenticationError,
    402: Anthropic.APIError,
    403: Anthropic.PermissionDeniedError,
    404: Anthropic.NotFoundError,
    429: Anthropic.RateLimitError,
    502: Anthropic.InternalServerError,
    503: Anthropic.InternalServerError,
  },
}

interface Situation {
  readonly status: number
  readonly code: string
  readonly anthropicType: string
  /** HTTP calls with one retry allowed: by the official SDKs, and by the frameworks. */
  readonly calls: readonly [official: number, framework: number]
  prepare(): Promise<{ apiKey: string; model: string; done?: () => Promise<void> }>
}

const key = async (credits: string, limits?: Record<string, unknown>): Promise<string> =>
  (await world.customer(credits, limits)).apiKey

const SITUATIONS: Readonly<Record<string, Situation>> = {
  'an unknown key': {
    status: 401,
    code: 'invalid_api_key',
    anthropicType: 'authentication_error',
    calls: [1, 1],
    prepare: () => Promise.resolve({ apiKey: 'fb_test_nobody', model: newModel() }),
  },
  'no credits': {
    status: 402,
    code: 'insufficient_quota',
    anthropicType: 'billing_error',
    calls: [1, 1],
    prepare: async () => ({ apiKey: await key('0'), model: newModel() }),
  },
  'a budget used up': {
    status: 402,
    code: 'budget_exceeded',
    anthropicType: 'billing_error',
    calls: [1, 1],
    prepare: async () => ({
      apiKey: await key('10', { budget: { credits: '0.000001', period: 'day' } }),
      model: newModel(),
    }),
  },
  'a model that the key may not use': {
    status: 403,
    code: 'model_not_allowed',
    anthropicType: 'permission_error',
    calls: [1, 1],
    prepare: async () => ({ apiKey: await key('10', { models: ['x-*'] }), model: newModel() }),
  },
  'a model without a price': {
    status: 404,
    code: 'model_not_found',
    anthropicType: 'not_found_error',
    calls: [1, 1],
    prepare: async () => ({ apiKey: await key('10'), model: newModel('unpriced') }),
  },
  "trouble of the operator's own": {
    status: 503,
    code: 'upstream_unavailable',
    anthropicType: 'api_error',
    calls: [1, 2],
    async prepare() {
      const model = newModel()
      world.upstream.on(model, (call) => {
        answerJson(call, { error: { message: 'no' } }, 401)
      })
      return { apiKey: await key('10'), model }
    },
  },
  'an upstream that is down': {
    status: 502,
    code: 'upstream_error',
    anthropicType: 'api_error',
    calls: [2, 2],
    prepare: async () => ({ apiKey: await key('10'), model: newModel('dead') }),
  },
  'too many requests at once': {
    status: 429,
    code: 'rate_limit_exceeded',
    anthropicType: 'rate_limit_error',
    calls: [2, 2],
    async prepare() {
      const apiKey = await key('10', { max_concurrency: 1 })
      const busy = newModel()
      const open = ask(world.gateway, 'openai', apiKey, bodyFor('openai', busy))
      const call = await world.upstream.call(busy)
      const done = async (): Promise<void> => {
        answerJson(call, {})
        await (await open).text()
      }
      return { apiKey, model: newModel(), done }
    },
  },
}

const isOfficial = (kind: ClientKind): boolean => /^(openai|@anthropic-ai\/sdk)$/.test(kind.name)

describe.each(CLIENTS)('$name', (kind) => {
  it.concurrent.each(Object.entries(SITUATIONS))('told of %s', async (_name, situation) => {
    const { apiKey, model, done } = await situation.prepare()
    const counting = makeCountingFetch()
    const options = { url: world.gateway.url, apiKey, fetch: counting.fetch }
    // Money: with the retries that a user has who set nothing.
    const maxRetries = situation.status === 402 ? 2 : 1
    const client = kind.make({ ...options, maxRetries })
    const error: unknown = await client.json(model).then(
      () => null,
      (reason: unknown) => reason,
    )
    await done?.()
    expect(statusOf(error)).toBe(situation.status)
    expect(counting.calls).toHaveLength(situation.calls[isOfficial(kind) ? 0 : 1])
    const said = error instanceof Error ? error : new Error()
    if (kind.name === 'openai') {
      expect(said).toBeInstanceOf(CLASSES.openai[situation.status])
      expect(said).toMatchObject({ code: situation.code, requestID: counting.requestId() })
    }
    if (kind.name === '@anthropic-ai/sdk') {
      expect(said).toBeInstanceOf(CLASSES.anthropic[situation.status])
      const { anthropicType: type } = situation
      expect(said).toMatchObject({ requestID: counting.requestId(), error: { error: { type } } })
    }
  })

  it('is called once for a stream without credits too', async () => {
    const counting = makeCountingFetch()
    const customer = await world.customer('0')
    const options = { url: world.gateway.url, apiKey: customer.apiKey, fetch: counting.fetch }
    const client = kind.make({ ...options, maxRetries: 2 })
    const reason: unknown = await client.stream(newModel()).catch((error: unknown) => error)
    expect(statusOf(reason)).toBe(402)
    expect(counting.calls).toHaveLength(1)
    await expectSpent(world, customer, 0, 0)
  })
})

it('every message that a client prints says what to do', async () => {
  const response = await ask(world.gateway, 'openai', await key('0'), bodyFor('openai', 'm'))
  expect(await response.json()).toMatchObject({ error: { message: /Add credits/ } })
})
