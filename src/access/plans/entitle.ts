import { isDeepStrictEqual } from 'node:util'
import type { Ids } from '../../kernel/ids.ts'
import type { Clock } from '../../kernel/clock.ts'
import { turnEach, type Turned } from '../../ledger/turn-each.ts'
import type { Db, Tx } from '../../store/db.ts'
import { textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import { writeAudit } from '../audit.ts'
import { NO_PLANS, type BookConfig, type PlanBook, type PlanBooks } from './book.ts'
import type { Override } from './overrides.ts'
import { rank, resolve, type Entitlements } from './resolve.ts'
import {
  entitlementParams,
  overridesOf,
  readEntitlements,
  subscriptionsOf,
  type SubscriptionRow,
} from './rows.ts'
import { stripeFeaturesOf } from './stripe-features.ts'
import { noticesOf, type PlanNotice } from './notices.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), [
  'write-entitlements',
  'entitle-account',
  'due-entitlements',
])
const lockAccount = loadSql(new URL('../sql/', import.meta.url), ['lock-account'])['lock-account']

/** What entitlements follow from, and what follows. */
export interface Resolved {
  readonly entitlements: Entitlements
  readonly subscriptions: readonly SubscriptionRow[]
  readonly overrides: readonly Override[]
  readonly book: PlanBook
}

/** Brings the stored entitlements to what follows from the other rows. Level-triggered. */
export interface Entitle {
  /**
   * In a transaction that changed something they follow from, or because time has come. Answers
   * whether the account must be loaded into the credit engine after the commit. An account that
   * does not exist is left alone.
   */
  readonly entitle: (tx: Tx, accountId: string, nowMs: number) => Promise<boolean>
  /** What they are at a moment, whatever is stored. Changes nothing. */
  readonly read: (accountId: string, nowMs: number, tx?: Tx) => Promise<Resolved>
  /**
   * Resolves those that time or new plans changed, at most `limit`. One account that cannot be
   * resolved keeps no other one from it.
   */
  turn(nowMs: number, limit: number): Promise<Turned>
  /** Lets a configuration's plans rule from now on, here and in all other processes. */
  publish(config: BookConfig): Promise<void>
}

export interface EntitleDeps {
  readonly db: Db
  readonly books: PlanBooks
  readonly ids: Ids
  readonly clock: Clock
  /** Notes what is to be told of a subscription, in the transaction. Once an occasion. */
  readonly tell: (tx: Tx, notice: PlanNotice, nowMs: number) => Promise<void>
}

/** What the hot path reads of them. Source: design §6 (I10). */
const hotOf = (it: Entitlements) => [
  it.blocked !== null,
  it.models,
  it.endpoints,
  it.requestsPerMinute,
  it.tokensPerMinute,
  it.maxConcurrency,
  it.creditLimitMicros,
  it.overageLimitMicros,
  it.planId,
]

/** For the record: what changes of itself as time goes on is no change. */
const saidOf = (it: Entitlements) => ({ ...it, paidThroughMs: null, nextChangeAtMs: null })

/** Of an account without a row: nothing limits it. */
const NOTHING = resolve({ subscriptions: [], overrides: [], book: NO_PLANS, nowMs: 0 })

async function write(
  tx: Tx,
  deps: Pick<EntitleDeps, 'ids' | 'tell'>,
  accountId: string,
  { entitlements: next, subscriptions, book }: Resolved,
  nowMs: number,
): Promise<boolean> {
  const before = await readEntitlements(tx, accountId)
  const old = before?.is ?? NOTHING
  const ranked = rank({ subscriptions, book, nowMs })
  for (const notice of noticesOf(accountId, next, ranked, { book, nowMs })) {
    await deps.tell(tx, notice, nowMs)
  }
  if (before?.plansVersion === book.version && isDeepStrictEqual(old, next)) return false
  await tx.query(sql['write-entitlements'], entitlementParams(accountId, next, book.version, nowMs))
  if (!isDeepStrictEqual(saidOf(old), saidOf(next))) {
    const detail = { from: saidOf(old), to: saidOf(next), plans: book.version }
    const entry = { actor: 'farebox', action: 'entitlements.change', subject: accountId, detail }
    await writeAudit(tx, deps.ids, entry, nowMs)
  }
  if (isDeepStrictEqual(hotOf(old), hotOf(next))) return false
  const plan = [next.overageLimitMicros, next.planId]
  await tx.query(sql['entitle-account'], [accountId, ...plan, new Date(nowMs)])
  return true
}

export function makeEntitle(deps: EntitleDeps): Entitle {
  const { db, books, clock } = deps

  async function read(accountId: string, nowMs: number, tx: Tx = db): Promise<Resolved> {
    const subscriptions = await subscriptionsOf(tx, accountId)
    const overrides = await overridesOf(tx, accountId)
    const book = await books.ruling(tx)
    const isAsked = Object.keys(book.stripe_features).length > 0
    const stripeFeatures = isAsked ? await stripeFeaturesOf(tx, accountId) : []
    const entitlements = resolve({ subscriptions, overrides, book, stripeFeatures, nowMs })
    return { entitlements, subscriptions, overrides, book }
  }

  async function entitle(tx: Tx, accountId: string, nowMs: number): Promise<boolean> {
    // The lock comes first: whoever comes second reads what the first one wrote.
    if ((await tx.query(lockAccount, [accountId])).length === 0) return false
    return write(tx, deps, accountId, await read(accountId, nowMs, tx), nowMs)
  }

  return {
    read,
    entitle,
    async turn(nowMs, limit) {
      const { version } = await books.ruling(db)
      const due = await db.query(sql['due-entitlements'], [new Date(nowMs), version, limit])
      return turnEach(
        due.map((row) => textOf(row, 'account_id')),
        (accountId) => db.tx((tx) => entitle(tx, accountId, nowMs)),
      )
    },
    async publish(config) {
      await db.tx((tx) => books.publish(tx, config, clock.now()))
    },
  }
}
