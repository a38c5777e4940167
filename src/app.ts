import type { FastifyInstance } from 'fastify'
import { openApiPlugin } from './access/http/openapi.ts'
import { makeSubjects, type SubjectSettings } from './access/subjects.ts'
import { makeAuthenticator, type CachingAuthenticator } from './access/authenticator.ts'
import { ADMIN_PREFIX, adminPlugin, makeAdminSurface, type AdminSurface } from './admin/plugin.ts'
import { makePriceAdmin } from './admin/prices.ts'
import { makeBackground } from './app/background.ts'
import { makeConfiguredClaims, registerClaims, type ConfiguredClaims } from './app/claims.ts'
import { registerBilling } from './app/billing-routes.ts'
import { inboxState, makeBilling, noteCharged, type Billing } from './app/billing.ts'
import { registerAccess } from './app/access.ts'
import { makeCore, type Core } from './app/credits.ts'
import { configureGateway, type ConfiguredGateway } from './app/gateway.ts'
import { registerHolds } from './app/holds.ts'
import { makeCountedLoops, startLoops } from './app/loops.ts'
import { makeModelList } from './app/models.ts'
import { makeNotify, type Notify } from './app/notify.ts'
import { openPrices, type Prices } from './app/prices.ts'
import { makeServer } from './app/server.ts'
import { costsOf, reconciliationOf } from './app/reconcile.ts'
import { makeReadiness } from './app/readiness.ts'
import { makeUsageOut, type UsageOut } from './app/reporting.ts'
import type { Starting } from './app/starting.ts'
import { stopInOrder } from './app/stop.ts'
import { openStores, type Stores } from './app/stores.ts'
import { scrapedBy, type Control } from './app/workers/worker.ts'
import { makeHints } from './billing/recharge/hints.ts'
import type { Config, Environment } from './config.ts'
import { makeKeyRows } from './gateway/idempotency/rows.ts'
import { gatewayPlugin } from './gateway/plugin.ts'
import { makeStoredIds, type StoredIds } from './gateway/stored/stored-ids.ts'
import type { Clock } from './kernel/clock.ts'
import type { Ids } from './kernel/ids.ts'
import { describeError, type Log } from './kernel/log.ts'
import type { Loops } from './ops/loops.ts'
import { makeMetrics, type Metrics } from './ops/metrics.ts'
import { opsPlugin } from './ops/plugin.ts'
import { cachedCopies } from './reconcile/access.ts'
import { makeCostBook, type CostBook } from './reconcile/costs/config.ts'
import type { Reconcile } from './reconcile/run.ts'
import { makePortalSurface, PORTAL_PREFIX, portalPlugin } from './portal/plugin.ts'
import { makeTokenizer, type Tokenizer } from './pricing/tokenizer.ts'
import { METERED } from './protocols/registry.ts'
import { migrate } from './store/migrate.ts'

export interface AppOptions {
  readonly environment: Environment
  readonly config: Config
  readonly adminToken: string | null
  readonly dataDir: string
  readonly version: string
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
  readonly control: Pick<Control, 'metrics' | 'shows' | 'unheard'>
  readonly migrates: Starting['migrates']
}

/** A gateway process, composed and not yet listening. */
export interface App {
  readonly core: Core
  /** Listens; answers the base URL. Throws where the port is taken. */
  listen(host: string, port: number): Promise<string>
  /** Takes what a reload may change: upstreams, prices, limits of requests. */
  configure(config: Config): void
  /** Finishes what is open, posts, clears and closes. Answers receipts left unposted. */
  stop(deadlineMs: number): Promise<number>
  /** Posts what is settled, at most `waitMs`, for an exit at once. */
  hurry(waitMs: number): Promise<void>
}

interface Parts extends AppOptions {
  readonly stores: Stores
  readonly prices: Prices
  readonly metrics: Metrics
  readonly core: Core
  /** null = no Stripe key is set. */
  readonly billing: Billing | null
  readonly notify: Notify
  readonly usage: UsageOut
  readonly stored: StoredIds
  readonly claims: ConfiguredClaims
  readonly tokenizer: Tokenizer
  readonly loops: Loops
  readonly state: { draining: boolean }
  /** As the configuration in force has it. */
  readonly subjects: { now: SubjectSettings }
  readonly costs: { now: CostBook }
}

/** Opens the stores and wires everything. The only place where parts meet. */
export async function makeApp(options: AppOptions): Promise<App> {
  const { config, clock, log } = options
  const stores = await openStores(options, (db) => migrate(db, options))
  const prices = await openPrices(stores.db, config, clock)
  const metrics = makeMetrics(options.environment.worker)
  options.control.shows(metrics.text)
  const claims = makeConfiguredClaims({ ...options, db: stores.db })
  const notify = makeNotify({
    ...{ ...options, db: stores.db, metrics },
    claimLink: (...named) => claims.claims.link(...named),
  })
  const usage = makeUsageOut({ ...options, db: stores.db, metrics })
  const hints = makeHints()
  const stored = makeStoredIds({ db: stores.db, clock })
  const beside = [notify, usage, stored, noteCharged(hints)]
  const core = makeCore({ ...options, stores, prices, metrics, beside, ...notify })
  await core.entitle.publish(config)
  const parts: Parts = {
    ...options,
    stores,
    prices,
    metrics,
    core,
    notify,
    usage,
    stored,
    claims,
    billing: makeBilling({
      ...{ ...options, ...core, db: stores.db, hooks: metrics, hints },
      tell: (...told) => notify.outbox.add(...told),
      ...usage.heard,
    }),
    tokenizer: makeTokenizer({ clock }),
    loops: makeCountedLoops({ clock, log, metrics }),
    state: { draining: false },
    subjects: { now: subjectSettings(config) },
    costs: { now: makeCostBook(config) },
  }
  const { server, gateway } = wire(parts)
  return {
    core,
    listen: (host, port) => server.listen({ host, port }),
    configure(next) {
      prices.configure(next)
      gateway.configure(next)
      parts.billing?.configure(next)
      notify.configure(next)
      usage.configure(next)
      claims.configure(next)
      parts.subjects.now = subjectSettings(next)
      parts.costs.now = makeCostBook(next)
      publishPlans(core, log, next)
    },
    stop: (deadlineMs) => stopInOrder(parts, server, gateway, deadlineMs),
    async hurry(waitMs) {
      await core.poster.drain(waitMs)
    },
  }
}

