import type { PlanBook } from '../../access/plans/book.ts'
import { subscriptionsOf } from '../../access/plans/rows.ts'
import type { Subject } from '../../billing/effects/subject.ts'
import {
  REPLAY_COMPARE_PAUSE_MS,
  REPLAY_COMPARE_TRIES_MAX,
  REPLAY_SHOWN_MAX,
} from '../../kernel/limits/replay.ts'
import type { Db, Tx } from '../../store/db.ts'
import { textOf } from '../../store/rows.ts'
import { loadSql } from '../../store/sql.ts'
import { beginReplay } from './begin.ts'
import { compareLedgers, type Compared } from './compare.ts'
import type { InvoiceState } from './compare-billed.ts'
import { copyIntents, type Copied } from './copy.ts'
import { replayEvents, type EventsDeps, type Replayed } from './events.ts'
import { lookAgain, patiently, walkAll, type WalkDeps, type Walked } from './walk.ts'

const sql = loadSql(new URL('./sql/', import.meta.url), ['unfinished-events', 'payments-of-sales'])

export interface ReplayDeps extends EventsDeps, WalkDeps {
  readonly target: Db
  readonly migrate: (target: Db) => Promise<unknown>
  /** Once the target has its tables, before anything is looked at. */
  readonly prepare: () => Promise<void>
  /** The plans that rule in the target. */
  readonly book: () => Promise<PlanBook>
  readonly invoiceState: InvoiceState
}

/** An event that could not be worked off: a comparison without it says nothing for certain. */
export interface Unfinished {
  readonly id: string
  readonly type: string
  readonly outcome: string
}

export interface ReplayReport {
  /** Every event was worked off, and both ledgers say the same of every sale. */
  readonly ok: boolean
  readonly copied: Copied
  readonly events: Replayed & { readonly unfinished: readonly Unfinished[] }
  readonly walked: Walked
  readonly compared: Compared
}

async function unfinishedOf(target: Tx): Promise<Unfinished[]> {
  const rows = await target.query(sql['unfinished-events'], [REPLAY_SHOWN_MAX])
  return rows.map((row) => ({
    id: textOf(row, 'id'),
    type: textOf(row, 'type'),
    outcome: textOf(row, 'outcome'),
  }))
}

const KINDS = { pi: 'payment', in: 'invoice', cs: 'session' } as const

/** What a sale was paid with, to be looked at. */
function subjectOfPayment(id: string): Subject | null {
  const found = Object.entries(KINDS).find(([prefix]) => id.startsWith(`${prefix}_`))
  return found === undefined ? null : { kind: found[1], id }
}

/** Looks again at the subscriptions of accounts whose access differs, as either side knows them. */
async function lookAtAccess(deps: ReplayDeps, compared: Compared): Promise<void> {
  const differing = compared.differences.filter(({ what }) => what === 'access')
  for (const { accountId } of differing) {
    const known = [
      ...(await subscriptionsOf(deps.source, accountId)),
      ...(await subscriptionsOf(deps.target, accountId)),
    ]
    for (const id of new Set(known.map((one) => one.id))) {
      // One that Stripe does not have stays a difference.
      await lookAgain(deps, { kind: 'subscription', id }).catch(() => undefined)
    }
  }
}

/** Looks again at what the differing sales were paid with, as either side knows it. */
async function lookAtDifferences(deps: ReplayDeps, compared: Compared): Promise<void> {
  await lookAtAccess(deps, compared)
  const keys = [...new Set(compared.differences.map(({ key }) => key))]
  const params = [keys]
  const rows = [
    ...(await deps.source.query(sql['payments-of-sales'], params)),
    ...(await deps.target.query(sql['payments-of-sales'], params)),
  ]
  for (const id of new Set(rows.map((row) => textOf(row, 'payment_id')))) {
    const subject = subjectOfPayment(id)
    if (subject !== null && (await deps.targetOf(subject).catch(() => null)) !== null) {
      await lookAgain(deps, subject)
    }
  }
}

/**
 * Compares, and where something differs compares that again after a pause: the source is alive, and
 * what Stripe said a moment ago may not have reached it.
 */
async function compareAtRest(deps: ReplayDeps): Promise<Compared> {
  const { source, target, pause, clock } = deps
  const compare = async (only: readonly string[] | null): Promise<Compared> => {
    const invoiceState = (id: string) => patiently(deps, () => deps.invoiceState(id))
    const sides = { source, replay: target, book: await deps.book(), nowMs: clock.now() }
    return compareLedgers({ ...sides, invoiceState }, only)
  }
  const first = await compare(null)
  let last = first
  for (let tries = 1; tries < REPLAY_COMPARE_TRIES_MAX && last.differencesTotal > 0; tries += 1) {
    await pause(REPLAY_COMPARE_PAUSE_MS)
    await lookAtDifferences(deps, last)
    // More than are named: those that are not would be lost by a look at the named ones alone.
    const isAll = last.differencesTotal === last.differences.length
    const accounts = new Set(last.differences.map(({ accountId }) => accountId))
    last = await compare(isAll ? [...accounts] : null)
  }
  const { differences, differencesTotal } = last
  return { ...first, differences, differencesTotal }
}

/**
 * Rebuilds what Stripe's payments granted and took back, from an empty ledger, with the effects and
 * the inbox that wrote it, and sets it against the ledger of the source. Reads the source and
 * Stripe, writes the target only. May be interrupted and repeated. Throws ReplayRefusedError.
 * Source: design §7 (Replay).
 */
export async function replayFromZero(deps: ReplayDeps): Promise<ReplayReport> {
  const { source, target, inbox, clock, progress } = deps
  const mark = await beginReplay(deps)
  await deps.prepare()
  const startedMs = clock.now()
  const copied = await copyIntents(source, target)
  progress(`${copied.accounts} accounts, ${copied.checkouts} checkouts, ${copied.attempts} charges`)
  // What an earlier run could not get done is tried at once, not when its pause would be over.
  for (const { id } of await unfinishedOf(target)) await inbox.replay(id, clock.now())
  const events = await replayEvents(deps, mark)
  const walked = await walkAll(deps, startedMs)
  const unfinished = await unfinishedOf(target)
  const compared = await compareAtRest(deps)
  const ok = compared.differencesTotal === 0 && unfinished.length === 0
  return { ok, copied, events: { ...events, unfinished }, walked, compared }
}
