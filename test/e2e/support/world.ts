import { expect } from 'vitest'
import { z } from 'zod'
import type { Customer, Receipt } from '../../support/admin.ts'
import { startGateway, type Gateway } from '../../support/gateway.ts'
import { DEAD_PORT } from '../../support/servers.ts'
import { freshDatabase, redisUrl } from '../../support/stores.ts'
import { until } from '../../support/until.ts'
import { chargeFor, CREDITS, MICROS, PRICES } from './money.ts'
import { startUpstream, type FakeUpstream } from './upstream.ts'

export const OPERATOR_KEYS = {
  openai: 'sk-operator-openai',
  anthropic: 'sk-ant-operator',
  gemini: 'operator-gemini',
} as const
export const OUTPUT_DEFAULT = 1_024

export type FamilyName = 'openai' | 'anthropic'
export const FAMILIES: readonly FamilyName[] = ['openai', 'anthropic']
export const PATHS = { openai: '/v1/chat/completions', anthropic: '/v1/messages' } as const

export interface World {
  readonly upstream: FakeUpstream
  readonly gateways: readonly Gateway[]
  readonly gateway: Gateway
  readonly databaseUrl: string | null
  customer(credits: string, limits?: Record<string, unknown>): Promise<Customer>
  /** One more process on the same stores and upstream. */
  join(config?: Readonly<Record<string, unknown>>): Promise<Gateway>
  end(): Promise<void>
}

export interface WorldOptions {
  readonly processes?: number
  readonly config?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
  readonly embedded?: boolean
  /** Prices before the ones that every upstream has for every model. */
  readonly prices?: readonly Readonly<Record<string, unknown>>[]
  /** Stores of the test's own, the database empty. */
  readonly stores?: { readonly databaseUrl: string; readonly redisUrl: string }
}

/**
 * Each family's upstream takes every model; a prefix of the model's name chooses another policy:
 * drain-, dead- (nobody listens), slow- (must answer in a second), deny- (nothing unbounded),
 * window- (the context for what is unbounded).
 * Models unpriced-* have an upstream and no price.
 */
function configFor(
  upstreamUrl: string,
  dead: number,
  more: readonly Readonly<Record<string, unknown>>[],
): Record<string, unknown> {
  const base = (family: FamilyName): Record<string, unknown> => ({
    protocol: family,
    base_url: family === 'openai' ? `${upstreamUrl}/v1` : upstreamUrl,
    api_key: OPERATOR_KEYS[family],
  })
  const upstreams: Record<string, unknown> = {}
  for (const family of FAMILIES) {
    upstreams[family] = base(family)
    upstreams[`${family}-drain`] = { ...base(family), models: ['drain-*'], on_disconnect: 'drain' }
    upstreams[`${family}-dead`] = {
      ...base(family),
      base_url: `http://127.0.0.1:${dead}`,
      models: ['dead-*'],
    }
    upstreams[`${family}-slow`] = { ...base(family), models: ['slow-*'], response_ms_max: 1_000 }
    upstreams[`${family}-deny`] = { ...base(family), models: ['deny-*'], unbounded: 'deny' }
    upstreams[`${family}-window`] = { ...base(family), models: ['window-*'], unbounded: 'window' }
    upstreams[`${family}-unpriced`] = { ...base(family), models: ['unpriced-*'] }
  }
  const gemini = { protocol: 'gemini', base_url: upstreamUrl, api_key: OPERATOR_KEYS.gemini }
  upstreams.gemini = gemini
  upstreams['gemini-deny'] = { ...gemini, models: ['deny-*'], unbounded: 'deny' }
  upstreams['gemini-cut'] = { ...gemini, models: ['cut-*'], on_disconnect: 'abort' }
  const priced = Object.keys(upstreams).filter((name) => !name.endsWith('unpriced'))
  return {
    credits: CREDITS,
    shutdown_ms: 1_000, // a test that failed left requests open
    holds: { lease_ms: 30_000, fit_to_balance: true, max_output_tokens_default: OUTPUT_DEFAULT },
    upstreams,
    prices: [...more, ...priced.map((upstream) => ({ upstream, model: '*', ...PRICES }))],
  }
}