/** Where it fails the plans that rule go on; the next reload or start tries again. */
function publishPlans({ entitle }: Core, log: Log, config: Config): void {
  entitle.publish(config).catch((error: unknown) => {
    log.error({ error: describeError(error) }, 'the plans of the new configuration do not rule')
  })
}

const subjectSettings = ({ subjects }: Config): SubjectSettings => ({
  create: subjects.create,
  starterMicros: subjects.starter_credits ?? null,
  starterDays: subjects.starter_expires_days ?? null,
})

function wire(parts: Parts): { server: FastifyInstance; gateway: ConfiguredGateway } {
  const { core, stores, prices, metrics, config, environment, clock, ids, log } = parts
  const { db, engine } = stores
  const subjects = makeSubjects({ ...core, db, clock, ids, settings: () => parts.subjects.now })
  const reconcile = reconciliationOf(parts)
  const authenticator = makeAuthenticator({ db, clock, log, mode: environment.mode, subjects })
  core.cached.of = (id) => cachedCopies(authenticator.cachedOf(id), subjects.cachedOf(id))
  const keyRows = makeKeyRows(db)
  const background = makeBackground({ ...core, db, engine, stored: parts.stored })
  const gateway = configureGateway(
    {
      ...parts,
      background: background.deps,
      authenticator,
      subjects,
      keyRows,
      engine,
      ...{ book: prices.book, holds: core.credits.holds },
    },
    config,
  )
  const server = makeServer({ ids, log, hooks: metrics, isDraining: () => parts.state.draining })
  const admin = adminSurface(parts, reconcile)
  const portalDeps = {
    ...core,
    engine,
    authenticator,
    subjects,
    log,
    showProviderCost: () => config.receipts.show_provider_cost,
  }
  const portal = makePortalSurface(portalDeps)
  const models = makeModelList({ book: prices.book, upstreams: gateway.deps.upstreams, clock })
  const { version, adminToken } = parts
  server.register(sync(gatewayPlugin), { deps: gateway.deps, ...METERED, models })
  server.register(sync(adminPlugin), {
    prefix: ADMIN_PREFIX,
    surface: admin,
    token: adminToken,
    log,
  })
  server.register(sync(portalPlugin), { prefix: PORTAL_PREFIX, surface: portal, deps: portalDeps })
  const sales = registerBilling(server, { ...parts, ...core, authenticator, subjects })
  const claims = registerClaims(server, { ...parts, ...core, authenticator })
  const holds = registerHolds(server, { ...parts, ...core, db, engine, authenticator, subjects })
  const access = registerAccess(server, { ...parts, ...core, db, engine, authenticator })
  const surfaces = [admin, portal, ...sales, claims, holds, access]
  server.register(sync(openApiPlugin), { version, surfaces })
  const scraped = scrapedBy(parts.control, metrics)
  server.register(sync(opsPlugin), { health: makeReadiness(parts), metrics: scraped, version })
  watchFigures(parts, authenticator, gateway)
  background.follow(gateway.deps, parts.loops, parts.state)
  startLoops({ ...parts, authenticator, keyRows, reconcile, leaseMs: config.holds.lease_ms })
  return { server, gateway }
}

function adminSurface(parts: Parts, reconcile: Reconcile): AdminSurface {
  const { stores, prices, clock } = parts
  return makeAdminSurface({
    ...{ ...parts, ...parts.core, ...stores },
    stripe: parts.billing,
    reconcile,
    costs: costsOf(parts),
    usage: parts.usage,
    claims: parts.claims.claims,
    outbox: parts.notify.outbox,
    prices: makePriceAdmin({ ...prices, clock }),
  })
}

/** What the process tells of itself when it is scraped. */
function watchFigures(
  { core, metrics, notify, billing, clock }: Parts,
  authenticator: CachingAuthenticator,
  gateway: ConfiguredGateway,
): void {
  metrics.watch({
    openHolds: () => core.credits.holds.openCount,
    backlog: () => core.poster.backlog,
    breakerOpen: () => core.poster.breakerOpen,
    cachedKeys: () => authenticator.cached,
    drains: () => gateway.deps.drains.count,
    requestBodiesBytes: () => gateway.deps.bodyRoom.taken,
  })
  metrics.watchBreakers(gateway.breakers)
  metrics.watchNotifications(() => notify.outbox.backlog())
  if (billing === null) return
  metrics.watchInbox(() => inboxState(billing, clock))
  metrics.watchRecharges(() => billing.recharges.counts())
}

/** Fastify tells a plugin that is done by its promise. */
const sync =
  <Options>(plugin: (app: FastifyInstance, options: Options) => void) =>
  async (app: FastifyInstance, options: Options): Promise<void> => {
    plugin(app, options)
    await Promise.resolve()
  }
