import type Stripe from 'stripe'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import type { WorkPool } from '../kernel/work-pool.ts'
import type { BooksOptions } from '../ledger/ledger-books.ts'
import type { PostingLedgerOptions } from '../ledger/posting-ledger.ts'
import type { Db } from '../store/db.ts'
import { makeChecks } from './checks.ts'
import { compareMeters, comparePairs, type ComparedHour, type CompareWindow } from './compare.ts'
import { makeMeterBook, type MeterBook, type MeterSettings } from './config.ts'
import { makeMeterDirectory, type MeterDirectory } from './directory.ts'
import { makeMeterFit } from './fit.ts'
import type { NoteFinding } from './findings.ts'
import { closeRest, makeUsageWatch, type UsageWatch } from './invoices.ts'
import { makeLanes } from './lanes.ts'
import { lookSince, type LookBackDeps } from './look-back.ts'
import { makeMeterNews, type ReadNews } from './meter-news.ts'
import { meterStatements, takeBackHold } from './outbox.ts'
import { moveReport, readTold, replaceReport, reportNamed } from './replace.ts'
import type { ReplaceDeps, Told } from './replace.ts'
import { makePruner } from './prune.ts'
import { makeReporter } from './reporter.ts'
import { makeSealer } from './seal.ts'
import { makeStripeSender } from './sender.ts'
import type { StepDeps } from './step.ts'

/** What the ledger writes for meters. */
export interface MeterOutbox {
  readonly book: () => MeterBook
  readonly alongside: NonNullable<PostingLedgerOptions['alongside']>
  readonly reversed: NonNullable<BooksOptions['reversed']>
  configure(settings: MeterSettings): void
}

export function makeMeterOutbox(settings: MeterSettings): MeterOutbox {
  let book = makeMeterBook(settings)
  return {
    book: () => book,
    alongside: (postings, nowMs) => meterStatements(postings, book, nowMs),
    reversed: takeBackHold,
    configure(next) {
      book = makeMeterBook(next)
    },
  }
}

/** What Stripe does not have, or may not have: a person said so. */
const RESEND = { states: ['refused', 'late', 'unclear'], note: 'sent again by hand' } as const

/** false = it is not a person's to send again; null = there is no such report. */
async function resend(
  deps: ReplaceDeps & LookBackDeps,
  name: string,
  isNow: boolean,
  newId: string,
): Promise<Told | false | null> {
  const id = await reportNamed(deps.db, name)
  if (id === null) return null
  const replaced = await replaceReport(deps, id, { ...RESEND, isNow, newId })
  if (replaced !== false || !isNow) return replaced
  await lookSince(deps, id)
  return moveReport(deps, id, newId)
}

/** The same with an id for the report that it makes: where that is there, it was done before. */
const resendOnce: typeof resend = async (deps, name, isNow, newId) => {
  const made = await readTold(deps.db, newId)
  if (made !== null) return made
  const resent = await resend(deps, name, isNow, newId)
  return resent === false ? ((await readTold(deps.db, newId)) ?? false) : resent
}

export interface ReportingDeps extends Pick<StepDeps, 'random' | 'onCall'> {
  readonly db: Db
  readonly stripe: Pick<Stripe, 'billing' | 'invoices' | 'prices' | 'customers' | 'v2'>
  readonly book: () => MeterBook
  readonly note: NoteFinding
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
}

type Tail<T> = T extends [unknown, ...infer Rest] ? Rest : never

/** Usage on its way out, in one process. */
export interface Reporting {
  /** Seals what is due; answers how many receipts. */
  seal(): Promise<number>
  /** Sends what is sealed. */
  readonly reporter: WorkPool
  readonly directory: MeterDirectory
  /** What an invoice or a customer, looked at, means to usage. */
  readonly watch: UsageWatch
  /** What Stripe's events of meters mean. */
  readonly news: ReadNews
  /** Drops what is old and needed no more. */
  prune(): Promise<{ readonly receipts: number; readonly reports: number }>
  /** Warns of configured meters that cannot be told; once. */
  fit(): Promise<void>
  /** To be called now and then; answers the accounts to be loaded into the credit engine. */
  check(): Promise<readonly string[]>
  /**
   * Tells a report, by id or identifier, again: one that Stripe does not have, as another event;
   * as usage of now also one that it took when the invoice of its time was final, or of which there
   * is none. Asks Stripe for those then, and fails where that does not answer. `newId`, for the
   * report that it makes, names the request: the same again answers the same.
   */
  resend(name: string, isNow: boolean, newId?: string): Promise<Told | false | null>
  /** What Stripe took against its own summaries (I6). */
  compare(window: CompareWindow): AsyncGenerator<ComparedHour>
  /** The same by customer and meter, to be taken up after one of them. */
  comparePairs(...args: Tail<Parameters<typeof comparePairs>>): ReturnType<typeof comparePairs>
}

export function makeReporting(deps: ReportingDeps): Reporting {
  const directory = makeMeterDirectory(deps)
  const reporter = makeReporter({
    ...deps,
    lanes: makeLanes(deps),
    directory,
    sender: makeStripeSender(deps.stripe),
    async compensate({ id }, why) {
      await replaceReport(deps, id, { states: ['ready'], note: why, isNow: false })
    },
  })
  const own = { ...deps, directory }
  const check = makeChecks(own)
  const watch = makeUsageWatch(own)
  return {
    seal: makeSealer(deps),
    reporter,
    directory,
    watch,
    news: makeMeterNews(own),
    fit: makeMeterFit(own),
    prune: makePruner(deps),
    async check() {
      await check()
      return closeRest(own, deps.clock.now())
    },
    resend: (name, isNow, newId = deps.ids.uuid()) =>
      resendOnce({ ...deps, watch }, name, isNow, newId),
    compare: (window) => compareMeters({ ...own, nowMs: deps.clock.now() }, window),
    comparePairs: (...args) => comparePairs({ ...own, nowMs: deps.clock.now() }, ...args),
  }
}