/** A fake provider and gateways in front of it, on a database of their own. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const { processes = 1, embedded = false } = options
  const upstream = await startUpstream()
  const database = embedded || options.stores ? null : await freshDatabase()
  const stores =
    database === null ? (options.stores ?? {}) : { databaseUrl: database.url, redisUrl: redisUrl() }
  const config = {
    ...configFor(upstream.url, DEAD_PORT, options.prices ?? []),
    ...options.config,
  }
  const start = (more: Readonly<Record<string, unknown>> = {}): Promise<Gateway> =>
    startGateway({ ...stores, config: { ...config, ...more }, env: options.env ?? {} })
  const gateways = await Promise.all(Array.from({ length: processes }, () => start()))
  const [gateway] = gateways
  if (gateway === undefined) throw new Error('a world has a gateway')
  return {
    upstream,
    gateways,
    gateway,
    databaseUrl: database?.url ?? null,
    customer: (credits, limits) => gateway.admin.customer(credits, limits),
    async join(more) {
      const joined = await start(more)
      gateways.push(joined)
      return joined
    },
    async end() {
      await Promise.all(gateways.map((one) => one.end()))
      await upstream.close()
      await database?.drop()
    },
  }
}

let models = 0
/** A name no other test uses; the prefix chooses the upstream's policy. */
export const newModel = (prefix = 'model'): string => `${prefix}-${(models += 1)}`

export const bodyFor = (
  family: FamilyName,
  model: string,
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> => ({
  model,
  messages: [{ role: 'user', content: 'What is the weather in Bern?' }],
  ...(family === 'anthropic' ? { max_tokens: 500 } : {}),
  ...more,
})

/** One request as a plain HTTP client sends it, to the family's chat. */
export function ask(
  gateway: Gateway,
  family: FamilyName,
  apiKey: string,
  body: unknown,
  init: { headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<Response> {
  return post(gateway, PATHS[family], apiKey, body, init)
}

export function post(
  gateway: Gateway,
  path: string,
  apiKey: string,
  body: unknown,
  init: { headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<Response> {
  return fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${apiKey}`,
      'content-type': 'application/json',
      ...init.headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(init.signal === undefined ? {} : { signal: init.signal }),
  })
}

export const requestIdOf = (response: Response): string => {
  const id = response.headers.get('x-farebox-request-id')
  if (id === null) throw new Error('no x-farebox-request-id')
  return id
}

export interface Expected {
  readonly usage?: Readonly<Record<string, number>>
  readonly estimated?: boolean
}

/**
 * The receipt of a request that was charged: posted at once where its answer was complete, buckets
 * as given, and a cost that is exactly their price and exactly what the entries took.
 */
export async function expectCharged(
  world: World,
  requestId: string,
  expected: Expected,
): Promise<Receipt> {
  const receipt = await world.gateway.admin.receipt(requestId)
  expect(receipt.status).toBe('posted')
  expectReceipt(receipt, expected)
  return receipt
}

/** The same for a request whose end nobody saw. */
export async function expectChargedSoon(
  world: World,
  requestId: string,
  expected: Expected,
): Promise<Receipt> {
  const receipt = await until(async () => {
    const found = await world.gateway.admin.receipt(requestId)
    return found.status === 'posted' && found
  })
  expectReceipt(receipt, expected)
  return receipt
}

const numbers = (usage: Receipt['usage']): Record<string, number> =>
  Object.fromEntries(
    Object.entries(usage).map(([bucket, count]) => {
      if (typeof count !== 'number') throw new Error(`${bucket} is not a number`)
      return [bucket, count]
    }),
  )

function expectReceipt(receipt: Receipt, { usage, estimated = false }: Expected): void {
  if (usage !== undefined) expect(receipt.usage).toEqual(usage)
  expect(receipt.estimated).toBe(estimated)
  expect(receipt.cost.micros).toBe(chargeFor(numbers(receipt.usage)))
  expect(receipt.cost.micros).toBeGreaterThan(0)
  const taken = receipt.entries.reduce((sum, entry) => sum + entry.micros, 0)
  expect(Math.abs(taken)).toBe(receipt.cost.micros)
}

/** Nothing is held any more and exactly this was spent of the credits granted. */
export async function expectSpent(
  world: World,
  customer: Customer,
  grantedCredits: number,
  spentMicros: number,
): Promise<void> {
  const left = grantedCredits * MICROS - spentMicros
  await until(async () => {
    const balance = await world.gateway.admin.balance(customer.apiKey)
    expect(balance.held.micros).toBe(0)
    expect(balance.posted.micros).toBe(left)
    expect(balance.available.micros).toBe(left)
    return true
  })
}

const usagePage = z.object({ data: z.array(z.object({ request_id: z.string() })) })

/** Ids of all requests of an account that were charged, newest first. */
export async function chargedRequests(world: World, customer: Customer): Promise<string[]> {
  const headers = { authorization: `Bearer ${customer.apiKey}` }
  const response = await fetch(`${world.gateway.url}/farebox/v1/usage?limit=200`, { headers })
  return usagePage.parse(await response.json()).data.map((row) => row.request_id)
}

/** The one request of an account whose client saw no id. */
export const onlyRequestOf = (world: World, customer: Customer): Promise<string> =>
  until(async () => {
    const [only, ...more] = await chargedRequests(world, customer)
    expect(more).toEqual([])
    return only
  })
