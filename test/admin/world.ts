import type { z } from 'zod'
import { makeSubjects } from '../../src/access/subjects.ts'
import { notifyConfigSchema } from '../../src/notify/config.ts'
import { makeOutbox } from '../../src/notify/outbox.ts'
import type { Reporting } from '../../src/reporting/reporting.ts'
import { makeMeterViews, type MeterViews } from '../../src/reporting/status.ts'
import Fastify, { type FastifyInstance } from 'fastify'
import { makeAccounts } from '../../src/access/accounts.ts'
import { makeClaims } from '../../src/access/claims/claims.ts'
import { makeAuthenticator } from '../../src/access/authenticator.ts'
import { openApiPlugin } from '../../src/access/http/openapi.ts'
import { makeKeys } from '../../src/access/keys.ts'
import { makePlanBooks } from '../../src/access/plans/book.ts'
import { makeEntitle } from '../../src/access/plans/entitle.ts'
import { makeExceptions } from '../../src/access/plans/exceptions.ts'
import { makeReload } from '../../src/access/reload.ts'
import { makeOperations } from '../../src/admin/operations.ts'
import { ADMIN_PREFIX, adminPlugin, makeAdminSurface } from '../../src/admin/plugin.ts'
import { makePriceAdmin } from '../../src/admin/prices.ts'
import { makeIncarnations } from '../../src/credits/incarnations.ts'
import { makeCredits } from '../../src/credits/lifecycle.ts'
import { makeEngine } from '../../src/credits/engine.ts'
import { makeRedisTransport, readScripts } from '../../src/credits/redis/transport.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { micros as brand } from '../../src/kernel/money.ts'
import { makeMargins } from '../../src/ledger/margins/margins.ts'
import { makePoster } from '../../src/ledger/group-commit.ts'
import { makeBooks } from '../../src/ledger/ledger-books.ts'
import { makePostingLedger } from '../../src/ledger/posting-ledger.ts'
import { configSchema } from '../../src/config-schema.ts'
import { makeReconciliation } from '../../src/app/reconcile.ts'
import { claimLinksPlugin, makeClaimLinksSurface } from '../../src/portal/claim-links.ts'
import { claimPlugin } from '../../src/portal/claims.ts'
import { makePortalSurface, PORTAL_PREFIX, portalPlugin } from '../../src/portal/plugin.ts'
import { makePriceBook } from '../../src/pricing/book.ts'
import { loadCatalogue } from '../../src/pricing/catalogue.ts'
import { makePricesTable } from '../../src/pricing/prices-table.ts'
import { makeCostBook } from '../../src/reconcile/costs/config.ts'
import { makeCosts } from '../../src/reconcile/costs/costs.ts'
import { makeDrifts } from '../../src/reconcile/drift.ts'
import { makeDoctor } from '../../src/reconcile/doctor.ts'
import type { CachedCopy } from '../../src/reconcile/access.ts'
import { makeVerify } from '../../src/reconcile/verify.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { oneNode } from '../../src/store/redis-nodes.ts'
import { openRedis } from '../../src/store/redis.ts'
import { freshDatabase, startRedis } from '../support/stores.ts'

const UPSTREAMS = { openai: { protocol: 'openai' }, claude: { protocol: 'anthropic' } }
const RECONCILE = {
  costs: {
    azure: {
      upstreams: ['azure'],
      columns: { day: 'Datum', model: 'Zähler', cost: 'Kosten' },
      models: { 'GPT 4o Inp': 'gpt-4o' },
    },
  },
}

export const ADMIN_TOKEN = 'an-admin-token-of-some-length-0123'
export const LEASE_MS = 3_000
export const SWEEP_MS = 500

/** Usage on its way to Stripe; a test may put a reporter in. */
interface Usage {
  views: MeterViews
  reporting: Reporting | null
}

