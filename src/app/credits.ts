import { randomUUID } from 'node:crypto'
import { makeAccounts, type Accounts } from '../access/accounts.ts'
import { makePlanBooks } from '../access/plans/book.ts'
import { makeEntitle, type Entitle, type EntitleDeps } from '../access/plans/entitle.ts'
import { makeKeys, type Keys } from '../access/keys.ts'
import { makeReload, type Reload } from '../access/reload.ts'
import { makeOperations, type Operations } from '../admin/operations.ts'
import { makeExceptions, type Exceptions } from '../access/plans/exceptions.ts'
import type { Config, Environment } from '../config.ts'
import { readScripts, scriptFacts } from '../credits/redis/transport.ts'
import { makeCredits, type Credits } from '../credits/lifecycle.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import type { Books } from '../ledger/books.ts'
import { makeMargins, type Margins } from '../ledger/margins/margins.ts'
import { makePoster, type PosterHooks } from '../ledger/group-commit.ts'
import { makeBooks, type BooksOptions } from '../ledger/ledger-books.ts'
import type { Poster } from '../ledger/poster.ts'
import { makePostingLedger, type PostingLedgerOptions } from '../ledger/posting-ledger.ts'
import type { Metrics } from '../ops/metrics.ts'
import { makeDoctor, type DoctorDeps } from '../reconcile/doctor.ts'
import type { CachedCopy } from '../reconcile/access.ts'
import { makeVerify } from '../reconcile/verify.ts'
import { migrationNames } from '../store/migrate.ts'
import type { Prices } from './prices.ts'
import { stripeExpected } from './stripe-setup.ts'
import type { Stores } from './stores.ts'

/** Ledger, credits and access over a pair of stores: what serving and the commands both need. */
export interface Core {
  readonly stores: Stores
  readonly books: Books
  readonly margins: Margins
  readonly poster: Poster
  readonly credits: Credits
  readonly accounts: Accounts
  readonly keys: Keys
  readonly reload: Reload
  readonly entitle: Entitle
  readonly exceptions: Exceptions
  /** What this process knows of an account's callers. */
  readonly cached: CachedAccess
  readonly operations: Operations
}

/** Somebody who writes beside the ledger, such as rows of an outbox. */
export interface Beside {
  readonly alongside: NonNullable<PostingLedgerOptions['alongside']>
  readonly reversed?: BooksOptions['reversed']
}

/** Filled in when there are callers. */
export interface CachedAccess {
  of: (accountId: string) => readonly CachedCopy[]
}

export interface CoreDeps {
  readonly stores: Stores
  readonly prices: Prices
  readonly environment: Environment
  readonly config: Config
  /** The token in force, which quickstart may have made. */
  readonly adminToken: string | null
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
  readonly metrics: Pick<Metrics, 'posted' | 'loaded' | 'recovered' | 'earned' | 'deferred'>
  /** Those who write in the transactions that post and that reverse. */
  readonly beside?: readonly Beside[]
  /** Who is told of unpaid plans and of trials; absent = nobody. */
  readonly tellPlan?: EntitleDeps['tell']
}

/** Several as one. */
const joined = (beside: readonly Beside[]): Beside => ({
  alongside: (...posted) => beside.flatMap((one) => one.alongside(...posted)),
  async reversed(...reversal) {
    for (const one of beside) await one.reversed?.(...reversal)
  },
})

/**
 * Revenue and cost for the metrics: near enough for a chart; `farebox margins` is exact. A
 * correction that lowers a charge is left out, because a counter must not fall.
 */
function tellEarned({ metrics, prices }: CoreDeps): NonNullable<PostingLedgerOptions['posted']> {
  return (postings) => {
    const microsAUsd = Number(prices.perUsd()) * 1_000_000
    for (const { receipt, deltaMicros, unearnedMicros, isFirst, isVoid } of postings) {
      const revenueUsd = isVoid ? 0 : Math.max(0, deltaMicros - unearnedMicros) / microsAUsd
      const costUsd = isFirst ? Number(receipt.providerCostPicoUsd) / 1e12 : 0
      metrics.earned(receipt.upstream, revenueUsd, costUsd)
    }
  }
}

const makeLedger = (deps: CoreDeps) =>
  makePostingLedger({
    ...{ db: deps.stores.db, ids: deps.ids },
    ...joined(deps.beside ?? []),
    posted: tellEarned(deps),
  })

/** Who pays, with which keys, and what that lets them do. */
function makeAccess({ stores: { db }, clock, ids, environment, tellPlan }: CoreDeps) {
  const tell = tellPlan ?? (() => Promise.resolve())
  const entitle = makeEntitle({ db, books: makePlanBooks(), ids, clock, tell })
  const accounts = makeAccounts({ db, clock, ids, entitle: entitle.entitle })
  const exceptions = makeExceptions({ db, entitle, clock, ids })
  return {
    entitle,
    exceptions,
    accounts,
    keys: makeKeys({ db, clock, ids, mode: environment.mode }),
  }
}

const posterHooks = (metrics: CoreDeps['metrics']): PosterHooks => ({
  batch: (receipts, durationMs) => {
    metrics.posted({ receipts, durationMs, ok: true })
  },
  failed: () => {
    metrics.posted({ receipts: 0, durationMs: 0, ok: false })
  },
  deferred: metrics.deferred,
})

type DoctorParts = Pick<CoreDeps, 'stores' | 'environment' | 'config' | 'adminToken' | 'clock'>

export function doctorOf(
  parts: DoctorParts,
  priced: Pick<DoctorDeps, 'hasPrice' | 'unpriced'>,
): Operations['doctor'] {
  const { db, engine, redis } = parts.stores
  return makeDoctor({
    db,
    engine,
    redis,
    ...(redis !== null && { scripts: scriptFacts(readScripts()) }),
    clock: parts.clock,
    adminToken: parts.adminToken,
    ...priced,
    migrations: migrationNames(),
    stripe: stripeExpected(parts),
  })
}

export function makeCore(deps: CoreDeps): Core {
  const { stores, prices, config, clock, ids, log, metrics } = deps
  const { db, engine } = stores
  const ledger = makeLedger(deps)
  const postWaitMs = config.post_wait_ms
  const poster = makePoster({ ledger, clock, log, postWaitMs, on: posterHooks(metrics) })
  const leaseMs = config.holds.lease_ms
  const credits = makeCredits({
    engine,
    ledger,
    poster,
    clock,
    log,
    owner: randomUUID(),
    leaseMs,
    durability: config.durability,
    on: { loaded: metrics.loaded, recovered: metrics.recovered },
  })
  const { accounts, keys, ...plans } = makeAccess(deps)
  const cached: CachedAccess = { of: () => [] }
  const priced = {
    hasPrice: (upstream: string, model: string) =>
      prices.book.explain({ upstream, model }, clock.now()) !== null,
    unpriced: () => prices.unpriced(clock.now()),
  }
  const operations = makeOperations({
    verify: makeVerify({
      ...{ db, engine, clock, sweepMs: leaseMs / 3 },
      access: { read: plans.entitle.read, cached: (id) => cached.of(id) },
    }),
    doctor: doctorOf(deps, priced),
    ...{ accounts, keys, engine, clock },
    loads: credits.loads,
    recovery: credits.recovery,
    renewalMs: leaseMs / 3,
  })
  const reload = makeReload(credits.loads)
  const books = makeBooks({ db, ids, ...joined(deps.beside ?? []) })
  const margins = makeMargins({ db, perUsd: prices.perUsd })
  const ways = { accounts, keys, reload, cached, operations, ...plans }
  return { stores, books, margins, poster, credits, ...ways }
}
