import { makePlanBooks } from '../access/plans/book.ts'
import { makeEntitle } from '../access/plans/entitle.ts'
import { makeCatalogue } from '../billing/catalogue.ts'
import { makeEffects, type EffectsDeps } from '../billing/effects/effects.ts'
import { withoutTheGone } from '../billing/effects/gone.ts'
import { makeEventEffect } from '../billing/effects/of-event.ts'
import { makeInvoiceReader } from '../billing/effects/read-invoice.ts'
import { makeReader } from '../billing/effects/read-payment.ts'
import { targetOf } from '../billing/effects/target.ts'
import { makeFindings } from '../billing/findings.ts'
import { makeInbox } from '../billing/inbox.ts'
import { makeRechargeReader } from '../billing/recharge/read.ts'
import { makeStripe } from '../billing/stripe.ts'
import { makeInvoiceState, makeWalk } from '../billing/walk.ts'
import { makeInboxWorker } from '../billing/worker.ts'
import { ConfigError, loadConfig, type Config, type Environment } from '../config.ts'
import { sleep, systemClock, type Clock } from '../kernel/clock.ts'
import { makeIds, type Ids } from '../kernel/ids.ts'
import { REPLAY_STATEMENT_MS_MAX } from '../kernel/limits/replay.ts'
import { POSTGRES_POOL_MAX } from '../kernel/limits/stores.ts'
import { silentLog, type Log } from '../kernel/log.ts'
import { replayFromZero, type ReplayReport } from '../reconcile/replay/replay.ts'
import { makeLog } from '../ops/log.ts'
import type { Db } from '../store/db.ts'
import { migrate } from '../store/migrate.ts'
import { openPostgres } from '../store/postgres.ts'
import { readOnly } from '../store/read-only.ts'

export interface ReplayParts {
  readonly environment: Pick<Environment, 'stripe' | 'mode'>
  readonly config: Config
  readonly source: Db
  readonly target: Db
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
  readonly pause: (ms: number) => Promise<void>
  readonly progress: (text: string) => void
}

const nobody = (): Promise<void> => Promise.resolve()
const NO_HOOKS = {
  usable: () => undefined,
  notGranted: () => undefined,
  recharged: () => undefined,
  processed: () => undefined,
}

/** What is for sale, without the keys that came with it: nobody is given one again. */
function catalogueOf(config: Config) {
  const packs = config.packs.map((pack) => ({ ...pack, issue_key: undefined }))
  const plans = config.plans.map((plan) => ({ ...plan, issue_key: undefined }))
  return makeCatalogue({ ...config, packs, plans })
}

/** What the effects need, over the target; nobody is told, loaded or given anything. */
function effectsDeps(parts: ReplayParts, stripe: ReturnType<typeof makeStripe>): EffectsDeps {
  const { target: db, config, clock, ids, log } = parts
  const catalogue = catalogueOf(config)
  const entitle = makeEntitle({ db, books: makePlanBooks(), ids, clock, tell: nobody })
  return {
    ...{ db, clock, ids, log, hooks: NO_HOOKS, tell: nobody, reload: nobody },
    ...{ reader: makeReader(stripe), invoices: makeInvoiceReader(stripe) },
    recharges: makeRechargeReader(stripe),
    catalogue: () => catalogue,
    findings: makeFindings({ db, ids, clock }),
    entitle: entitle.entitle,
  }
}

/**
 * A replay of one database into another: the effects and the inbox of billing, over the target,
 * with a client of Stripe that can only read. Source: design §7.
 */
export async function runReplay(parts: ReplayParts): Promise<ReplayReport> {
  const { environment, config, target: db, clock, ids, log } = parts
  const { mode } = environment
  if (environment.stripe === null) throw new ConfigError('Set STRIPE_SECRET_KEY.')
  const stripe = makeStripe({ ...environment.stripe, isReadOnly: true })
  const deps = effectsDeps(parts, stripe)
  const effects = makeEffects(deps)
  const inbox = makeInbox({ db, ids })
  const effect = withoutTheGone(db, makeEventEffect({ db, effects, mode }))
  const { findings } = deps
  const worker = makeInboxWorker({
    ...{ inbox, effect, findings, hooks: NO_HOOKS, clock, random: Math.random, log },
  })
  return replayFromZero({
    ...parts,
    ...{ mode, inbox, worker, effects, walk: makeWalk(stripe) },
    invoiceState: makeInvoiceState(stripe),
    book: () => makePlanBooks().ruling(db),
    source: readOnly(parts.source, REPLAY_STATEMENT_MS_MAX),
    targetOf: (subject) => targetOf(deps, subject),
    migrate: (target) => migrate(target, { clock, log }),
    prepare: () =>
      makeEntitle({ db, books: makePlanBooks(), ids, clock, tell: nobody }).publish(config),
  })
}

/** `farebox replay`: from DATABASE_URL into another. Throws ConfigError, ReplayRefusedError. */
export async function replayHere(
  environment: Environment,
  into: string,
  progress: (text: string) => void,
): Promise<ReplayReport> {
  const { databaseUrl } = environment
  if (databaseUrl === null) throw new ConfigError('Set DATABASE_URL: what is to be replayed.')
  if (environment.stripe === null) throw new ConfigError('Set STRIPE_SECRET_KEY.')
  const config = loadConfig(environment)
  const log = makeLog({ level: 'error' })
  const clock = systemClock
  const open = (url: string): Db => openPostgres({ url, poolMax: POSTGRES_POOL_MAX, log })
  const [source, target] = [open(databaseUrl), open(into)]
  try {
    return await runReplay({
      ...{ environment, config, source, target, clock, ids: makeIds(clock), log: silentLog },
      ...{ pause: (ms) => sleepAwake(clock, ms), progress },
    })
  } finally {
    await Promise.all([source.close(), target.close()])
  }
}

/** A pause in which nothing else goes on must keep the process alive itself. */
function sleepAwake(clock: Clock, ms: number): Promise<void> {
  const awake = setInterval(() => undefined, ms)
  return sleep(clock, ms).finally(() => {
    clearInterval(awake)
  })
}