/** Everything behind the operator's and the customer's routes, on real stores of its own. */
export async function makeWorld(notify: z.input<typeof notifyConfigSchema> = {}) {
  const database = await freshDatabase()
  const redisServer = await startRedis({ appendOnly: true })
  const [clock, log] = [systemClock, silentLog]
  const ids = makeIds(clock)
  const db = openPostgres({ url: database.url, poolMax: 8, log })
  const redis = openRedis({ url: redisServer.url, log })
  const engine = makeEngine({
    transport: makeRedisTransport({ nodes: oneNode(redis), scripts: readScripts() }),
    incarnations: makeIncarnations({ db, clock }),
    clock,
    ids,
    log,
  })
  const ledger = makePostingLedger({ db, ids })
  const poster = makePoster({ ledger, clock, log, postWaitMs: 2_000 })
  const credits = makeCredits({
    engine,
    ledger,
    poster,
    clock,
    log,
    owner: 'test',
    leaseMs: LEASE_MS,
    durability: 'posted',
    on: { loaded: () => undefined, recovered: () => undefined },
  })
  const books = makeBooks({ db, ids })
  const [accounts, keys] = [
    makeAccounts({ db, clock, ids }),
    makeKeys({ db, clock, ids, mode: 'test' }),
  ]
  const plans = { books: makePlanBooks(), tell: () => Promise.resolve() }
  const entitle = makeEntitle({ db, ids, clock, ...plans })
  const exceptions = makeExceptions({ db, entitle, clock, ids })
  const table = makePricesTable(db)
  const book = makePriceBook({
    catalogue: await loadCatalogue(),
    sources: {
      upstreams: [{ name: 'openai', protocol: 'openai', catalogue: 'openai' }],
      credits: { per_usd: '100', markup: '1.2' },
      config: { prices: [], sell: [] },
      admin: await table.load(),
    },
  })
  const refresh = async () => {
    book.replace({ admin: await table.load() })
  }
  const reload = makeReload(credits.loads)
  const authenticator = makeAuthenticator({ db, clock, log, mode: 'test' })
  const verify = makeVerify({ db, engine, clock, sweepMs: SWEEP_MS })
  const hasPrice = (upstream: string, model: string) =>
    book.explain({ upstream, model }, clock.now()) !== null
  const doctor = makeDoctor({
    ...{ db, engine, redis: oneNode(redis), clock, hasPrice, unpriced: () => [] },
    adminToken: ADMIN_TOKEN,
    migrations: ['0001-core'],
    stripe: null,
  })
  const operations = makeOperations({
    ...{ verify, doctor, accounts, keys, engine, clock },
    loads: credits.loads,
    recovery: credits.recovery,
    renewalMs: LEASE_MS / 3,
  })
  const copies: { of: (accountId: string) => readonly CachedCopy[] } = { of: () => [] }
  const core = { operations, entitle, cached: copies, stores: { db, engine } }
  const reconcile = makeReconciliation({
    ...{ core, stripe: null, leaseMs: LEASE_MS, clock, ids, quarantineMs: 0 },
  })
  const prices = makePriceAdmin({ book, table, refresh, clock })
  const settings = () => ({ publicUrl: 'https://ai.example', linkMs: 60_000 })
  const usage: Usage = { views: makeMeterViews({ db, clock }), reporting: null }
  const deps = {
    ...{ entitle, exceptions },
    claims: makeClaims({ db, clock, ids, mode: 'test', settings }),
    margins: makeMargins({ db, perUsd: () => '100' }),
    ...{ db, accounts, keys, books, engine, prices, operations, reload, clock, ids, log },
    stripe: null,
    usage,
    reconcile,
    costs: makeCosts({
      ...{ db, clock, drifts: makeDrifts({ db, ids, clock }) },
      book: () => makeCostBook(configSchema.parse({ upstreams: UPSTREAMS, reconcile: RECONCILE })),
    }),
    outbox: makeOutbox({ db, ids, config: () => notifyConfigSchema.parse(notify) }),
  }
  const admin = makeAdminSurface(deps)
  const subjects = makeSubjects({
    ...deps,
    settings: () => ({ create: false, starterMicros: null, starterDays: null }),
  })
  const portalDeps = { ...deps, authenticator, subjects, showProviderCost: () => true }
  const portal = makePortalSurface(portalDeps)
  const app: FastifyInstance = Fastify({ genReqId: () => ids.uuid() })
  await app.register(adminPlugin, {
    prefix: ADMIN_PREFIX,
    surface: admin,
    token: ADMIN_TOKEN,
    log,
  })
  await app.register(portalPlugin, { prefix: PORTAL_PREFIX, surface: portal, deps: portalDeps })
  const links = makeClaimLinksSurface({ ...deps, authenticator })
  const linksPart = { surface: links, deps: { ...deps, authenticator } }
  await app.register(claimLinksPlugin, { prefix: PORTAL_PREFIX, ...linksPart })
  await app.register(
    async (pages) => {
      claimPlugin(pages, { ...deps, baseUrl: () => settings().publicUrl })
      await Promise.resolve()
    },
    { prefix: '' },
  )
  await app.register(openApiPlugin, { version: '0.0.0', surfaces: [admin, portal] })
  return {
    ...deps,
    ...{ core, copies },
    ...{ app, redis, credits, poster, ledger, redisServer, database, authenticator, book },
    admin: makeCaller(app, ADMIN_PREFIX, ADMIN_TOKEN),
    as: (secret: string) => makeCaller(app, PORTAL_PREFIX, secret),
    async close() {
      await app.close()
      await poster.drain(2_000)
      await engine.close()
      await db.close()
      await database.drop()
      await redisServer.stop()
    },
  }
}

export type World = Awaited<ReturnType<typeof makeWorld>>

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  // Answers are compared with what is expected of them, field by field.
  readonly body: Readonly<Record<string, unknown>>
}

type Send = (
  method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE',
  path: string,
  body?: object | string,
  headers?: Readonly<Record<string, string>>,
) => Promise<Reply>

export function makeCaller(app: FastifyInstance, prefix: string, token: string): Send {
  return async (method, path, body, headers = {}) => {
    const answer = await app.inject({
      method,
      url: `${prefix}${path}`,
      headers: { authorization: `Bearer ${token}`, ...headers },
      ...(body === undefined ? {} : { payload: body }),
    })
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body: answer.json<Record<string, unknown>>(),
    }
  }
}

/** Text out of an answer. */
export function textAt(reply: Reply, name: string): string {
  const value = reply.body[name]
  if (typeof value !== 'string') throw new Error(`no ${name} in ${JSON.stringify(reply)}`)
  return value
}

let count = 0

/** An account with credits and a key. */
export async function aCustomer(world: World, credits = '10') {
  count += 1
  const account = await world.admin('POST', '/accounts', { name: `Customer ${count}` })
  const accountId = textAt(account, 'id')
  const grant = { credits, kind: 'paid', reason: 'test', reference_id: `grant_${count}` }
  if (credits !== '0') await world.admin('POST', `/accounts/${accountId}/grants`, grant)
  const key = await world.admin('POST', `/accounts/${accountId}/keys`, { name: 'key' })
  return { accountId, keyId: textAt(key, 'id'), secret: textAt(key, 'key') }
}

/** Opens a hold as the gateway does. */
export async function openHold(
  world: World,
  customer: { accountId: string; keyId: string },
  amount: number,
) {
  const holdId = world.ids.uuid()
  const draft = {
    holdId,
    accountId: customer.accountId,
    keyId: customer.keyId,
    startedAtMs: Date.now(),
    protocol: 'openai-chat',
    endpoint: 'chat/completions',
    upstream: 'openai',
    model: 'gpt-4o',
    stream: false,
    estimated: false,
    usage: { input_tokens: 12, output_tokens: 34 },
    providerCostPicoUsd: '1230000000',
    priceVersion: 'seed:test',
    httpStatus: 200,
    firstByteMs: 3,
    durationMs: 5,
  }
  const want = brand(amount)
  const hold = await world.credits.holds.open({
    draft,
    wantMicros: want,
    leastMicros: want,
    keySeq: 0,
    tokens: 1,
  })
  if (!hold.ok) throw new Error(hold.message)
  const settle = async (charge: number) => {
    const settled = await hold.settle({ draft, micros: brand(charge), tokens: 46, answer: null })
    return settled.posted
  }
  return { holdId, hold, draft, settle }
}
